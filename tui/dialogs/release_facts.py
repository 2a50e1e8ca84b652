"""What a dialog about a release tells before anything is decided: the track, who opens, the gate. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from collectors.fleet import ALL_TIERS, Alert, Check, Frame, Model, Release, Severity, Tier
from collectors.readings import NEVER, Quality, Reading, Reason, Standing, standing, worded
from tui.format import (
    GLYPHS,
    Glyphs,
    absent,
    age,
    clock,
    duration,
    fit,
    objective,
    said,
    shown,
    wide_quantile,
    width_of,
)
from tui.releases import (
    check_detail,
    current_stage,
    exposure_now,
    gate_time,
    is_paused_by_operator,
    served_by,
    share_text,
)
from tui.screens.readings import wrapped
from tui.widgets.lines import Cell, Line
from tui.widgets.stage_track import EVERYONE

TITLE_MOST = 24
"""Columns of a tier's title on the track; a longer one is cut."""

MARK = 2
"""Columns for a mark: in ASCII some take two."""

NAME_MOST = 24
"""Columns for what a row of the gate is called."""

NOT_REQUIRED = ("N+1", "errors", "trend", "overlap", "way back")
"""Rows that a plan file can declare, and that nothing here can tell yet."""

_WORST = (Standing.BREACH, Standing.STRADDLES, Standing.UNKNOWN, Standing.OK)
_SEVERITY_ROLES = {Severity.P1: "p1", Severity.P2: "p2", Severity.P3: "p3"}
_WARNING = frozenset({"breach", "straddles", "stale", *_SEVERITY_ROLES.values()})
"""Roles of the rows that warn. What nobody knows is told apart, and counted apart."""


class Row(NamedTuple):
    """One row of the gate: a mark with its role, what it is about, and what is so."""

    mark: str
    role: str
    name: str
    text: str


def paragraph(parts: Iterable[str], width: int, glyphs: Glyphs, role: str = "text") -> list[Line]:
    """The sentences one after another, wrapped into lines of exactly `width` cells: on a low screen each line
    counts."""
    pieces = _pieces(" ".join(parts), max(width, 2), glyphs)
    return [_line([Cell(piece, role)], width, glyphs) for piece in pieces]


def heading(text: str, width: int, glyphs: Glyphs) -> Line:
    """What the rows below it are about, with a rule to the end of the line."""
    title = f"{glyphs.rule} {said(text, glyphs)} "
    return _line([Cell(title + glyphs.rule * max(width - width_of(title), 0), "muted")], width, glyphs)


def track(
    release: Release, then: Mapping[str, float], titles: Mapping[str, str], width: int, glyphs: Glyphs
) -> list[Line]:
    """The tiers on their track, each that changes as it is and as it would be; wrapped between tiers."""
    now = exposure_now(release)
    stage = current_stage(release)
    paused = stage.tier if stage is not None and is_paused_by_operator(release) else None
    lines: list[list[Cell]] = [[]]
    used = 0
    for tier, share in now.items():
        title = _title(titles.get(tier, tier), glyphs)
        text = _stop(share, title, glyphs, is_paused=paused in (tier, EVERYONE))
        after = then.get(tier, share)
        if after != share:
            text += f" {glyphs.arrow} {_stop(after, title, glyphs)}"
        text = fit(text, min(width_of(text), width), glyphs)
        joint = f" {glyphs.rule} " if lines[-1] else ""
        if lines[-1] and used + width_of(joint) + width_of(text) > width:
            lines.append([])
            used, joint = 0, ""
        lines[-1] += [Cell(joint, "muted"), Cell(text, "title" if after != share else "text")]
        used += width_of(joint) + width_of(text)
    return [_line(cells, width, glyphs) for cells in lines if cells]


def openings(release: Release, then: Mapping[str, float], titles: Mapping[str, str]) -> list[str]:
    """Whose share changes, whose stays, and who has it whatever the stage, in sentences."""
    changes: list[str] = []
    stay: dict[float, list[str]] = {}
    always: dict[float, list[str]] = {}
    staged = {stage.tier for stage in release.stages}
    base = {one.tier for one in release.base if not staged & {one.tier, EVERYONE}}
    now = exposure_now(release)
    for tier, share in now.items():
        title = titles.get(tier, tier)
        after = then.get(tier, share)
        if after != share:
            changes.append(f"{title}: {share_text(share)} → {share_text(after)}")
        elif after > 0:
            (always if tier in base else stay).setdefault(after, []).append(title)
    told = [f"{'; '.join(changes)}." if changes else "No tier's share changes."]
    for share, named in stay.items():
        told.append(f"{', '.join(named)} {_verb(named, 'stay')} at {share_text(share)}.")
    for share, named in always.items():
        what = "it" if share >= 1 else share_text(share)
        told.append(f"{', '.join(named)} {'have' if len(named) > 1 else 'has'} {what} whatever the stage.")
    return told


