"""What releases open to whom, as it changed, and what of it was taken back and not given again. Pure."""

from collections.abc import Iterable
from typing import NamedTuple

from collectors.fleet import Release
from collectors.recording.report.words import portion

SHIFTS_MOST = 20_000
"""Changes that are kept: a file from outside may hold any number."""

_MOVING = frozenset(f"release.{verb}" for verb in ("abort", "advance", "register", "rollback", "set_weight"))
"""What changes how much is open. Of two changes between two frames only the last one is told: a pause, or a
retry, is then not the one that did it."""


class Share(NamedTuple):
    """How much of a tier has what a release opens, before and after, 0..1."""

    tier: str
    before: float
    after: float

    @property
    def told(self) -> str:
        """`100% → 0%`."""
        return f"{portion(self.before)} → {portion(self.after)}"

    def __str__(self) -> str:
        return f"{self.tier} {self.told}"


class Shift(NamedTuple):
    """One change of what a release opens, as two frames tell it.

    at: by the control plane's stamp, else of the frame; is_late: it may have been before, in a gap
    release: its id; candidate: that was open before; is_anew: another candidate begins
    is_planned: the next stage asked for it
    audit_id, actor, reason: of the change, empty where it is not told
    """

    at: float
    is_late: bool
    release: str
    candidate: str
    is_anew: bool
    is_planned: bool
    shares: tuple[Share, ...]
    audit_id: str = ""
    actor: str = ""
    reason: str = ""


class Taken(NamedTuple):
    """What one change took from tiers that end with less than they had: their most and their last share."""

    release: Release
    shift: Shift
    shares: tuple[Share, ...]


class Shifts:
    """Looks at the releases of one frame after another. found: what changed, by id of the release."""

    def __init__(self) -> None:
        self.found: dict[str, list[Shift]] = {}
        self._kept = 0
        self._last: dict[str, Release] = {}
        self._desired: dict[str, dict[str, float]] = {}
        self._ids: frozenset[str] = frozenset()

    def take(self, releases: Iterable[Release], at: float, *, is_late: bool) -> None:
        """How they stand from `at` on. is_late: nothing is known of just before."""
        releases = tuple(releases)
        ids, self._ids = self._ids, frozenset(one.id for one in releases)
        for one in releases:
            before, known = self._last.get(one.id), self._desired.setdefault(one.id, {})
            if before is one:
                continue
            # As the contract writes shares: to 4 decimals.
            desired = {each.tier: round(each.desired, 4) for each in one.exposure}
            shares = tuple(
                Share(tier, known[tier], share)
                for tier, share in desired.items()
                if known.get(tier, share) != share
            )
            has_changed = bool(shares) or (before is not None and before.candidate != one.candidate)
            # Where only metrics tell of a release, nobody is told to have changed it, and its weight falls as
            # it is promoted, too.
            is_told = one.last_change is not None
            if before is not None and has_changed and is_told and self._kept < SHIFTS_MOST:
                is_behind = is_late or one.id not in ids
                self._kept += 1
                self.found.setdefault(one.id, []).append(_shift(before, one, shares, at, is_late=is_behind))
            known.update(desired)
            self._last[one.id] = one

    def taken(self, releases: Iterable[Release]) -> tuple[Taken, ...]:
        """Of each release what its tiers had, and have not, now that it stands like that."""
        found = []
        for one in releases:
            # Of a tier that is not told any more nobody knows what it has.
            tiers = {each.tier for each in one.exposure}
            for shift, shares in _taken(self.found.get(one.id, ())):
                if lost := tuple(share for share in shares if share.tier in tiers):
                    found.append(Taken(one, shift, lost))
        return tuple(found)


def _shift(before: Release, one: Release, shares: tuple[Share, ...], at: float, *, is_late: bool) -> Shift:
    # A model serves its stable revision to everybody else, and a new candidate has yet to open; a feature is
    # the same whatever its candidate is called.
    last, is_told = one.last_change, one.last_change is not None and one.last_change != before.last_change
    op = last.op if last is not None and is_told else ""
    is_anew = before.candidate != one.candidate and one.subject_kind == "model" and op != "release.rollback"
    shift = Shift(at, is_late, one.id, before.candidate, is_anew, op == "release.advance", shares)
    if last is None or op not in _MOVING:
        return shift
    return shift._replace(
        at=last.at, is_late=False, audit_id=last.audit_id, actor=last.actor, reason=last.reason
    )


def _taken(shifts: Iterable[Shift]) -> Iterable[tuple[Shift, list[Share]]]:
    """The changes since which tiers have less than they had, each with their most and their last share."""
    open_: dict[str, tuple[Shift, Share]] = {}
    for shift in shifts:
        if shift.is_anew:
            open_.clear()
            continue
        for tier, before, after in shift.shares:
            since, share = open_.get(tier, (shift, Share(tier, before, after)))
            if after >= share.before or (tier not in open_ and shift.is_planned):
                open_.pop(tier, None)
            else:
                open_[tier] = since, Share(tier, share.before, after)
    found: dict[Shift, list[Share]] = {}
    for since, share in open_.values():
        found.setdefault(since, []).append(share)
    return found.items()
