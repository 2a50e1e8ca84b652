"""What files that were made to do harm cost those who look at them: CPU and memory, by file and command.

    python -m benchmarks.recording_hostile [NAME ...]

Each file of `tests.hostile_recordings` goes through `recording info`, `recording verify` and all that a
replay asks, each in a process of its own, with the start of the program. Exit status 1 if one takes more than
2 s of CPU or 256 MiB. Then a file of 300,000 records without an INDEX, as no recorder writes it: a reader
gives up before its end and says so. `verify` reads any file to its end, so its seconds for that one are
reported and not judged. With `noise` above 1.2 the machine is busy: CPU time is then that of programs that
share a core.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.ptymeter import noise
from tests.hostile_commands import LOOKING, ran
from tests.hostile_recordings import FILES, closed, talking

SECONDS, MEBIBYTES = 2.0, 256.0
"""Most that looking at a hostile file may cost, of CPU and of memory."""

LONG = "300,000 records, no INDEX"
RECORDS = 300_000


def files(names: list[str]) -> Iterator[tuple[str, bytes]]:
    """Each of the files, by name."""
    yield from closed(name for name in names if name != LONG)
    if LONG in names:
        yield LONG, bytes(talking(RECORDS).data)


def main() -> int:
    """Print the table and a JSON object. Returns 1 if a file costs too much."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = [*sorted(FILES), LONG]
    parser.add_argument("names", nargs="*", metavar="NAME", help="of these files (all)")
    chosen = parser.parse_args().names or known
    if strange := sorted(set(chosen) - set(known)):
        parser.error(f"no file {', '.join(strange)}; there are: {', '.join(known)}")
    figures: dict[str, dict[str, tuple[float, float]]] = {}
    missed: list[str] = []
    print(f"{'file':26} {'MB':>6} {'command':8} {'CPU s':>6} {'MiB':>5}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "evil.tgrec"
        for name, data in files(chosen):
            path.write_bytes(data)
            for what, command in LOOKING.items():
                found = ran(Path(folder), *command, str(path))
                figures.setdefault(name, {})[what] = (round(found.seconds, 2), round(found.megabytes))
                is_missed = found.seconds > SECONDS or found.megabytes > MEBIBYTES
                is_judged = (name, what) != (LONG, "verify")
                missed += [f"{name}, {what}"] if is_missed and is_judged else []
                size, cost = f"{len(data) / 1e6:6.2f}", f"{found.seconds:6.2f} {found.megabytes:5.0f}"
                print(f"{name:26} {size} {what:8} {cost}", flush=True)
    print(f"too much: {'; '.join(missed)}" if missed else f"all within {SECONDS:g} s and {MEBIBYTES:g} MiB")
    print(json.dumps({"noise": noise(), "files": figures}))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
