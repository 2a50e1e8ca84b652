"""What is seen, made into an intent: which members of a resource an operation's precondition names. Pure.

Source: control contract, section 5. The same functions serve the keys and the command line.
"""

from collections.abc import Mapping

from collectors.fleet import Release, Throttle
from collectors.intents import ANY_ETAG, Intent, Target


def set_throttle(
    cell: Throttle,
    *,
    level: float | None = None,
    limit: float | None = None,
    ttl_s: int | None = None,
    ramp_per_min: float | None = None,
    revert_to: str = "previous",
) -> Intent:
    """Admit `level` (share 0..1), or `limit` in the cell's own unit; exactly one of them.

    ttl_s: None has no end; ramp_per_min: share a minute, None at once; revert_to: previous, open
    """
    arguments: dict[str, object] = {"level": round(level, 4)} if level is not None else {"limit": limit}
    if ttl_s is not None:
        arguments["ttl_s"] = ttl_s
    if ramp_per_min is not None:
        arguments["ramp_per_min"] = ramp_per_min
    if revert_to != "previous":
        arguments["revert_to"] = revert_to
    return _on_cell(cell, "throttle.set", arguments)


def clear_throttle(cell: Throttle, *, revert_to: str = "previous") -> Intent:
    """Back to the setting before, or, with `open`, no throttle at all."""
    arguments: dict[str, object] = {} if revert_to == "previous" else {"revert_to": revert_to}
    return _on_cell(cell, "throttle.clear", arguments)


def advance(release: Release, *, to: str | None = None, override_gate: bool = False) -> Intent:
    """One stage on, or to the later stage `to`."""
    arguments: dict[str, object] = {}
    if to is not None:
        arguments["to"] = to
    if override_gate:
        arguments["override_gate"] = True
    return _on_release(release, "release.advance", arguments)


def pause(release: Release) -> Intent:
    """Stop automatic movement. A brake: it holds whatever the stage is by then."""
    return _brake(release, "release.pause")


def abort(release: Release) -> Intent:
    """Back to the exposure of its base. A brake."""
    return _brake(release, "release.abort")


def resume(release: Release) -> Intent:
    """Undo an operator's pause; the stage stays."""
    return _on_release(release, "release.resume", {})


def retry(release: Release) -> Intent:
    """An aborted release waits to begin again."""
    return _on_release(release, "release.retry", {})


def roll_back(release: Release, *, to_revision: str | None = None) -> Intent:
    """Replace the candidate by a revision of the history, by default the stable one, and end the release."""
    arguments: dict[str, object] = {} if to_revision is None else {"to_revision": to_revision}
    return _on_release(release, "release.rollback", arguments)


def set_weight(release: Release, weight: float) -> Intent:
    """Another share (0..1) of the current stage's tier, until the next stage.

    raises: ValueError before the first stage: there is none whose weight could be set
    """
    if release.stage_index is None:
        raise ValueError(f"{release.id} stands before its first stage: there is no weight to set")
    stage = release.stages[release.stage_index]
    # Of "*" every tier stands at one weight; the first tells it.
    tier = stage.tier if stage.tier != "*" else release.exposure[0].tier if release.exposure else ""
    intent = _on_release(release, "release.set_weight", {"weight": round(weight, 4)})
    return Intent(
        intent.operation,
        intent.target,
        intent.arguments,
        {**intent.seen, "weight": release.desired(tier)},
        intent.etag,
    )


def register(body: Mapping[str, object], release: Release | None) -> Intent:
    """A candidate with its stages: a new release, or, where there is one, the same that starts again.

    body: members of the contract's register, without `from` and `reason`; `id` is among them
    """
    target = Target("release", str(body["id"]))
    if release is None:
        return Intent("release.register", target, dict(body), {}, None)
    seen: dict[str, str | float | None] = {"candidate": release.candidate, "stage": stage_id(release)}
    return Intent("release.register", target, dict(body), seen, release.etag)


def stage_id(release: Release) -> str | None:
    """Id of the stage it stands at; None before the first."""
    return None if release.stage_index is None else release.stages[release.stage_index].id


def _on_cell(cell: Throttle, operation: str, arguments: dict[str, object]) -> Intent:
    seen: dict[str, str | float | None]
    seen = {"level": cell.level} if cell.level is not None else {"limit": cell.limit}
    return Intent(operation, Target("throttle", cell.feature, cell.tier), arguments, seen, cell.etag)


def _on_release(release: Release, operation: str, arguments: dict[str, object]) -> Intent:
    seen: dict[str, str | float | None]
    seen = {"candidate": release.candidate, "stage": stage_id(release)}
    return Intent(operation, Target("release", release.id), arguments, seen, release.etag)


def _brake(release: Release, operation: str) -> Intent:
    seen: dict[str, str | float | None] = {"candidate": release.candidate}
    return Intent(operation, Target("release", release.id), {}, seen, ANY_ETAG)
