"""What the cockpit's screen costs, through a pseudo-terminal, beside a bare Textual application.

    python -m benchmarks.screen [--runs N] [--idle S] [--presses N]

Prints a table and one JSON line: each figure, its budget, whether it holds. Exit status 1 if one does not.
Both programs run in turn in one sitting, each with its modules compiled, as installed programs have them;
`noise` above 1.2 means that the clocks cannot be trusted.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.ptymeter import noise

PTYMETER = Path(__file__).with_name("ptymeter.py")
HELLO = (sys.executable, str(Path(__file__).with_name("hello.py")))
COCKPIT = (sys.executable, "-m", "benchmarks.synthetic")


class Figure(NamedTuple):
    """One measured figure and the most it may be."""

    name: str
    value: float
    unit: str
    budget: float

    @property
    def holds(self) -> bool:
        """Whether the budget is kept."""
        return self.value <= self.budget


def print_figures(figures: Sequence[Figure]) -> None:
    """A line for each: what it is, what it may be, and whether it holds."""
    for figure in figures:
        verdict = "ok" if figure.holds else "MISSED"
        print(f"{figure.name:28} {figure.value:8.2f} {figure.unit:7} budget {figure.budget:6.1f}  {verdict}")


def as_data(figures: Sequence[Figure]) -> list[dict[str, Any]]:
    """The same as plain values."""
    return [{**figure._asdict(), "holds": figure.holds} for figure in figures]


@contextmanager
def compiled() -> Iterator[None]:
    """What is started meanwhile finds modules compiled by the starts before, in a folder that is gone after.

    Where PYTHONDONTWRITEBYTECODE is set, a checkout's own modules would be compiled at every start, and those
    of an installed Textual not: no user has it so.
    """
    kept = dict(os.environ)
    with tempfile.TemporaryDirectory() as folder:
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = folder
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(kept)


def metered(command: Sequence[str], *options: str) -> dict[str, Any]:
    """One run of `command` under the pty meter.

    raises: RuntimeError if it did not start or ended early, with what the meter saw.
    """
    done = subprocess.run(
        [sys.executable, str(PTYMETER), "--runs", "1", *options, "--", *command],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    report: dict[str, Any] = json.loads(done.stdout)
    if report["failed_runs"]:
        raise RuntimeError(f"{' '.join(command)}: {report['runs']}")
    return report


def first_paint(runs: int, cockpit: Sequence[str]) -> dict[str, float]:
    """Medians of the first screen with 40 characters, from exec, taken in turn: seconds, and their ratio.

    The first start of each is not counted: it compiles.
    """
    times: dict[str, list[float]] = {"hello": [], "cockpit": []}
    for _ in range(runs + 1):
        for name, command, quit_key in (("hello", HELLO, "ctrl+q"), ("cockpit", cockpit, "q")):
            times[name].append(metered(command, "--idle", "0", "--quit", quit_key)["t_ink"])
    hello, ours = (statistics.median(times[name][1:]) for name in ("hello", "cockpit"))
    return {"hello_s": hello, "cockpit_s": ours, "ratio": ours / hello}


def loop_delay(seconds: float) -> dict[str, float]:
    """Delay of the screen's event loop while it draws, in milliseconds: p50, p99, max."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "delay.json"
        command = [*COCKPIT, "--seconds", str(seconds), "--loop-delay", str(report)]
        metered(command, "--first", "aurora", "--idle", str(seconds + 2))
        found: dict[str, float] = json.loads(report.read_text())
    return found


def measure(
    runs: int, idle_s: float, presses: int, cockpit: Sequence[str]
) -> tuple[list[Figure], dict[str, Any]]:
    """Every figure with its budget, and the raw reports."""
    paint = first_paint(runs, cockpit)
    bare = metered(HELLO, "--idle", str(idle_s), "--quit", "ctrl+q")
    live = ("--first", "aurora", "--quit", "q")
    idle = metered(COCKPIT, *live, "--idle", str(idle_s))
    keys = metered(COCKPIT, *live, "--idle", "0", "--key", "down,down,up", "--presses", str(presses))
    large = metered([*COCKPIT, "--models", "500"], *live, "--idle", str(idle_s))
    delay = loop_delay(idle_s + 4)
    figures = [
        Figure("first paint / bare app", paint["ratio"], "x", 1.3),
        Figure("key to paint, median", keys["key_median_ms"], "ms", 30),
        Figure("key to paint, p95", keys["key_p95_ms"], "ms", 80),
        Figure("CPU above a bare app", idle["idle_cpu_pct"] - bare["idle_cpu_pct"], "points", 5),
        Figure("bytes to the terminal", idle["idle_Bps"] / 1000, "kB/s", 8),
        Figure("RSS, 500 models", large["rss_mb"], "MiB", 100 * 1e6 / 2**20),
        Figure("event-loop delay, p99", delay["p99_ms"], "ms", 16),
    ]
    raw = {
        "first_paint": paint,
        "bare": bare,
        "idle": idle,
        "keys": keys,
        "large": large,
        "loop_delay": delay,
    }
    return figures, raw


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="first paints of each program (5)")
    parser.add_argument("--idle", type=float, default=15, metavar="S", help="seconds watched (15)")
    parser.add_argument("--presses", type=int, default=60, metavar="N", help="keys pressed (60)")
    parser.add_argument(
        "--first-paint-of", metavar="COMMAND", help="compare this command's first paint instead"
    )
    given = parser.parse_args(arguments)
    noise_before = noise()
    cockpit = given.first_paint_of.split() if given.first_paint_of else COCKPIT
    with compiled():
        figures, raw = measure(given.runs, given.idle, given.presses, cockpit)
    noises = (noise_before, noise())
    print_figures(figures)
    print(f"noise {noises[0]:.2f} before, {noises[1]:.2f} after")
    print(json.dumps({"figures": as_data(figures), "noise": noises, "raw": raw}))
    return 0 if all(figure.holds for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
