"""What is different between two frames: stages, throttles, alerts, waits, accelerators, sources. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from collectors.fleet import ALL_TIERS, Alert, Frame, Model, Node, Release, SourceHealth, Throttle
from collectors.readings import Reading, Standing, bounds_of, standing, worded
from tui.format import UNICODE, Glyphs, admit, clock, count, fit, percent, quantile, said, shown, width_of
from tui.widgets.lines import Cell, Line, line_of

SIGNAL = "queue_wait_p99"
"""The wait that is compared, tier by tier."""

TOTALS = ("accelerators", "busy_ratio", "headroom_ratio")
"""What is compared of the whole fleet."""

WHERE_MOST, WHAT_MOST = 32, 18
"""Most columns for what changed, and for what about it."""


class Change(NamedTuple):
    """One difference. section: heading that it stands below; where: what changed; what: which property.

    before, after: words; role: of what it is now
    """

    section: str
    where: str
    what: str
    before: str
    after: str
    role: str = "text"


def frame_changes(before: Frame, after: Frame, glyphs: Glyphs = UNICODE) -> tuple[Change, ...]:
    """All that is different in `after`, section by section; times and ages alone are no difference.

    A wait differs where both are known and their intervals have nothing in common, or where one is known.
    """
    titles = {tier.name: tier.title for frame in (before, after) for tier in frame.tiers}
    return (
        *_releases(before, after, titles),
        *_throttles(before, after, titles),
        *_alerts(before, after),
        *_waits(before, after, titles, glyphs),
        *_accelerators(before, after, glyphs),
        *_sources(before, after),
        *_rest(before, after),
    )


def change_lines(
    before: Frame, after: Frame, width: int, glyphs: Glyphs = UNICODE
) -> tuple[tuple[Line, ...], int]:
    """A heading with both times, then every difference below its section, and how many there are. Each line
    is exactly `width` cells."""
    changes = frame_changes(before, after, glyphs)
    moments = f"{clock(before.at)} {glyphs.arrow} {clock(after.at)}"
    number = f"{len(changes)} difference{'' if len(changes) == 1 else 's'}" if changes else "nothing differs"
    lines = [_line([Cell(f" DIFFERENCES from the mark, {moments}: {number}", "title")], width, glyphs)]
    where_width = min(max((width_of(c.where) for c in changes), default=0), max(width // 4, 8), WHERE_MOST)
    what_width = min(max((width_of(c.what) for c in changes), default=0), max(width // 6, 6), WHAT_MOST)
    section = ""
    for one in changes:
        if one.section != section:
            section = one.section
            lines.append(_line([Cell(_ruled(section, width, glyphs), "muted")], width, glyphs))
        where = fit(said(one.where, glyphs), where_width, glyphs)
        what = fit(said(one.what, glyphs), what_width, glyphs)
        arrow = f" {glyphs.arrow} " if one.before else ""
        head = [Cell(f"   {where} "), Cell(f"{what} ", "muted"), Cell(said(one.before, glyphs), "muted")]
        lines.append(
            _line([*head, Cell(arrow, "muted"), Cell(said(one.after, glyphs), one.role)], width, glyphs)
        )
    return tuple(lines), len(changes)


Kept = TypeVar("Kept")


def _pairs(
    before: Mapping[str, Kept], after: Mapping[str, Kept]
) -> Iterator[tuple[str, Kept | None, Kept | None]]:
    """Both of each name, in the order of the later frame, those that are gone last; unchanged ones not."""
    for name in dict.fromkeys((*after, *before)):
        was, now = before.get(name), after.get(name)
        if was is not now and was != now:
            yield name, was, now


def _releases(before: Frame, after: Frame, titles: Mapping[str, str]) -> Iterator[Change]:
    section = "RELEASES"
    for _, was, now in _pairs({r.id: r for r in before.releases}, {r.id: r for r in after.releases}):
        if was is None or now is None:
            yield from (_come_or_gone(section, r.subject, "release", now) for r in (was, now) if r)
            continue
        told = (
            ("stage", _stage(was, titles), _stage(now, titles)),
            ("phase", was.phase, now.phase),
            ("candidate", was.candidate, now.candidate),
            ("gate", was.gate, now.gate),
        )
        for what, old, new in told:
            if old != new:
                role = "breach" if new in ("aborted", "degraded") else "text"
                yield Change(section, now.subject, what, old, new, role)
        for tier in dict.fromkeys(e.tier for e in (*now.exposure, *was.exposure)):
            for what, old_share, new_share in (
                ("", was.desired(tier), now.desired(tier)),
                (" seen", was.observed(tier), now.observed(tier)),
            ):
                if _share(old_share) != _share(new_share):
                    name = f"{titles.get(tier, tier)}{what}"
                    yield Change(section, now.subject, name, _share(old_share), _share(new_share))


def _come_or_gone(section: str, where: str, what: str, now: object | None) -> Change:
    return (
        Change(section, where, what, "there", "gone")
        if now is None
        else Change(section, where, what, "", "new")
    )


def _stage(release: Release, titles: Mapping[str, str]) -> str:
    index = release.stage_index
    if index is None or not 0 <= index < len(release.stages):
        return "none"
    stage = release.stages[index]
    tier = "everyone" if stage.tier == "*" else titles.get(stage.tier, stage.tier)
    return f"{tier} {percent(stage.weight)}"


def _share(share: float | None) -> str:
    return "not known" if share is None else percent(share)


def _throttles(before: Frame, after: Frame, titles: Mapping[str, str]) -> Iterator[Change]:
    def cells(frame: Frame) -> dict[str, Throttle]:
        return {f"{t.feature}/{titles.get(t.tier, t.tier)}": t for t in frame.throttles}

    for where, was, now in _pairs(cells(before), cells(after)):
        old, new = (_setting(one) for one in (was, now))
        if old != new:
            by = now.last_change.actor if now is not None and now.last_change is not None else ""
            yield Change("THROTTLES", where, f"by {by}" if by else "", old, new)


def _setting(one: Throttle | None) -> str:
    if one is None:
        return "not there"
    text = (
        admit(one.level) if one.unit == "share" else f"limit {one.limit:g}" if one.limit is not None else "?"
    )
    if one.state == "ramping":
        text += f", now {admit(one.effective_level)}"
    return text if one.state in ("applied", "ramping") else f"{text}, {one.state}"


def _alerts(before: Frame, after: Frame) -> Iterator[Change]:
    for _, was, now in _pairs({a.id: a for a in before.alerts}, {a.id: a for a in after.alerts}):
        if now is None and was is not None:
            yield Change("ALERTS", _about(was), was.severity, was.summary, "over")
        elif was is None and now is not None:
            yield Change("ALERTS", _about(now), now.severity, "", now.summary, now.severity.lower())
        elif was is not None and now is not None:
            if was.severity != now.severity:
                role = now.severity.lower()
                yield Change("ALERTS", _about(now), "severity", was.severity, now.severity, role)
            if (was.silenced_until is None) != (now.silenced_until is None):
                old, new = ("loud" if a.silenced_until is None else "silenced" for a in (was, now))
                yield Change("ALERTS", _about(now), "silence", old, new)


def _about(alert: Alert) -> str:
    return f"{alert.model} {alert.tier}".strip() or alert.name or alert.source


def _waits(before: Frame, after: Frame, titles: Mapping[str, str], glyphs: Glyphs) -> Iterator[Change]:
    section = "WAITS p99, beyond their interval"
    places = {tier: place for place, tier in enumerate(titles)}
    for name, was, now in _pairs({m.name: m for m in before.models}, {m.name: m for m in after.models}):
        if was is None or now is None:
            yield _come_or_gone(section, name, "model", now)
            continue
        for tier in sorted({*now.tiers, *was.tiers}, key=lambda tier: (places.get(tier, len(places)), tier)):
            old, new = was.reading(SIGNAL, tier), now.reading(SIGNAL, tier)
            old_text, new_text = _wait(old, glyphs), _wait(new, glyphs)
            if _differs(old, new) and old_text != new_text:
                title = "all" if tier == ALL_TIERS else titles.get(tier, tier)
                role = "breach" if _is_over(now, tier, new) else "text"
                yield Change(section, name, title, old_text, new_text, role)


def _differs(was: Reading, now: Reading) -> bool:
    """Whether two readings cannot be the same: their intervals do not meet, or only one has a value."""
    if was.value is None or now.value is None:
        return (was.value is None) != (now.value is None)
    (low, high), (other_low, other_high) = bounds_of(was.value), bounds_of(now.value)
    return high <= other_low or other_high <= low if (low, high) != (other_low, other_high) else False


def _is_over(model: Model, tier: str, one: Reading) -> bool:
    return standing(one, model.objectives.get(tier)) is Standing.BREACH


def _wait(one: Reading, glyphs: Glyphs) -> str:
    if one.value is None:
        return f"none: {worded(one.reason)}" if one.reason.code else "none"
    return f"{shown(one, quantile(one.value, glyphs), glyphs)[0]} s"


def _accelerators(before: Frame, after: Frame, glyphs: Glyphs) -> Iterator[Change]:
    section = "ACCELERATORS"
    for signal, name in zip(TOTALS, ("GPUs", "busy", "headroom"), strict=True):
        was, now = (_total(frame, signal, glyphs) for frame in (before, after))
        if was != now:
            yield Change(section, "fleet", name, was, now)
    for name, was_node, now_node in _pairs(
        {node.name: node for node in before.nodes}, {node.name: node for node in after.nodes}
    ):
        if was_node is None or now_node is None:
            yield _come_or_gone(section, name, "host", now_node)
            continue
        old, new = _faults(was_node), _faults(now_node)
        if old != new:
            yield Change(section, name, "marks", old or "none", new or "none", "fault" if new else "text")


def _total(frame: Frame, signal: str, glyphs: Glyphs) -> str:
    one = frame.totals.get(signal)
    if one is None or one.estimate is None:
        return "not known"
    text = count(one.estimate) if signal == "accelerators" else percent(one.estimate)
    return shown(one, text, glyphs)[0]


def _faults(node: Node) -> str:
    """Its marks with the accelerators that have them: `X 0,1  t 5`."""
    found: dict[str, list[str]] = {}
    for place, mark in enumerate(node.marks):
        if mark != " ":
            found.setdefault(mark, []).append(str(place))
    return "  ".join(f"{mark} {','.join(places)}" for mark, places in sorted(found.items()))


def _sources(before: Frame, after: Frame) -> Iterator[Change]:
    was_all, now_all = ({one.name: one for one in frame.sources} for frame in (before, after))
    for name, was, now in _pairs(was_all, now_all):
        old, new = (_health(one) for one in (was, now))
        if old != new:
            is_lost = new.startswith("lost")
            yield Change("SOURCES", name, "", old, new, "lost" if is_lost else "text")


def _health(one: SourceHealth | None) -> str:
    if one is None:
        return "not there"
    covered = f", {one.targets[0]} of {one.targets[1]} targets" if one.targets is not None else ""
    return f"{one.state}{covered}{f': {one.error}' if one.error else ''}"


def _rest(before: Frame, after: Frame) -> Iterator[Change]:
    was = f"{before.context}{' PROD' if before.production else ''}"
    now = f"{after.context}{' PROD' if after.production else ''}"
    if was != now:
        yield Change("SESSION", "context", "", was, now)
    old, new = (_who(frame) for frame in (before, after))
    if old != new:
        yield Change("SESSION", "operator", "", old, new)


def _who(frame: Frame) -> str:
    if frame.plane is None:
        return "no control plane"
    return f"{frame.plane.actor or '?'} ({frame.plane.role or '?'})"


def _ruled(title: str, width: int, glyphs: Glyphs) -> str:
    text = f"{glyphs.rule} {title} "
    return text + glyphs.rule * max(width - width_of(text), 0)


def _line(cells: Sequence[Cell], width: int, glyphs: Glyphs) -> Line:
    line = line_of(_some(cells), width, glyphs=glyphs)
    left = width - width_of(line.text)
    return Line((*line.cells, Cell(" " * left))) if left > 0 else line


def _some(cells: Iterable[Cell]) -> list[Cell]:
    return [cell for cell in cells if cell.text]
