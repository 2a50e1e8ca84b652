"""Where the tests' promtool comes from: it stands beside the Prometheus."""

import os
import shutil

import pytest

from tests.prometheus_binary import prometheus_binary


def promtool() -> str:
    """The binary, or the test is skipped with a sentence; where CI runs it fails instead."""
    if found := shutil.which("promtool"):
        return found
    binary, why = prometheus_binary()
    if binary is not None and (beside := binary.with_name("promtool")).exists():
        return str(beside)
    why = why or "no promtool beside this Prometheus: install Debian's package prometheus"
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)
