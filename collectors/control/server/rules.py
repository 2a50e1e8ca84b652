"""What stages, gates and throttles mean: pure functions from one state to the next.

Source: control contract, sections 3 and 4.
"""

from collections.abc import Sequence

from msgspec import UNSET
from msgspec.structs import replace

from collectors.control import wire


def share(value: float) -> float:
    """A share as the contract writes it: at most 4 decimals."""
    return round(value, 4)


def exposure(
    stages: Sequence[wire.Stage], base: Sequence[wire.TierWeight], index: int | None, tiers: Sequence[str]
) -> tuple[wire.Exposure, ...]:
    """Desired exposure of every tier at stage `index` (None: before the first, or after an abort).

    Stages are cumulative: the last stage at or before `index` that names a tier ("*" names all) decides;
    a tier that none names has its `base`, or 0. `observed` is left empty: it is never copied.
    raises: IndexError if there is no such stage.
    """
    if index is not None and not 0 <= index < len(stages):
        raise IndexError(f"stage {index} of {len(stages)}")
    weights = {one.tier: one.weight for one in base}
    for stage in stages[: 0 if index is None else index + 1]:
        for tier in tiers if stage.tier == "*" else (stage.tier,):
            weights[tier] = stage.weight
    return tuple(wire.Exposure(tier, share(weights.get(tier, 0.0))) for tier in tiers)


def gate_at(release: wire.Release, now: float) -> wire.GateState:
    """The gate of the stage a release stands at, by the hold it still owes.

    Before the first stage, and where a release has ended, nothing holds it: open.
    """
    index, entered = release.status.stage_index, release.status.entered_at
    if index is None or entered is None or release.status.phase == "completed":
        return wire.GateState("open", ())
    hold_s = release.stages[index].gate.hold_s
    if hold_s == 0:
        return wire.GateState("open", ())
    ready = wire.read_time(entered) + hold_s
    stayed = min(max(int(now - ready + hold_s), 0), hold_s)
    is_open = now >= ready
    check = wire.Check(
        "hold", "pass" if is_open else "fail", f"{stayed} of {hold_s} s", wire.render_time(ready)
    )
    return wire.GateState("open" if is_open else "closed", (check,))


def with_gate(release: wire.Release, now: float) -> wire.Release:
    """The release with its gate as it stands at `now`."""
    return replace(release, status=replace(release.status, gate=gate_at(release, now)))


def entered(release: wire.Release, index: int, tiers: Sequence[str], now: float) -> wire.Release:
    """The release on entering stage `index`.

    The last stage is full promotion: completed, the candidate is the stable revision. Another one waits:
    `paused` at a manual gate, `progressing` at an automatic one. Observed shares stay as they were seen.
    raises: IndexError if there is no such stage.
    """
    observed = {one.tier: one.observed for one in release.status.exposure}
    seen = tuple(
        replace(one, observed=observed.get(one.tier))
        for one in exposure(release.stages, release.base, index, tiers)
    )
    is_last = index == len(release.stages) - 1
    waits = not is_last and release.stages[index].gate.kind == "manual"
    status = wire.Status(
        phase="completed" if is_last else "paused" if waits else "progressing",
        pause_reason="gate" if waits else None,
        stage_index=index,
        stage=release.stages[index].id,
        entered_at=wire.render_time(now),
        exposure=seen,
    )
    moved = replace(release, status=status)
    if is_last:
        history = (release.candidate, *(one for one in release.history if one != release.candidate))
        moved = replace(moved, stable=release.candidate, history=history)
    return with_gate(moved, now)


def due_stage(release: wire.Release, now: float) -> int | None:
    """The stage an automatic gate moves a release to at `now`; None if it stays."""
    status = release.status
    if status.phase != "progressing" or status.stage_index is None:
        return None
    if release.stages[status.stage_index].gate.kind != "auto" or gate_at(release, now).state != "open":
        return None
    following = status.stage_index + 1
    return following if following < len(release.stages) else None


def throttled(cell: wire.Throttle, level: float, *, now: float, ttl_s: float | None = None) -> wire.Throttle:
    """The cell set to admit `level`, at once.

    The setting it replaces is remembered for its own remaining time; a set to the level already set
    changes the time only and keeps what was remembered.
    """
    if cell.level == share(level):
        remembered = cell.revert_to
    else:
        remembered = UNSET if cell.level == 1.0 else wire.Revert(cell.level, cell.expires_at)
    return replace(
        cell,
        level=share(level),
        effective_level=share(level),
        state="applied",
        ramp_per_min=None,
        expires_at=None if ttl_s is None else wire.render_time(now + ttl_s),
        revert_to=remembered,
    )


def reverted(cell: wire.Throttle, now: float) -> wire.Throttle:
    """The cell gone back: to the setting it remembers while that has time left, else to level 1.0."""
    back = cell.revert_to
    if (
        not isinstance(back, wire.Revert)
        or back.level is None
        or (back.expires_at is not None and wire.read_time(back.expires_at) <= now)
    ):
        back = wire.Revert(1.0, None)
    return replace(
        cell,
        level=back.level,
        effective_level=back.level,
        state="applied",
        ramp_per_min=None,
        expires_at=back.expires_at,
        revert_to=UNSET,
    )


def is_due(cell: wire.Throttle, now: float) -> bool:
    """Whether the cell's time has run out at `now`."""
    return cell.expires_at is not None and wire.read_time(cell.expires_at) <= now


def controlled_release(release: wire.Release) -> object:
    """What a release's etag stands for: its state less telemetry, wording and times of looking."""
    status = release.status
    return (
        release.title,
        release.subject,
        release.base,
        release.stages,
        release.candidate,
        release.stable,
        release.history,
        status.phase,
        status.pause_reason,
        status.stage,
        status.gate.state,
        tuple((one.tier, one.desired) for one in status.exposure),
    )


def controlled_throttle(cell: wire.Throttle) -> object:
    """What a cell's etag stands for: its setting, less `effective_level` and the state of getting there."""
    return (
        cell.level,
        cell.unit,
        cell.limit,
        cell.baseline,
        cell.ramp_per_min,
        cell.return_ramp_per_min,
        cell.expires_at,
        cell.revert_to,
    )
