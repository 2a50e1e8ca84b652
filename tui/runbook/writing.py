"""One decision of the command line: rehearsed, asked about, carried out, told."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from collectors.intents import Difference, Intent, Outcome, OutcomeKind, Rehearsal, decided
from tui.output import USAGE_ERROR, Printing, as_json, fail, say
from tui.runbook.planes import Plane

REFUSED, CONFLICT, UNKNOWN = 4, 5, 6
STATUS = {
    OutcomeKind.APPLIED: 0,
    OutcomeKind.PENDING: UNKNOWN,
    OutcomeKind.REFUSED: REFUSED,
    OutcomeKind.CONFLICT: CONFLICT,
    OutcomeKind.UNKNOWN: UNKNOWN,
}
"""Exit status by what became of the worst target. One that is still pending is not known to be applied."""


def _as_it_is(text: str) -> str:
    return text


async def carry_out(
    args: argparse.Namespace,
    plane: Plane,
    intents: Sequence[Intent],
    reason: str,
    *,
    told: Callable[[str], str] = _as_it_is,
) -> int:
    """Do, or only rehearse, what was asked. Returns the exit status of the worst target.

    told: puts the sentence of a refusal into words that fit what was asked
    """
    operator = plane.plane.operator()
    if operator is None:
        return fail("refused: this control plane can only be read; nothing was sent", REFUSED)
    if plane.context.writes == "never" and not args.dry_run:
        return fail(
            f'refused: context {plane.name!r} has writes = "never"; nothing was sent; change it in the '
            f"configuration, or give --dry-run",
            REFUSED,
        )
    intents = decided(intents, reason, args.ticket)
    if args.dry_run or not args.yes:
        rehearsals = [replace(o, refusal=told(o.refusal)) for o in await operator.rehearse(intents)]
        _tell_rehearsals(rehearsals, for_scripts=args.json and args.dry_run)
        status = max(map(_status_of, rehearsals), default=0)
        if args.dry_run or status:
            return status
        if not _is_confirmed(plane):
            return USAGE_ERROR
    newest: dict[str, Outcome] = {}
    printing = Printing()
    try:
        async for outcome in operator.carry_out(intents):
            if outcome.kind is OutcomeKind.REFUSED:
                outcome = replace(outcome, text=told(outcome.text))
            newest[outcome.intent.key] = outcome
            if not args.json:
                said = "" if outcome.is_final else " …"
                printing.say(f"{outcome.intent.target}  {outcome.kind.value}{said}  {outcome.text}".rstrip())
                for line in _moved_lines(outcome.moved):
                    printing.say(line)
    except asyncio.CancelledError:
        _tell_interrupted(intents, newest)
        raise
    found = list(newest.values())
    if args.json:
        printing.say(
            as_json({"decision_id": intents[0].decision_id, "outcomes": [_told(one) for one in found]})
        )
    status = max((STATUS[one.kind] for one in found), default=UNKNOWN)
    if printing.error:
        ended = ", ".join(f"{one.intent.target} {one.kind.value}" for one in found)
        return fail(f"the outcome could not be printed ({printing.error}): {ended}", status)
    return status


def _tell_interrupted(intents: Sequence[Intent], newest: Mapping[str, Outcome]) -> None:
    """Say on standard error which targets have no final outcome: what was sent goes on at the plane."""
    known = {key for key, one in newest.items() if one.is_final}
    for one in newest.values():
        if one.is_final:
            fail(f"{one.intent.target} {one.kind.value} before the interrupt")
    left = ", ".join(str(one.target) for one in intents if one.key not in known)
    decision = intents[0].decision_id
    fail(
        f"interrupted: unknown whether it was applied to {left}; "
        f"tidegate audit --decision {decision} tells what was"
    )


def unmet(args: argparse.Namespace, sentence: str) -> int:
    """Say that a condition of the caller's own does not hold: nothing was sent."""
    return _unsent(args, "conflict", sentence, CONFLICT)


def refused(args: argparse.Namespace, sentence: str) -> int:
    """Say why tidegate itself does not do what was asked: nothing was sent."""
    return _unsent(args, "refused", sentence, REFUSED)


def _unsent(args: argparse.Namespace, kind: str, sentence: str, status: int) -> int:
    if args.json:
        say(as_json({"decision_id": "", "outcomes": [], "error": sentence}))
    return fail(f"{kind}: {sentence}; nothing was sent", status)


def _status_of(rehearsal: Rehearsal) -> int:
    if rehearsal.would_apply:
        return 0
    is_conflict = rehearsal.moved or rehearsal.code.startswith("stale") or rehearsal.code == "wrong-phase"
    return CONFLICT if is_conflict else REFUSED


def _tell_rehearsals(rehearsals: Sequence[Rehearsal], *, for_scripts: bool) -> None:
    if for_scripts:
        say(as_json({"rehearsals": [_rehearsed(one) for one in rehearsals]}))
        return
    for one in rehearsals:
        say(f"{one.intent.target}  {'would apply' if one.would_apply else f'refused: {one.refusal}'}")
        for change in one.changes:
            say(f"  {change.what}: {change.before} → {change.after}")
        for line in _moved_lines(one.moved):
            say(line)
        for warning in one.warnings:
            say(f"  warning: {warning}")


def _moved_lines(moved: Sequence[Difference]) -> list[str]:
    return [f"  was {one.what}: {one.before}, is {one.after}" for one in moved]


def _is_confirmed(plane: Plane) -> bool:
    """Whether the person at the terminal says so; a production context wants its name."""
    if sys.stdin is None or not sys.stdin.isatty():
        fail("nobody to ask: give --yes to do it, or --dry-run to look only; nothing was sent")
        return False
    wanted = plane.name if plane.context.production else "y"
    question = f"Type {wanted} to apply: " if wanted != "y" else "Apply? y: "
    print(question, end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip() == wanted:
        return True
    fail("not confirmed; nothing was sent")
    return False


def _rehearsed(one: Rehearsal) -> dict[str, Any]:
    return {
        "target": str(one.intent.target),
        "operation": one.intent.operation,
        "would_apply": one.would_apply,
        "refusal": one.refusal,
        "code": one.code,
        "changes": [change._asdict() for change in one.changes],
        "moved": [change._asdict() for change in one.moved],
        "warnings": list(one.warnings),
    }


def _told(one: Outcome) -> dict[str, Any]:
    return {
        "target": str(one.intent.target),
        "operation": one.intent.operation,
        "outcome": one.kind.value,
        "is_final": one.is_final,
        "was_sent": one.was_sent,
        "text": one.text,
        "code": one.code,
        "audit_id": one.audit_id,
        "moved": [change._asdict() for change in one.moved],
    }
