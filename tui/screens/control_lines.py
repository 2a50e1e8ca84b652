"""What the control plane does to a model or a feature: throttles and stages, as set, in force, and seen."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from collectors.fleet import Frame, Release, Throttle
from collectors.readings import Quality, Reason, worded
from tui.format import (
    Glyphs,
    admit,
    age,
    clock,
    duration,
    fit,
    level,
    percent,
    rate,
    said,
    width_of,
)
from tui.releases import check_detail
from tui.screens.page import Page, heading, padded, told, whole
from tui.screens.readings import wrapped
from tui.three_states import (
    Applied,
    Observed,
    ThreeStates,
    by_ramp,
    is_endless,
    is_open,
    is_overdue,
    left_s,
    of_exposure,
    of_throttle,
    returns_to,
)
from tui.widgets.lines import Cell, Line
from tui.widgets.stage_track import EVERYONE

NAME_LEAST, NAME_MOST = 10, 30
SET, IN_FORCE, SEEN, SINCE = 9, 11, 8, 8
"""Columns of the three states and of the time since the write."""

INDENT = 5
"""Columns before what is said of a cell below its line."""


class _Shown(NamedTuple):
    throttle: Throttle
    states: ThreeStates

    @property
    def is_plain(self) -> bool:
        """Open, and seen to be, or never touched: it needs no line."""
        return is_open(self.throttle) and not (self.states.has_parted and self.throttle.last_change)


def has_plane(frame: Frame) -> bool:
    """Whether a control plane is asked at all."""
    return bool(frame.releases or frame.throttles) or any(s.kind == "plane" for s in frame.sources)


def throttle_lines(page: Page, features: Sequence[str], title: str) -> Iterator[Line]:
    """The cells of `features` that are not plainly open: overdue ones and those without an end first."""
    frame = page.frame
    yield heading(title, page)
    if not has_plane(frame):
        yield told(worded(Reason("no-plane")), page)
        return
    if not features:
        yield told("no feature is known to be served by it", page)
    found = [t for feature in features for t in frame.throttles if t.feature == feature]
    shown = [_Shown(one, of_throttle(frame, one, page.plane_time)) for one in found]
    listed = sorted((one for one in shown if not one.is_plain), key=lambda one: _rank(one, page))
    name = _name_width((_cell_name(one.throttle) for one in listed), page)
    if listed:
        yield _titles("cell", name, page)
    for one in listed:
        yield from _cell(one, name, page)
    for feature in features:
        yield from _open_ones(feature, [one for one in shown if one.throttle.feature == feature], page)


def release_lines(page: Page) -> Iterator[Line]:
    """Each tier's exposure as set, in force and seen; the stages; then the gate with its checks."""
    frame, glyphs, release = page.frame, page.glyphs, page.release
    yield heading("RELEASE: stages and gate", page)
    if release is None:
        none = f"no release opens this {page.kind} in stages"
        yield told(none if has_plane(frame) else worded(Reason("no-plane")), page)
        return
    if release.read_only:
        yield told(f"nothing can be done to it from here: {release.read_only}", page)
    if release.exposure:
        yield from _exposures(release, page)
    for number, stage in enumerate(release.stages):
        tier = "everyone" if stage.tier == EVERYONE else stage.tier
        at = glyphs.pointer if number == release.stage_index else " "
        hold = f", holds {duration(stage.hold_s)}" if stage.hold_s else ""
        text = f" {at} {fit(tier, 12, glyphs)} to {percent(stage.weight):>4}  {stage.gate}{hold}"
        yield padded([Cell(said(text, glyphs))], page)
    yield from _gate(release, page)


def _exposures(release: Release, page: Page) -> Iterator[Line]:
    titles = {tier.name: tier.title for tier in page.frame.tiers} | {EVERYONE: "everyone"}
    name = _name_width((titles.get(one.tier, one.tier) for one in release.exposure), page)
    yield _titles("tier", name, page)
    for one in release.exposure:
        states = of_exposure(page.frame, release, one, page.plane_time)
        desired = "?" if states.desired is None else percent(states.desired)
        yield from _row(titles.get(one.tier, one.tier), desired, states, name, page)
        if states.complaint:
            yield from _below([(states.complaint, "suspect")], page)
    unseen = [titles.get(one.tier, one.tier) for one in release.exposure if one.observed is None]
    if unseen:
        everyone = len(unseen) == len(release.exposure)
        of = "" if everyone else f" of {', '.join(unseen)}"
        yield from _below([(f"not seen{of}: no metric observes it", "muted")], page)


