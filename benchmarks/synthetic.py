"""The cockpit on an invented fleet: `python -m benchmarks.synthetic [--models N]`.

As the real command does, it imports nothing of the source before the first paint.
"""

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collectors.fleet import Source


def main(arguments: list[str] | None = None) -> int:
    """Start the cockpit on the invented fleet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=50, metavar="N", help="models in the fleet (50)")
    parser.add_argument("--seconds", type=float, metavar="S", help="quit after that long")
    parser.add_argument("--glyphs", choices=("unicode", "ascii"), default="unicode")
    parser.add_argument("--theme", default="tidegate-dark", metavar="NAME")
    parser.add_argument(
        "--loop-delay", metavar="FILE", help="sample the event loop's delay; write it as JSON"
    )
    given = parser.parse_args(arguments)

    from tui.app import CockpitApp

    def connect() -> "Source":
        from benchmarks.synthetic_fleet import Size, SyntheticSource

        return SyntheticSource(Size(models=given.models))

    app = CockpitApp(
        connect, context="synthetic", theme=given.theme, glyphs=given.glyphs, seconds=given.seconds
    )
    if not given.loop_delay:
        return app.run() or 0
    from benchmarks.loop_delay import run_sampled

    return run_sampled(app, given.loop_delay)


if __name__ == "__main__":
    sys.exit(main())
