"""The cockpit with an error of its own, in a handler or where keys are read: started by the pty tests."""

import sys
from typing import Any

from collectors.fleet import Source
from tests.e2e.still_cockpit import connect
from tui import terminal
from tui.app import CockpitApp


class Crashing(CockpitApp):
    """Freezing fails with a secret among the locals, and in the text of the error."""

    def _freeze(self) -> None:
        token = "tok-hunter2"
        raise ValueError(f"no freezing with {token}")


def fail(parser: Any, data: str) -> Any:
    """In place of the parser of keys, once a key comes."""
    token = "tok-hunter2"
    raise ValueError(f"no {data!r} with {token}")


def slow() -> Source:
    """Late, as the real command does it."""
    return connect()


if __name__ == "__main__":
    if sys.argv[1:] == ["input"]:
        terminal.XTermParser.feed = fail  # type: ignore[method-assign]
    app = Crashing(slow, context="pty")
    app.run()
    sys.exit(app.return_code or 0)
