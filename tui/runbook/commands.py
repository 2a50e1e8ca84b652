"""What the commands on throttles, releases and the log do, once their options are understood."""

import argparse
import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui.output import as_json, fail, fields_of, no_such, say
from tui.runbook.planes import Plane, asked

if TYPE_CHECKING:
    from collectors.control.interface import PlaneState
    from collectors.fleet import Release, Throttle
    from collectors.intents import Intent

LOAD_MAX_BYTES = 1_048_576

ENDED = ("completed", "aborted")
"""Phases in which a release may start again. Source: control contract, section 3."""


def throttle_set(args: argparse.Namespace) -> int:
    """Set cells to a level."""
    from collectors import intending

    def intent(cell: "Throttle") -> "Intent":
        return intending.set_throttle(
            cell, level=args.level, ttl_s=args.ttl_s, ramp_per_min=args.ramp, revert_to=args.then
        )

    return _throttle(args, intent)


def throttle_clear(args: argparse.Namespace) -> int:
    """End throttles before their time. What would tighten is refused, unless it is asked for by name."""
    from collectors import intending

    def tightens(cell: "Throttle", at: float) -> str:
        back, held = cell.revert_to, cell.in_force
        is_over = back is None or (back.expires_at is not None and back.expires_at <= at)
        if args.then or is_over or back is None or back.level is None or held is None or back.level >= held:
            return ""
        from collectors.control.told import percent

        return (
            f"{cell.feature}/{cell.tier} would go back to the setting before, admit {percent(back.level)}, "
            f"which is less than the admit {percent(held)} of now: give --then open for no throttle, or "
            f"--then previous to tighten"
        )

    def intent(cell: "Throttle") -> "Intent":
        return intending.clear_throttle(cell, revert_to=args.then or "previous")

    return _throttle(args, intent, tightens)


def throttle_list(args: argparse.Namespace) -> int:
    """Print the cells."""

    async def do(plane: Plane) -> int:
        from tui.runbook.telling import throttle_line

        state = await plane.plane.read()
        cells = [one for one in state.throttles if args.all or not _is_open(one)]
        if args.json:
            say(as_json([fields_of(one) for one in cells]))
            return 0
        for cell in cells:
            say(throttle_line(cell, state.at))
        if not cells:
            say("no throttle in force: every feature is open to every tier")
        return 0

    return asked(args, do)


def release_write(args: argparse.Namespace) -> int:
    """Move a release."""
    from collectors import intending
    from tui.runbook.writing import carry_out, unmet

    makes: Mapping[str, Callable[[Release], Intent]] = {
        "advance": lambda one: intending.advance(one, to=args.to, override_gate=args.override_gate),
        "pause": intending.pause,
        "resume": intending.resume,
        "abort": intending.abort,
        "retry": intending.retry,
        "rollback": lambda one: intending.roll_back(one, to_revision=args.to_revision),
        "set_weight": lambda one: intending.set_weight(one, args.weight),
    }

    async def do(plane: Plane) -> int:
        state = await plane.plane.read()
        release = next((one for one in state.releases if one.id == args.release), None)
        if release is None:
            return fail(no_such("release", args.release, (one.id for one in state.releases)))
        stands = intending.stage_id(release) or "none"
        if args.if_stage is not None and args.if_stage != stands:
            who = f", moved by {release.last_change.actor}" if release.last_change else ""
            return unmet(args, f"{release.id} stands at {stands}, not at {args.if_stage}{who}")
        stages = [one.id for one in release.stages]
        if args.to is not None and args.to not in stages:
            return fail(no_such("stage", args.to, stages))
        try:
            intent = makes[args.operation](release)
        except ValueError as error:
            return fail(error)
        return await carry_out(args, plane, [intent], args.reason)

    return asked(args, do)


def release_status(args: argparse.Namespace) -> int:
    """Print where releases stand."""

    async def do(plane: Plane) -> int:
        from tui.runbook.telling import release_lines

        state = await plane.plane.read()
        found = [one for one in state.releases if args.release in {None, one.id}]
        if args.release and not found:
            return fail(no_such("release", args.release, (one.id for one in state.releases)))
        if args.json:
            say(as_json([fields_of(one) for one in found]))
            return 0
        for release in found:
            for line in release_lines(release, state.at, in_full=args.release is not None):
                say(line)
        if not found:
            say("no release; `tidegate plane load FILE` registers one")
        return 0

    return asked(args, do)


def wait(args: argparse.Namespace) -> int:
    """Wait until a release stands at a stage or a later one."""
    from tui.runbook.waiting import follow

    return asked(args, lambda plane: follow(args, plane))


