"""Searches for an accident that writes: keys, pastes and clicks on every screen and in every dialog.

    python -m benchmarks.accidents [--seeds N] [--keys N] [--jobs N]

Two thousand keys take two seconds of a core: a hundred seeds of 500 keys an hour and a half of one.
Prints a table and one JSON line; exit status 1 if anything was written or armed that nobody meant to. What
counts as meant is told in tests/screens/test_no_accident.py.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from unittest.mock import patch
from weakref import WeakSet

from tests.accident_places import DIALOGS, PLACES, SCREENS
from tests.accidents import NEAR, NEVER, Sitting, Tally, accidents, clicked, places, sitting, struck
from tui.dialogs.dialog import DialogScreen
from tui.dialogs.drawing import BUTTONS
from tui.screens.panel import Panel

SHOWN = 5
"""Accidents that are told in full."""


@contextmanager
def drawn_when_read() -> Iterator[None]:
    """Dialogs are drawn when somebody reads them, not at every key: that takes two thirds of the time, and
    decides nothing. The tests draw at every key."""
    draw, read = DialogScreen.draw_bottom, Sitting.text.fget
    assert read is not None
    stale: WeakSet[DialogScreen] = WeakSet()

    def put_off(dialog: DialogScreen, **_: object) -> None:
        stale.add(dialog)

    def text(sat: Sitting) -> str:
        dialog = sat.dialog
        if dialog is None:
            return read(sat)
        if dialog in stale:
            stale.remove(dialog)
            draw(dialog)
        return "\n".join(line.text for panel in dialog.query(Panel) for line in panel.lines)

    with patch.object(DialogScreen, "draw_bottom", put_off), patch.object(Sitting, "text", property(text)):
        yield


async def fuzzed(seed: int, keys: int) -> Tally:
    """So many keys and pastes in every place, with writes on and off."""
    tally = Tally()
    for armed in (True, False):
        async with sitting(armed) as sat:
            for place in places(armed):
                tally.add(await accidents(sat, place, seed, keys))
    return tally


async def swept(name: str) -> Tally:
    """Every key that never writes, the likeliest at every row, double clicks on every cell, in one place."""
    place = next(one for one in PLACES if one.name == name)
    async with sitting(not place.arms) as sat:
        tally = await struck(sat, place, NEVER, (BUTTONS,))
        tally.add(await struck(sat, place, NEAR))
        tally.add(await clicked(sat, place, 1 if place.is_dialog else 3))
    return tally


def fuzz(job: tuple[int, int]) -> Tally:
    """In a process of its own."""
    with drawn_when_read():
        return asyncio.run(fuzzed(*job))


def sweep(name: str) -> Tally:
    """In a process of its own."""
    return asyncio.run(swept(name))


def main(arguments: list[str] | None = None) -> int:
    """Search, print, judge."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=100, metavar="N", help="sittings, armed and not (100)")
    parser.add_argument("--keys", type=int, default=100, metavar="N", help="keys in each place (100)")
    parser.add_argument("--first", type=int, default=1, metavar="N", help="the first seed (1)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="N", help="processes (all cores)")
    given = parser.parse_args(arguments)
    started = time.monotonic()
    random, held = Tally(), Tally()
    with ProcessPoolExecutor(given.jobs) as pool:
        names = [place.name for place in PLACES]
        seeds = range(given.first, given.first + given.seeds)
        sweeps = pool.map(sweep, names)
        for done, found in enumerate(pool.map(fuzz, [(seed, given.keys) for seed in seeds]), 1):
            random.add(found)
            told = [f"{done} of {given.seeds} seeds, {len(random.accidents)} accidents", *found.accidents]
            print("\n".join(told), file=sys.stderr, flush=True)
        for found in sweeps:
            held.add(found)
    wrong = [*random.accidents, *held.accidents]
    print(f"{'screens, dialogs':36} {len(SCREENS)}, {len(DIALOGS)}")
    print(f"{'keys and pasted characters':36} {random.keys}")
    print(f"{'held keys, clicks':36} {held.keys}")
    print(f"{'decisions confirmed as meant':36} {random.confirmed}")
    print(f"{'accidents':36} {len(wrong)}  {'ok' if not wrong else 'MISSED'}")
    for text in wrong[:SHOWN]:
        print(f"  {text}")
    report = {
        "seeds": given.seeds,
        "random": {**asdict(random), "accidents": len(random.accidents)},
        "held": {**asdict(held), "accidents": len(held.accidents)},
        "told": wrong[:SHOWN],
        "seconds": round(time.monotonic() - started, 1),
    }
    print(json.dumps(report))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
