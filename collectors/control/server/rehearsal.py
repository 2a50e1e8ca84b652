"""What a write would change, said without doing it. Source: control contract, section 5."""

from collections.abc import Iterator

from msgspec import to_builtins

from collectors.control import wire
from collectors.control.server.commands import Advance, Command, SetThrottle
from collectors.control.server.preconditions import Resource
from collectors.control.server.writes import Landed
from collectors.control.told import percent

_OF_THE_WRITE = frozenset({"/seq", "/etag", "/last_change", "/status/entered_at", "/status/gate/checks"})
"""What every write moves, or time does: no news."""


def dry_run(command: Command, landed: Landed) -> bytes:
    """The answer to a dry run, as JSON, of a write that was carried out on a copy."""
    before = None if landed.before is None else to_builtins(landed.before)
    changes = tuple(differences(before, to_builtins(landed.after)))
    said = tuple(_warnings(command, landed.before, is_same=not changes))
    return wire.render(wire.DryRun(would_apply=True, changes=changes, warnings=said))


def differences(before: object, after: object, path: str = "") -> Iterator[wire.Difference]:
    """Members that differ, innermost first named by JSON pointer; lists of two lengths differ as a whole."""
    if path in _OF_THE_WRITE or before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for name in before | after:
            yield from differences(before.get(name), after.get(name), f"{path}/{name}")
    elif isinstance(before, tuple) and isinstance(after, tuple) and len(before) == len(after):
        for number, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from differences(old, new, f"{path}/{number}")
    else:
        yield wire.Difference(path, before, after)


def _warnings(command: Command, before: Resource | None, *, is_same: bool) -> Iterator[str]:
    body = command.body
    if is_same:
        yield "nothing would change"
    if isinstance(before, wire.Release) and isinstance(body, Advance):
        index = before.status.stage_index
        following = 0 if index is None else index + 1
        ids = [stage.id for stage in before.stages]
        skipped = [] if body.to is None else ids[following : ids.index(body.to)]
        if skipped:
            yield f"goes past {', '.join(skipped)}, and past what their gates would wait for"
        if before.status.gate.state != "open":
            yield f"the gate of {before.status.stage} is {before.status.gate.state}, and overridden"
    if isinstance(before, wire.Throttle) and isinstance(body, SetThrottle) and not is_same:
        back = before.revert_to
        if isinstance(back, wire.Revert) and back.level is not None and body.level != before.level:
            yield f"forgets the setting remembered until now, admit {percent(back.level)}"
