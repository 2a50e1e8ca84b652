"""Every benchmark, one after the other: `make benchmarks`, or `python -m benchmarks [NAME ...]`.

Prints each one's table and writes all reports as JSON to benchmarks/results/report.json. Exit status 1 if a
budget is missed or a benchmark could not run.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

NAMES = (
    "screen",
    "demo",
    "drawing",
    "simulator",
    "scrape",
    "prometheus",
    "big_prometheus",
    "operating",
    "key_to_write",
    "accidents",
    "recording_size",
    "recording_seek",
    "recording_damage",
    "recording_hostile",
    "recording_kills",
    "faithful",
    "reconstruct",
)
RESULTS = Path(__file__).parent / "results"


def main() -> int:
    """Run them, in processes of their own: one must not warm the other."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(NAMES)} (all)")
    chosen = parser.parse_args().names or list(NAMES)
    if strange := sorted(set(chosen) - set(NAMES)):
        parser.error(f"no benchmark {', '.join(strange)}; there are: {', '.join(NAMES)}")
    reports: dict[str, object] = {}
    failed = []
    for name in chosen:
        print(f"\n{name}", flush=True)
        done = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}"], stdout=subprocess.PIPE, text=True, check=False
        )
        table, reports[name] = parted(done.stdout)
        print(table or listed(reports[name]), flush=True)
        if done.returncode:
            failed.append(name)
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / "report.json"
    file.write_text(json.dumps(reports, indent=1), encoding="utf-8")
    print(
        f"\nreport: {file}"
        + (f"; missed or failed: {', '.join(failed)}" if failed else "; every budget holds")
    )
    return 1 if failed else 0


def listed(report: object) -> str:
    """A report of plain figures, a line each."""
    figures = report.items() if isinstance(report, dict) else ()
    return "\n".join(f"{key.replace('_', ' '):36} {value}" for key, value in figures)


def parted(printed: str) -> tuple[str, object]:
    """The table, and the JSON that follows it, on one line or on several."""
    for at in range(len(printed)):
        if printed[at] == "{" and (at == 0 or printed[at - 1] == "\n"):
            try:
                return printed[:at].rstrip(), json.loads(printed[at:])
            except ValueError:
                continue
    return printed.rstrip(), None


if __name__ == "__main__":
    sys.exit(main())
