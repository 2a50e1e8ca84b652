"""`tidegate demo` from exec: first paint beside a bare Textual application, and the first live values.

    python -m benchmarks.demo [--runs N]

The simulated fleet comes up beside the screen, in a process of its own: CPU is of both together.
"""

import argparse
import json
import statistics
import sys

from benchmarks.screen import Figure, as_data, compiled, first_paint, metered, print_figures

DEMO = (sys.executable, "-m", "tui", "demo")
LIVE = r"aurora-5 .*\d%"


def main(arguments: list[str] | None = None) -> int:
    """Measure, print a table and a JSON line; 1 if a budget is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="starts of each program (5)")
    given = parser.parse_args(arguments)
    with compiled():
        paint = first_paint(given.runs, DEMO)
        starts = [metered(DEMO, "--first", LIVE, "--idle", "0", "--quit", "q") for _ in range(given.runs)]
        running = metered(DEMO, "--first", LIVE, "--idle", "10", "--quit", "q")
    figures = [
        Figure("demo: first paint / bare app", paint["ratio"], "x", 1.3),
        Figure("demo: first live values", statistics.median(run["t_first"] for run in starts), "s", 2.0),
    ]
    print_figures(figures)
    print(f"demo with its simulator: {running['idle_cpu_pct']:.1f} % of a core, {running['rss_mb']:.0f} MiB")
    print(json.dumps({"figures": as_data(figures), "paint": paint, "running": running}))
    return 0 if all(figure.holds for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
