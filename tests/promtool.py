"""Where the tests' promtool comes from: it stands beside the Prometheus."""

import shutil

from tests.debian_binary import lacking
from tests.prometheus_binary import prometheus_binary


def promtool() -> str:
    """The binary, or the test is skipped with a sentence; where CI runs it fails instead."""
    if found := shutil.which("promtool"):
        return found
    binary, why = prometheus_binary()
    if binary is None:
        lacking(why)
    beside = binary.with_name("promtool")
    if not beside.exists():
        lacking("no promtool beside this Prometheus: install Debian's package prometheus")
    return str(beside)
