"""What was set, what is in force, and what a metric sees: of throttles and of releases, kept apart.

Pure. What is seen comes from readings and from nothing else: where no metric tells it, the reason is said.
"""

from collections.abc import Iterator
from math import sqrt
from typing import NamedTuple

from collectors.fleet import Exposure, Frame, Model, Release, SourceState, Throttle
from collectors.readings import Quality, Reading, worded
from tui.format import admit, age, percent
from tui.widgets.stage_track import EVERYONE

SETTLE_S = 60.0
"""Seconds after a write until what is seen must follow it: a rate is of the last 20 s or more."""

WINDOW_S = 20.0
"""The shortest window of a rate: so many requests at least stand behind an observed share."""

LEAST_REQUESTS = 20
"""Fewer requests than this decide nothing."""

TOLERANCE, TOLERANCE_UNCOUNTED = 0.05, 0.10
"""Difference of shares that may be, besides chance; and where nobody tells how many were counted."""

SIGMAS = 3.0

WARN_S = 300.0
"""A throttle that ends within this time is announced (S12)."""

OVERDUE_S = 10.0
"""Seconds past its end until a throttle that is still told counts as overdue."""

LONG_S = 86_400.0
"""A throttle without an end, set this long ago, may have outlived its purpose."""


class Applied(NamedTuple):
    """What is in force, by the plane's word.

    share: 0..1; None where the plane does not know
    state: applied, ramping, pending, drifted, unknown; `untold` while the plane does not answer
    to_go_s: seconds until a ramp arrives; per_min: its share a minute
    """

    share: float | None
    state: str
    to_go_s: float | None = None
    per_min: float | None = None


class Observed(NamedTuple):
    """What a metric sees.

    share: 0..1; None where none tells, `why` says it then
    requests: a second, of which it is a share; None where that is not counted
    quality: of the readings behind it, the worst
    """

    share: float | None
    requests: float | None = None
    quality: Quality = Quality.GOOD
    why: str = ""


class ThreeStates(NamedTuple):
    """One cell or one tier of a release. since_s: seconds since it was set; None where nobody tells when.

    has_parted: what is seen is not what is in force, though there was time and there were requests enough
    """

    desired: float | None
    applied: Applied
    observed: Observed
    since_s: float | None
    has_parted: bool

    @property
    def differs(self) -> bool:
        """What was set, what is in force and what is seen are not one, though there was time for it."""
        is_late = self.since_s is not None and self.since_s > SETTLE_S
        state = self.applied.state
        return self.has_parted or state == "drifted" or (state == "pending" and is_late)

    @property
    def complaint(self) -> str:
        """In words what is wrong; empty where nothing is."""
        if self.applied.state == "drifted":
            return f"drifted: set to {admit(self.desired)}, in force {_share(self.applied.share)}"
        seen, share = self.observed.share, self.applied.share
        if not self.has_parted or seen is None or share is None:
            return ""
        after = f", {age(self.since_s)} after the write" if self.since_s is not None else ""
        what = f"applied {percent(share)}, seen {percent(seen)}"
        if seen >= 1 - TOLERANCE and share < 1:
            return f"{what}: no effect seen{after}"
        return f"{what}: they differ{after}"


def plane_time(frame: Frame, now: float, wall: float) -> float:
    """The control plane's clock, by which throttles expire. Source: control contract, section 12.

    now: the watched clock; wall: this computer's own. A plane whose clock is not told is taken to agree with
    what is watched, and that of a simulated fleet does.
    """
    offset = frame.plane.clock_offset_s if frame.plane is not None else None
    return now if offset is None or frame.simulated or frame.mode == "REPLAY" else wall + offset


def of_throttle(frame: Frame, throttle: Throttle, now: float) -> ThreeStates:
    """The three states of a cell. now: by the plane's clock."""
    applied = _applied(throttle, is_untold(frame))
    observed = admitted(frame, throttle.feature, throttle.tier)
    change = throttle.last_change
    since_s = _since(change.at if change is not None else None, now)
    parted = throttle.unit == "share" and _parted(applied, observed, since_s, _lag(throttle, since_s))
    return ThreeStates(throttle.level, applied, observed, since_s, parted)