def audit(args: argparse.Namespace) -> int:
    """Print the log, or check its chain."""
    if args.release is not None and (args.feature is not None or args.tier is not None):
        return fail("give --release, or --feature and --tier, not both")

    async def do(plane: Plane) -> int:
        from tui.runbook.logs import print_log, verify_log

        return await (verify_log(args, plane) if args.verify else print_log(args, plane))

    return asked(args, do)


def load(args: argparse.Namespace) -> int:
    """Register the candidates of a file."""
    from tui.runbook.writing import carry_out, unmet

    try:
        bodies = _bodies(args.file)
    except ValueError as error:
        return fail(f"{args.file}: {error}")

    async def do(plane: Plane) -> int:
        from collectors import intending

        state = await plane.plane.read()
        held = {one.id: one for one in state.releases}
        worst = 0
        for body in bodies:
            reason = body.pop("reason", None) or args.reason
            if not isinstance(reason, str):
                return fail(f"{args.file}: {body.get('id')} has no reason: give it one, or --reason")
            id = str(body.get("id"))
            release = held.get(id)
            if release is not None and release.phase not in ENDED:
                at = intending.stage_id(release) or "its begin, before its first stage"
                again = "it can start again once completed or aborted"
                status = unmet(args, f"{id} runs already, {release.phase} at {at}; {again}")
            else:
                told = partial(_of_body, file=args.file, id=id)
                status = await carry_out(args, plane, [intending.register(body, release)], reason, told=told)
            worst = max(worst, status)
            if status and not args.dry_run:
                break
        return worst

    return asked(args, do)


def _of_body(text: str, *, file: Path, id: str) -> str:
    """A refusal of a body of a user's file, said of that file: nothing about either version is wrong."""
    found = re.search(r"takes register for invalid \(400(?:: )?(.*)\); correct it", text, re.DOTALL)
    return text if found is None else f"the body of {id} in {file}: {found[1] or 'not valid'}"


def _throttle(
    args: argparse.Namespace,
    intent: "Callable[[Throttle], Intent]",
    forbids: "Callable[[Throttle, float], str]" = lambda cell, at: "",
) -> int:
    """forbids: why a cell is left as it is at the plane's time, a sentence; "" where it may be written"""
    from collectors.control.told import percent
    from tui.runbook.writing import carry_out, refused, unmet

    async def do(plane: Plane) -> int:
        state = await plane.plane.read()
        if wrong := _unknown_cell(args, state):
            return fail(wrong)
        cells = {(one.feature, one.tier): one for one in state.throttles}
        chosen = [cells[args.feature, tier] for tier in dict.fromkeys(args.tier)]
        for cell in chosen:
            if args.if_level is not None and cell.level != args.if_level:
                stands = "unknown" if cell.level is None else f"admit {percent(cell.level)}"
                who = f", set by {cell.last_change.actor}" if cell.last_change else ""
                wanted = f"admit {percent(args.if_level)}"
                return unmet(args, f"{cell.feature}/{cell.tier} is {stands}, not {wanted}{who}")
        if why := next(filter(None, (forbids(cell, state.at) for cell in chosen)), ""):
            return refused(args, why)
        return await carry_out(args, plane, [intent(cell) for cell in chosen], args.reason)

    return asked(args, do)


def _unknown_cell(args: argparse.Namespace, state: "PlaneState") -> str:
    features = dict.fromkeys(one.feature for one in state.throttles)
    if args.feature not in features:
        return no_such("feature", args.feature, features)
    tiers = dict.fromkeys(one.tier for one in state.throttles if one.feature == args.feature)
    wrong = next((tier for tier in args.tier if tier not in tiers), None)
    return "" if wrong is None else no_such("tier", wrong, tiers)


def _is_open(cell: "Throttle") -> bool:
    return cell.level == 1.0 and cell.state == "applied"


def _bodies(file: Path) -> list[dict[str, Any]]:
    """The bodies of a file. raises: ValueError with what is wrong with it."""
    try:
        with file.open("rb") as opened:
            body = opened.read(LOAD_MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror or error}") from error
    if len(body) > LOAD_MAX_BYTES:
        raise ValueError(f"over {LOAD_MAX_BYTES} bytes: give it in parts")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"no valid JSON: {error}") from error
    bodies = found if isinstance(found, list) else [found]
    if not bodies or not all(isinstance(one, dict) and isinstance(one.get("id"), str) for one in bodies):
        raise ValueError("holds neither a body of a register with an id, nor a list of them")
    return bodies
