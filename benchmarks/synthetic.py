"""The cockpit on an invented fleet: `python -m benchmarks.synthetic [--models N]`.

As the real command does, it imports nothing of the source before the first paint, and records the session.
"""

import argparse
import sys
import tempfile
from pathlib import Path
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
    parser.add_argument("--no-record", action="store_true", help="as `tidegate watch --no-record` does")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        return run(given, Path(folder))


def run(given: argparse.Namespace, folder: Path) -> int:
    """The cockpit, recorded in the folder."""
    from tui.app import CockpitApp
    from tui.kept import Keeping, SessionRecorder

    def connect() -> "Source":
        from benchmarks.synthetic_fleet import Size, SyntheticSource

        return SyntheticSource(Size(models=given.models))

    recorder = None if given.no_record else SessionRecorder(Keeping("synthetic", folder=folder))
    app = CockpitApp(
        recorder.around(connect) if recorder is not None else connect,
        context="synthetic",
        theme=given.theme,
        glyphs=given.glyphs,
        seconds=given.seconds,
        recorder=recorder,
    )
    if not given.loop_delay:
        return app.run() or 0
    from benchmarks.loop_delay import run_sampled

    return run_sampled(app, given.loop_delay)


if __name__ == "__main__":
    sys.exit(main())