def parted_features(frame: Frame, now: float) -> frozenset[str]:
    """Features with a cell that does not do what somebody set. now: by the plane's clock."""
    return frozenset(
        one.feature
        for one in frame.throttles
        if (one.last_change is not None or not is_open(one)) and of_throttle(frame, one, now).differs
    )


def of_exposure(frame: Frame, release: Release, exposure: Exposure, now: float) -> ThreeStates:
    """The three states of one tier of a release. now: by the plane's clock."""
    if is_untold(frame):
        applied = Applied(exposure.desired, "untold")
    elif release.phase in ("degraded", "unknown"):
        applied = Applied(None, "unknown")
    else:
        applied = Applied(exposure.desired, "applied")
    why = "" if exposure.observed is not None else "no metric observes it"
    observed = Observed(exposure.observed, _arrivals(frame, release, exposure.tier), why=why)
    change = release.last_change
    times = [release.entered_at, change.at if change is not None else None]
    changed_at = max((at for at in times if at is not None), default=None)
    # Whose share the last change moved is not always told: what is seen gets its time to follow it anyway.
    parted = _parted(applied, observed, _since(changed_at, now), 0.0)
    since_s = _since(_share_set_at(release, exposure), now)
    return ThreeStates(exposure.desired, applied, observed, since_s, parted)


def admitted(frame: Frame, feature: str, tier: str) -> Observed:
    """The share of a cell's requests that was admitted, over every model that serves the feature.

    Where a model serves this feature alone, its readings of the tier are those of the cell.
    """
    pairs = [_pair(model, feature, tier) for model in _serving(frame, feature)]
    known = [(a, r) for a, r in pairs if a.estimate is not None and r.estimate is not None]
    if not known:
        return Observed(None, None, Quality.MISSING, _why(frame, pairs))
    arrivals = sum(a.estimate or 0.0 for a, _ in known)
    rejected = sum(r.estimate or 0.0 for _, r in known)
    qualities = [one.quality for pair in known for one in pair]
    quality = next((q for q in qualities if q is not Quality.GOOD), Quality.GOOD)
    if arrivals <= 0:
        return Observed(None, 0.0, quality, "no request of it in the window")
    if rejected > arrivals * (1 + TOLERANCE):
        return Observed(None, arrivals, Quality.SUSPECT, "more rejections than requests are counted")
    return Observed(max(1 - rejected / arrivals, 0.0), arrivals, quality)


def is_open(throttle: Throttle) -> bool:
    """Everyone is let in, and nothing is on its way to change that."""
    return throttle.in_force == 1 and throttle.state == "applied"


def is_untold(frame: Frame) -> bool:
    """True while a control plane that has spoken does not answer: what it said is shown, marked as stale."""
    return any(s.kind == "plane" and s.state is SourceState.LOST for s in frame.sources)


def returns_to(throttle: Throttle) -> float | None:
    """The level that a cell goes to when its time is up; None if that is no share."""
    before = throttle.revert_to
    if before is None:
        return 1.0
    has_run_out = before.expires_at is not None and before.expires_at <= (throttle.expires_at or 0.0)
    return 1.0 if has_run_out else before.level


def by_ramp(per_min: float | None) -> str:
    """`by 10 %/min`, or `at once`."""
    return "at once" if per_min is None else f"by {per_min * 100:.3g} %/min"


def left_s(throttle: Throttle, now: float) -> float | None:
    """Seconds until the cell's time is up, below 0 past it; None without an end."""
    return None if throttle.expires_at is None else throttle.expires_at - now


def is_overdue(throttle: Throttle, now: float) -> bool:
    """Its time is up, and it is told as if it were not."""
    left = left_s(throttle, now)
    return left is not None and left < -OVERDUE_S


def is_endless(throttle: Throttle, now: float) -> bool:
    """In force without an end for longer than a day, or since nobody knows when."""
    if throttle.expires_at is not None or is_open(throttle):
        return False
    return throttle.last_change is None or now - throttle.last_change.at > LONG_S