def left_out(
    release: Release, then: Mapping[str, float], titles: Mapping[str, str], rest: str | None
) -> list[str]:
    """Who has nothing of it now and would have nothing of it then, in a sentence, if there are any.

    rest: what those are served instead, of a model; None where that is nothing: it is closed to them
    """
    now = exposure_now(release)
    named = [titles.get(tier, tier) for tier, share in now.items() if not share and not then.get(tier, share)]
    if not named:
        return []
    return [f"{', '.join(named)} {_verb(named, 'stay')} {'closed' if rest is None else f'on {rest}'}."]


def gate_lines(
    frame: Frame, release: Release, width: int, glyphs: Glyphs, *, guards: bool, is_overridden: bool
) -> list[Line]:
    """The gate: what the plane's says and checks; then our own, which blocks nothing: what the readings tell,
    and what no plan declares.

    guards: whether what is asked for has to pass it: only an advance has to
    """
    state = "overridden" if is_overridden else "BLOCKS" if guards else "it guards advance alone"
    servers = list(_server_rows(frame, release, glyphs, state))
    own = list(_own_rows(frame, release, glyphs))
    column = min(max(width_of(row.name) for row in [*servers, *own]), NAME_MOST, max(width // 3, 4))
    tally = f"{_warnings(own)} warn, {sum(row.role == 'unknown' for row in own)} UNKNOWN"
    lines = [heading("GATE (the server's)", width, glyphs)]
    for row in servers:
        lines += _row_lines(row, column, width, glyphs)
    lines.append(heading(f"GATE (ours; nothing here blocks in this version): {tally}", width, glyphs))
    for row in own:
        lines += _row_lines(row, column, width, glyphs)
    return lines


def warnings(frame: Frame, release: Release) -> int:
    """How many rows of our own part of the gate warn."""
    return _warnings(_own_rows(frame, release, GLYPHS["unicode"]))


def _warnings(rows: Iterable[Row]) -> int:
    return sum(row.role in _WARNING for row in rows)


def _own_rows(frame: Frame, release: Release, glyphs: Glyphs) -> Iterator[Row]:
    yield from _told_rows(frame, release, glyphs)
    unknown = f"UNKNOWN: {worded(Reason('no-capacity-model'))}; not required"
    yield Row(glyphs.no_data, "unknown", "capacity", unknown)
    yield Row(glyphs.nothing, "muted", "not required", f"{', '.join(NOT_REQUIRED)}: no plan declares them")


def _row_lines(row: Row, column: int, width: int, glyphs: Glyphs) -> Iterator[Line]:
    mark = fit(row.mark, MARK, glyphs)
    name = fit(said(row.name, glyphs), column, glyphs)
    quiet = "muted" if row.role == "muted" else "text"
    indent = 1 + MARK + 1 + column + 1
    room = max(width - indent, 2)
    for number, piece in enumerate(_pieces(row.text, room, glyphs)):
        lead = [Cell(f" {mark} ", row.role), Cell(f"{name} ", quiet)]
        yield _line([*(lead if not number else [Cell(" " * indent)]), Cell(piece, quiet)], width, glyphs)


def _server_rows(frame: Frame, release: Release, glyphs: Glyphs, closed: str) -> Iterator[Row]:
    if release.gate == "open":
        yield Row(glyphs.passed, "text", "server gate", "open")
    elif release.gate == "closed":
        yield Row(glyphs.failed, "refused", "server gate", f"closed: {closed}")
    else:
        yield Row(glyphs.no_data, "unknown", "server gate", f"UNKNOWN, which is not open: {closed}")
    for check in release.checks:
        passed = check.state == "pass"
        failed = check.state == "fail"
        mark = glyphs.passed if passed else glyphs.failed if failed else glyphs.no_data
        role = "text" if passed else "refused" if failed else "unknown"
        yield Row(mark, role, check.id, check_words(check, gate_time(frame)))


def check_words(check: Check, now: float) -> str:
    """What a check of the gate says, and when it opens: `2 of 3 zones, open at 17:15:00Z, in 4m48s`.

    now: by the plane's clock
    """
    words = check_detail(check)
    if check.state == "pass" or check.ready_at is None:
        return words or check.state
    left = check.ready_at - now
    when = f"in {duration(left)}" if left > 0 else "which is due"
    return f"{words}{', ' if words else ''}open at {clock(check.ready_at)}, {when}"


def _told_rows(frame: Frame, release: Release, glyphs: Glyphs) -> Iterator[Row]:
    """What the frame tells of those who have it already. It warns; only a plan makes such a row block."""
    models = served_by(frame, release)
    now = exposure_now(release)
    for tier in frame.tiers:
        if models and (tier.name == ALL_TIERS or now.get(tier.name, now.get(EVERYONE, 0.0)) > 0):
            yield _wait_row(models, tier, glyphs)
    yield _data_row(frame, models, glyphs)
    yield _alert_row(frame, models, glyphs)


def _wait_row(models: Sequence[Model], tier: Tier, glyphs: Glyphs) -> Row:
    """The p99 of the model that is worst off (D5), against its objective."""
    name = f"{tier.title} queue p99"
    model = min(models, key=lambda m: (_WORST.index(_standing(m, tier)), -_estimate(_wait(m, tier))))
    one, limit = _wait(model, tier), model.objectives.get(tier.name)
    where = f" ({model.name})" if len(models) > 1 else ""
    if one.value is None:
        return Row(
            glyphs.no_data, "unknown", name, f"UNKNOWN: {worded(one.reason) or absent(one, glyphs)[0]}{where}"
        )
    value = f"{shown(one, wide_quantile(one.value, glyphs), glyphs)[0]} s{where}"
    if limit is None:
        return Row(glyphs.nothing, "muted", name, f"{value}, no objective to hold it against")
    against = f"{objective(limit)} s"
    match standing(one, limit):
        case Standing.BREACH:
            return Row(glyphs.failed, "breach", name, f"{value} > {against}: warns")
        case Standing.STRADDLES:
            return Row(glyphs.straddles, "straddles", name, f"{value}, {against} lies within: warns")
        case Standing.OK:
            return Row(glyphs.passed, "text", name, f"{value} {glyphs.at_most} {against}")
    why = worded(one.reason) or one.quality.value
    return Row(glyphs.no_data, "unknown", name, f"{value}, limit {against}: UNKNOWN, {why}")


def _wait(model: Model, tier: Tier) -> Reading:
    return model.tiers.get(tier.name, {}).get("queue_wait_p99", NEVER)


def _standing(model: Model, tier: Tier) -> Standing:
    one = _wait(model, tier)
    return standing(one, model.objectives.get(tier.name))


def _estimate(one: Reading) -> float:
    if one.value is None:
        return 0.0
    return one.value if isinstance(one.value, int | float) else one.value.estimate


def _data_row(frame: Frame, models: Sequence[Model], glyphs: Glyphs) -> Row:
    """How old the oldest reading is that there should be a newer one of."""
    if not models:
        return Row(glyphs.no_data, "unknown", "data", "UNKNOWN: no model of this fleet serves it")
    timed = [one for model in models for one in _readings(model) if one.at is not None]
    if not timed:
        return Row(glyphs.no_data, "unknown", "data", "UNKNOWN: no reading of it yet")
    oldest = min(one.at for one in timed if one.at is not None)
    old = age(frame.at - oldest)
    late = sum(one.quality in (Quality.STALE, Quality.MISSING) for one in timed)
    if late:
        text = f"{late} of {len(timed)} readings late or gone, the oldest {old} old: warns"
        return Row(glyphs.no_data, "stale", "data", text)
    return Row(glyphs.passed, "text", "data", f"{old} old")


def _readings(model: Model) -> Iterator[Reading]:
    yield from model.readings.values()
    for found in model.tiers.values():
        yield from found.values()


def _alert_row(frame: Frame, models: Sequence[Model], glyphs: Glyphs) -> Row:
    names = {name for model in models for name in (model.name, model.subject)}
    firing = [a for a in frame.alerts if a.silenced_until is None and a.model in names]
    if not firing:
        return Row(glyphs.passed, "text", "alerts", "none on it")
    worst = min(firing, key=lambda a: (a.severity, a.since, a.id))
    more = f", and {len(firing) - 1} more" if len(firing) > 1 else ""
    return Row(
        _mark(worst, glyphs), _SEVERITY_ROLES[worst.severity], "alerts", f"{worst.summary}{more}: warns"
    )


def _mark(alert: Alert, glyphs: Glyphs) -> str:
    return {Severity.P1: glyphs.p1, Severity.P2: glyphs.p2, Severity.P3: glyphs.p3}[alert.severity]


def unknown_lines(what: Sequence[str], width: int, glyphs: Glyphs) -> list[Line]:
    """A forecast that nobody can make yet, with the reason."""
    why = worded(Reason("no-capacity-model"))
    return paragraph((f"{', '.join(what)}: UNKNOWN ({why})",), width, glyphs, "unknown")


def _title(title: str, glyphs: Glyphs) -> str:
    return fit(title, min(width_of(title), TITLE_MOST), glyphs)


def _stop(share: float, title: str, glyphs: Glyphs, *, is_paused: bool = False) -> str:
    glyph = glyphs.released if share >= 1 else glyphs.partial if share > 0 else glyphs.closed
    part = f" {share_text(share)}" if 0 < share < 1 else ""
    return f"{glyphs.paused if is_paused else glyph}{title}{part}"


def _verb(named: Sequence[str], verb: str) -> str:
    return verb if len(named) > 1 else f"{verb}s"


def _pieces(text: str, width: int, glyphs: Glyphs) -> list[str]:
    return wrapped(said(text, glyphs), width)


def _line(cells: Sequence[Cell], width: int, glyphs: Glyphs) -> Line:
    """The cells as a line exactly as wide as asked for."""
    made: list[Cell] = []
    left = width
    for cell in cells:
        text = fit(cell.text, min(width_of(cell.text), left), glyphs)
        if text:
            made.append(Cell(text, cell.role))
            left -= width_of(text)
    return Line((*made, Cell(" " * left)) if left > 0 else tuple(made))
