"""`python -m collectors.simulator`: the simulated fleet as a process of its own."""

import argparse
import sys
from pathlib import Path


def main() -> int:
    """Read the command line and serve. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m collectors.simulator", description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:9900", metavar="HOST:PORT")
    parser.add_argument("--scenario", default="calm", metavar="S", help="name, or a scenario's TOML file")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--speed", type=float, default=1.0, metavar="X", help="simulated seconds a second")
    parser.add_argument("--epoch", choices=("scenario", "wall"), default="wall", help="when minute 0 is")
    parser.add_argument("--truth", type=Path, metavar="FILE", help="write the world's state after each step")
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="write prometheus.yml and tidegate.toml")
    parser.add_argument(
        "--announce", action="store_true", help="print one JSON line; end when standard input closes"
    )
    given = parser.parse_args()
    # Imported here, so that a wrong option is answered at once.
    from collectors.simulator.serve import SimulatorOptions, run_simulator

    return run_simulator(SimulatorOptions(**vars(given)))


if __name__ == "__main__":
    sys.exit(main())
