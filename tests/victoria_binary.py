"""Where the tests' real VictoriaMetrics comes from."""

from pathlib import Path

from tests.debian_binary import debian_binary


def victoria_binary() -> tuple[Path | None, str]:
    """(the binary, "") or (None, why there is none and what to do)."""
    return debian_binary("victoria-metrics", "VictoriaMetrics")
