"""Waiting for a stage: `tidegate wait`."""

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING

from collectors.control.told import span
from collectors.intending import stage_id
from tui.output import as_json, fail, fields_of, no_such, say
from tui.runbook.planes import Plane

if TYPE_CHECKING:
    from collectors.fleet import Release

NOT_IN_TIME, ENDED = 3, 4
"""Exit statuses: time is over; the release can no longer come to that stage."""


async def follow(args: argparse.Namespace, plane: Plane) -> int:
    """Follow the plane until the release is there, can no longer be, or time is over."""
    state = await plane.plane.read()
    release = next((one for one in state.releases if one.id == args.release), None)
    if release is None:
        return fail(no_such("release", args.release, (one.id for one in state.releases)))
    stages = [one.id for one in release.stages]
    if args.stage not in stages:
        return fail(no_such("stage", args.stage, stages))
    first = release
    told = ""
    try:
        async with asyncio.timeout(args.timeout):
            async for update in plane.plane.updates():
                if update.state is not None:
                    found = next((one for one in update.state.releases if one.id == args.release), None)
                    if found is None:
                        return fail(f"{args.release} is gone from the control plane", ENDED)
                    release = found
                if (status := _status(args, first, release)) is not None:
                    return status
                told = _progress(release, update.health.error, told)
    except TimeoutError:
        at = stage_id(release) or "before its first stage"
        return fail(f"not within {span(args.timeout)}: {release.id} is {release.phase} {at}", NOT_IN_TIME)
    return fail("the control plane is no longer followed", 1)


def _status(args: argparse.Namespace, first: "Release", release: "Release") -> int | None:
    """How waiting ends; None while it goes on."""
    who = release.last_change
    by = f" by {who.actor}: {who.reason}" if who else ""
    if release.candidate != first.candidate:
        what = "was rolled back" if release.phase == "completed" else "started again"
        return fail(f"{release.id} {what}, its candidate is {release.candidate} now{by}", ENDED)
    if release.phase == "aborted":
        return fail(f"{release.id} was aborted{by}", ENDED)
    ids = [one.id for one in release.stages]
    index = release.stage_index
    if args.stage in ids and index is not None and index >= ids.index(args.stage):
        say(as_json([fields_of(release)]) if args.json else f"{release.id} stands at {ids[index]}")
        return 0
    if release.phase == "completed":
        return fail(f"{release.id} ended without that stage{by}", ENDED)
    return None


def _progress(release: "Release", error: str, told: str) -> str:
    at = stage_id(release) or "before its first stage"
    why = f" ({release.pause_reason})" if release.pause_reason else ""
    line = error or f"waiting: {release.id} is {release.phase}{why} {at}, gate {release.gate}"
    if line != told:
        print(line, file=sys.stderr, flush=True)
    return line
