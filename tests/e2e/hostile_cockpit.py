"""The cockpit on a fleet whose every name, summary and event is hostile: started by the pty tests."""

import sys

from collectors.fleet import Source
from tui.app import CockpitApp


def connect() -> Source:
    """Late, as the real command does it."""
    from tests.e2e.hostile_source import HostileSource

    return HostileSource()


if __name__ == "__main__":
    sys.exit(CockpitApp(connect, context="pty").run())