def _titles(first: str, name: int, page: Page) -> Line:
    cells = [Cell(fit(f"   {first}" if name else "", name + 3, page.glyphs), "muted")]
    for text, columns in (("set", SET), ("in force", IN_FORCE), ("seen", SEEN), ("since", SINCE)):
        cells.append(Cell(fit(text, columns, page.glyphs, right=True), "muted"))
    return whole(cells, page)


def _row(title: str, desired: str, states: ThreeStates, name: int, page: Page) -> Iterator[Line]:
    glyphs = page.glyphs
    if width_of(title) > name:  # whole, on a line of its own: it says what a key would act on
        yield from _below([(title, "text")], page, indent=3)
        title = ""
    mark, role = _mark(states, glyphs)
    since = "" if states.since_s is None else age(states.since_s)
    in_force, force_role = _in_force(states.applied, glyphs)
    seen, seen_role = _seen(states.observed, glyphs)
    yield whole(
        [
            Cell(" "),
            Cell(mark, role),
            Cell(f" {fit(title, name, glyphs)}"),
            Cell(fit(said(desired, glyphs), SET, glyphs, right=True)),
            Cell(fit(in_force, IN_FORCE, glyphs, right=True), force_role),
            Cell(fit(seen, SEEN, glyphs, right=True), "suspect" if states.has_parted else seen_role),
            Cell(fit(since, SINCE, glyphs, right=True), "muted"),
        ],
        page,
    )


def _mark(states: ThreeStates, glyphs: Glyphs) -> tuple[str, str]:
    state = states.applied.state
    if states.has_parted or state == "drifted":
        return glyphs.differs, "suspect"
    if state == "untold":
        return glyphs.no_data, "stale"
    if state in ("ramping", "pending"):
        return glyphs.ramping if state == "ramping" else glyphs.waits, "pending"
    return ("?", "unknown") if state == "unknown" else (" ", "text")


def _in_force(applied: Applied, glyphs: Glyphs) -> tuple[str, str]:
    share = "?" if applied.share is None else percent(applied.share)
    if applied.state == "applied":
        return share, "text"
    if applied.state == "untold":
        return f"{glyphs.no_data}{share}", "stale"
    if applied.state == "ramping":
        return f"{share} ramp", "pending"
    if applied.state in ("pending", "drifted"):
        return f"{share} {applied.state[:5]}" if applied.state == "drifted" else "pending", "pending"
    return "?", "unknown"


def _seen(observed: Observed, glyphs: Glyphs) -> tuple[str, str]:
    if observed.share is None:
        return glyphs.nothing, "muted"
    if observed.quality is Quality.STALE:
        return f"{glyphs.no_data}{percent(observed.share)}", "stale"
    unsure = observed.quality is not Quality.GOOD
    return f"{percent(observed.share)}{'?' if unsure else ''}", "suspect" if unsure else "text"


def _cell(one: _Shown, name: int, page: Page) -> Iterator[Line]:
    throttle, states = one
    preset = level(throttle.level, page.glyphs) if throttle.unit == "share" else _limit(throttle)
    exact = "" if throttle.level is None else percent(throttle.level)
    desired = exact if preset in (exact, page.glyphs.dash) else f"{preset} {exact}".strip()
    yield from _row(_cell_name(throttle), desired, states, name, page)
    yield from _below(_sentences(one, page), page)


def _sentences(one: _Shown, page: Page) -> Iterator[tuple[str, str]]:
    """What is to be said of a cell, the most wanted first, each with its role."""
    throttle, states = one
    if states.complaint:
        yield states.complaint, "suspect"
    applied = states.applied
    if applied.state == "ramping" and applied.per_min is not None:
        there = "" if applied.to_go_s is None else f", there in {duration(applied.to_go_s)}"
        yield f"ramping to {admit(throttle.level)} {by_ramp(applied.per_min)}{there}", "pending"
    if applied.state == "pending":
        yield "pending: the plane has not confirmed that it is in force", "pending"
    if applied.state == "unknown":
        yield "unknown: the plane cannot tell what is in force", "unknown"
    yield _end(throttle, states, page)
    if (change := throttle.last_change) is not None:
        why = f": {change.reason}" if change.reason else ""
        yield f"by {change.actor} at {clock(change.at)}{why}", "muted"
    if throttle.etag:
        yield f"rev {throttle.etag}", "muted"
    if states.observed.share is None:
        yield f"not seen: {states.observed.why}", "muted"
    elif states.observed.requests is not None:
        yield f"seen of {rate(states.observed.requests)} requests/s", "muted"


