"""What stages, gates and the operations of a release mean: pure functions from one state to the next.

Source: control contract, section 3.
"""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from collectors.control import wire

LEGAL_PHASES: Mapping[str, tuple[str, ...]] = {
    "release.advance": ("pending", "progressing", "paused"),
    "release.pause": ("progressing", "paused"),
    "release.resume": ("paused",),
    "release.abort": ("pending", "progressing", "paused", "degraded", "unknown"),
    "release.retry": ("aborted", "degraded"),
    "release.rollback": ("pending", "progressing", "paused", "completed", "aborted", "degraded"),
    "release.set_weight": ("progressing", "paused"),
    "release.register": ("completed", "aborted"),
}
"""The phases in which each operation is legal; of a register, in which a release may start again. An
operator's pause bars `advance`, and is the only one that `resume` ends."""


def share(value: float) -> float:
    """A share as the contract writes it: at most 4 decimals, and no minus before a zero."""
    return round(value, 4) + 0.0


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
    is_last = index == len(release.stages) - 1
    phase, reason = ("completed", None) if is_last else _waiting(release.stages[index])
    status = wire.Status(
        phase=phase,
        pause_reason=reason,
        stage_index=index,
        stage=release.stages[index].id,
        entered_at=wire.render_time(now),
        exposure=_seen(release, exposure(release.stages, release.base, index, tiers)),
    )
    moved = replace(release, status=status)
    if is_last:
        moved = _promoted(moved, release.candidate)
    return with_gate(moved, now)


def at_base(release: wire.Release, phase: str, tiers: Sequence[str]) -> wire.Release:
    """The release at no stage: `phase`, exposure `base`, nothing that holds it."""
    status = wire.Status(
        phase=phase,
        gate=wire.GateState("open"),
        exposure=_seen(release, exposure(release.stages, release.base, None, tiers)),
    )
    return replace(release, status=status)


def paused(release: wire.Release) -> wire.Release:
    """The release held by an operator, where it stands."""
    return replace(release, status=replace(release.status, phase="paused", pause_reason="operator"))


def resumed(release: wire.Release) -> wire.Release:
    """The release with an operator's pause undone, and nothing else: it stays at its stage."""
    index = release.status.stage_index
    phase, reason = ("progressing", None) if index is None else _waiting(release.stages[index])
    return replace(release, status=replace(release.status, phase=phase, pause_reason=reason))


def rolled_back(release: wire.Release, revision: str, tiers: Sequence[str]) -> wire.Release:
    """The release ended at `revision`, which is candidate and stable; exposure `base`."""
    ended = at_base(replace(release, candidate=revision), "completed", tiers)
    return _promoted(ended, revision)


def weighed(release: wire.Release, weight: float) -> wire.Release:
    """The release with another weight for its stage's tier: until it enters a stage, or leaves all.

    raises: TypeError where it stands at no stage.
    """
    index = release.status.stage_index
    if index is None:
        raise TypeError(f"{release.id} stands at no stage: there is no weight to set")
    tier = release.stages[index].tier
    shares = tuple(
        replace(one, desired=share(weight)) if tier in {"*", one.tier} else one
        for one in release.status.exposure
    )
    return replace(release, status=replace(release.status, exposure=shares))


def stage_weight(release: wire.Release) -> float | None:
    """The desired weight of the tier that the current stage names; None where there is none."""
    index = release.status.stage_index
    if index is None:
        return None
    tier = release.stages[index].tier
    # A stage for everyone, and a weight set at one, give every tier the same.
    return next((one.desired for one in release.status.exposure if tier in {"*", one.tier}), None)


def due_stage(release: wire.Release, now: float) -> int | None:
    """The stage an automatic gate moves a release to at `now`; None if it stays."""
    status = release.status
    if status.phase != "progressing" or status.stage_index is None:
        return None
    if release.stages[status.stage_index].gate.kind != "auto" or gate_at(release, now).state != "open":
        return None
    following = status.stage_index + 1
    return following if following < len(release.stages) else None


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


def _waiting(stage: wire.Stage) -> tuple[str, str | None]:
    """Phase and pause reason of a release at a stage that it has yet to leave."""
    return ("paused", "gate") if stage.gate.kind == "manual" else ("progressing", None)


def _promoted(release: wire.Release, revision: str) -> wire.Release:
    history = (revision, *(one for one in release.history if one != revision))
    return replace(release, stable=revision, history=history)


def _seen(release: wire.Release, shares: Sequence[wire.Exposure]) -> tuple[wire.Exposure, ...]:
    """`shares` with what was last seen of each tier: a change of what is desired is not seen at once."""
    observed = {one.tier: one.observed for one in release.status.exposure}
    return tuple(replace(one, observed=observed.get(one.tier)) for one in shares)