def _share_set_at(release: Release, exposure: Exposure) -> float | None:
    """When the share of a tier was set, as far as the release tells: of the stage it stands at, and of a
    weight set there. None for tiers that had theirs before: nobody tells since when."""
    index, change = release.stage_index, release.last_change
    if index is None or release.stages[index].tier not in (EVERYONE, exposure.tier):
        return None
    if change is not None and change.op == "release.set_weight":
        return change.at
    base = {one.tier: one.desired for one in release.base}
    before = base.get(exposure.tier, base.get(EVERYONE, 0.0))
    for stage in release.stages[:index]:
        before = stage.weight if stage.tier in (EVERYONE, exposure.tier) else before
    is_by_stage = round(release.stages[index].weight, 4) == round(exposure.desired, 4) != round(before, 4)
    return release.entered_at if is_by_stage else None


def _since(at: float | None, now: float) -> float | None:
    return None if at is None else max(now - at, 0.0)


def _applied(throttle: Throttle, untold: bool) -> Applied:
    known = throttle.effective_level
    share = throttle.level if known is None and throttle.state in ("applied", "untold") else known
    if untold:
        return Applied(share, "untold")
    if throttle.state != "ramping":
        return Applied(share, throttle.state)
    rate = _rate(throttle)
    if share is None or throttle.level is None or not rate:
        return Applied(share, "ramping", None, rate)
    return Applied(share, "ramping", abs(throttle.level - share) / rate * 60, rate)


def _rate(throttle: Throttle) -> float | None:
    """Share a minute of the ramp it is on, or may have been: its own, else that of the way back."""
    change = throttle.last_change
    was_set = change is not None and change.op == "throttle.set" and throttle.state != "ramping"
    if throttle.ramp_per_min is not None or was_set:
        return throttle.ramp_per_min
    return throttle.return_ramp_per_min


def _lag(throttle: Throttle, since_s: float | None) -> float:
    """How far behind a ramp a rate of the last minute may be; 0 once any ramp must have ended.

    When it ended is not told: the longest there is goes from 0 to 1.
    """
    rate = _rate(throttle)
    is_over = since_s is None or not rate or since_s > 60 / rate + SETTLE_S
    return 0.0 if rate is None or (is_over and throttle.state != "ramping") else rate * SETTLE_S / 60


def _parted(applied: Applied, observed: Observed, since_s: float | None, lag: float) -> bool:
    if applied.share is None or observed.share is None or applied.state not in ("applied", "ramping"):
        return False
    if observed.quality is not Quality.GOOD or (since_s is not None and since_s <= SETTLE_S):
        return False
    most = max(share * (1 - share) for share in (applied.share, observed.share))
    if observed.requests is None:
        allowed = TOLERANCE_UNCOUNTED
    elif (number := observed.requests * WINDOW_S) < LEAST_REQUESTS:
        return False
    else:
        allowed = TOLERANCE + SIGMAS * sqrt(most / number)
    return abs(observed.share - applied.share) > allowed + lag


def _serving(frame: Frame, feature: str) -> Iterator[Model]:
    return (model for model in frame.models if feature in model.features or feature in model.cells)


_UNSEEN = Reading(None, None, Quality.MISSING)


def _pair(model: Model, feature: str, tier: str) -> tuple[Reading, Reading]:
    """Arrivals and rejections of the cell at one model."""
    found = model.cells.get(feature, {}).get(tier)
    if found is None and model.features == (feature,) and not model.by_feature.keys() - {feature}:
        found = model.tiers.get(tier)
    found = found or {}
    return found.get("arrivals", _UNSEEN), found.get("rejected", _UNSEEN)


def _why(frame: Frame, pairs: list[tuple[Reading, Reading]]) -> str:
    """Why nothing is seen: what a reading says of itself, else what no metric tells."""
    for pair in pairs:
        for one in pair:
            if one.value is None and one.reason.code:
                return worded(one.reason)
    if any(a.value is not None for a, _ in pairs):
        return "no metric counts its rejections"
    if any(model.by_feature for model in frame.models):
        return "no metric tells its feature and tier together"
    return "no metric tells features apart"


def _arrivals(frame: Frame, release: Release, tier: str) -> float | None:
    """Requests a second of a tier that the release is about, where something counts them."""
    if release.subject_kind == "feature":
        found = [_pair(model, release.subject, tier)[0] for model in _serving(frame, release.subject)]
    else:
        found = [
            model.reading("arrivals", tier)
            for model in frame.models
            if release.subject in (model.name, model.subject)
        ]
    known = [one.estimate for one in found if one.estimate is not None]
    return sum(known) if known else None


def _share(share: float | None) -> str:
    return "unknown" if share is None else percent(share)