def _end(throttle: Throttle, states: ThreeStates, page: Page) -> tuple[str, str]:
    now = page.plane_time
    left = left_s(throttle, now)
    if left is None:
        endless = is_endless(throttle, now) and states.since_s is not None
        since = f", set {age(states.since_s or 0)} ago" if endless else ""
        return f"no end{since}", "suspect" if endless else "muted"
    then = f"then {admit(returns_to(throttle))} {by_ramp(throttle.return_ramp_per_min)}"
    if is_overdue(throttle, now):
        return f"overdue: should have ended {duration(-left)} ago, {then}", "suspect"
    return f"ends in {duration(left)}, {then}", "muted"


def _open_ones(feature: str, shown: Sequence[_Shown], page: Page) -> Iterator[Line]:
    """The tiers of a feature that need no line of their own, in one."""
    plain = {one.throttle.tier for one in shown if one.is_plain}
    if not shown:
        yield told(f"{feature}  not throttled anywhere", page)
    elif plain:
        titles = [tier.title for tier in page.frame.tiers if tier.name in plain]
        everyone = len(plain) == len(shown)
        whom = "every tier" if everyone else ", ".join(titles) or ", ".join(sorted(plain))
        yield from _below([(f"{feature}  open to {whom}", "muted")], page, indent=3)


def _gate(release: Release, page: Page) -> Iterator[Line]:
    glyphs = page.glyphs
    yield padded([Cell(f"   gate {release.gate}", "text" if release.gate == "open" else "pending")], page)
    shapes = {"pass": glyphs.passed, "passed": glyphs.passed, "ok": glyphs.passed, "open": glyphs.passed}
    shapes |= {"fail": glyphs.failed, "failed": glyphs.failed, "closed": glyphs.failed}
    for check in release.checks:
        mark = shapes.get(check.state, glyphs.no_data)
        role = "refused" if mark == glyphs.failed else "text"
        ready = ""
        if check.ready_at is not None and mark != glyphs.passed:
            left = check.ready_at - page.plane_time
            ready = f"  ready in {duration(left)}" if left > 0 else "  due"
        text = f"   {mark} {fit(check.id, 18, glyphs)} {check.state}{ready}  {check_detail(check)}"
        yield padded([Cell(said(text.rstrip(), glyphs), role)], page)
    paused = f"paused: {release.pause_reason}" if release.pause_reason else ""
    for text in (paused, release.message):
        if text:
            yield told(text, page)
    if (change := release.last_change) is not None:
        why = f": {change.reason}" if change.reason else ""
        yield from _below([(f"{change.op} by {change.actor} at {clock(change.at)}{why}", "muted")], page, 3)


def _below(sentences: Iterable[tuple[str, str]], page: Page, indent: int = INDENT) -> Iterator[Line]:
    """Sentences below a row, none cut; those of one role that follow each other share their lines."""
    room = max(page.width - indent, 2)
    for role, group in groupby(sentences, key=lambda one: one[1]):
        text = f" {page.glyphs.nothing} ".join(sentence for sentence, _ in group)
        for piece in wrapped(said(text, page.glyphs), room):
            yield padded([Cell(" " * min(indent, page.width)), Cell(piece, role)], page)


def _rank(one: _Shown, page: Page) -> tuple[int, int, int]:
    now, throttle = page.plane_time, one.throttle
    order = [tier.name for tier in page.frame.tiers]
    urgent = 0 if is_overdue(throttle, now) else 1 if is_endless(throttle, now) else 2
    features = list(dict.fromkeys(t.feature for t in page.frame.throttles))
    place = order.index(throttle.tier) if throttle.tier in order else len(order)
    return urgent, features.index(throttle.feature), place


def _cell_name(throttle: Throttle) -> str:
    return f"{throttle.feature}/{throttle.tier}"


def _name_width(names: Iterable[str], page: Page) -> int:
    longest = max(map(width_of, names), default=0)
    room = page.width - 3 - SET - IN_FORCE - SEEN - SINCE
    return min(longest, NAME_MOST, room) if room >= NAME_LEAST else 0


def _limit(throttle: Throttle) -> str:
    return throttle.unit if throttle.limit is None else f"{throttle.limit:g} {throttle.unit}"
