"""Whether writes hold: two operators at one moment, and a plane that is killed behind a network that harms.

    python -m benchmarks.operating [--rounds N] [--steps N] [--seed N]

Two press advance on one stage, then two set one cell: each time one is applied, the other told by whom.
Then the fault campaign against a `tidegate plane serve` process on a file. Prints a table and one JSON line.
Exit status 1 if anything did not hold; then also what, and the decisions before it.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from collectors.control.native import NativePlane
from collectors.control.server.access import Token
from collectors.control.server.app import Limits
from collectors.control.server.store import Store
from tests.campaigns import race_for_levels, race_for_stages
from tests.fault_campaign import Report, run_campaign
from tests.integration.control_serving import NOW, example, serving
from tests.integration.test_two_operators import ANN, BEN, RELEASE

Planes = dict[str, NativePlane]
SECONDS = "seconds"


async def _raced(race: Callable[[Planes], Awaitable[Counter[str]]]) -> dict[str, float]:
    """A race's counts, and the seconds it took."""
    tokens: list[Token] = [ANN, BEN]
    store, seed = Store.open(None), example()
    store.seed(seed | {"releases": [*seed["releases"], RELEASE]}, NOW)
    async with serving(store, limits=Limits(writes_per_min=1_000_000), tokens=tokens) as plane:
        planes = {one.actor: NativePlane(plane.url, lambda one=one: one.secret) for one in tokens}  # type: ignore[misc]  # bound
        began = time.monotonic()
        try:
            counts = await race(planes)
        finally:
            for each in planes.values():
                await each.aclose()
    return {**counts, SECONDS: round(time.monotonic() - began, 1)}


def races(rounds: int, seed: int) -> dict[str, dict[str, float]]:
    """Both races, by name."""
    return {
        "stages": asyncio.run(_raced(lambda planes: race_for_stages(planes, "raced", rounds, seed))),
        "levels": asyncio.run(_raced(lambda planes: race_for_levels(planes, "voice", "free", rounds, seed))),
    }


def campaign(steps: int, seed: int) -> Report:
    """The fault campaign, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(run_campaign(Path(folder), steps=steps, seed=seed))


def did_hold(counts: dict[str, float], rounds: int) -> bool:
    """Whether of every round one was applied, nothing else moved, and the other was told by whom."""
    whole = [counts.get(name) for name in ("rounds", "applied", "told")]
    return whole == [rounds] * 3 and counts.get("moved", rounds) == rounds and not counts.get("lost", 0)


def main(arguments: list[str] | None = None) -> int:
    """Run them, print, judge."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=1000, metavar="N", help="of each race (1000)")
    parser.add_argument("--steps", type=int, default=2000, metavar="N", help="of the campaign (2000)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of what is drawn (1)")
    given = parser.parse_args(arguments)
    found = races(given.rounds, given.seed)
    holds = True
    for name, counts in found.items():
        holds &= (is_held := did_hold(counts, given.rounds))
        said = ", ".join(f"{value:g} {what}" for what, value in counts.items())
        print(f"{f'two at once, {name}':<28}{said}  {'ok' if is_held else 'BROKEN'}")
    report = campaign(given.steps, given.seed)
    for name, value in report.figures().items():
        print(f"{name.replace('_', ' '):<28}{_shown(value)}")
    if report.faults:
        print(report.told(), file=sys.stderr)
    holds &= not report.faults
    print(f"{'fault campaign':<28}{'ok' if not report.faults else 'BROKEN'}")
    print(json.dumps({"races": found, "campaign": report.figures()}))
    return 0 if holds else 1


def _shown(value: object) -> str:
    if isinstance(value, Counter):
        return ", ".join(f"{name} {times}" for name, times in sorted(value.items())) or "none"
    return f"{len(value)}" if isinstance(value, list) else f"{value}"


if __name__ == "__main__":
    sys.exit(main())
