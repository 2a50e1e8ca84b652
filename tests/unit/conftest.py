"""What several unit tests look at and do not change."""

from pathlib import Path

import pytest

from tests.recording_commands import a_minute


@pytest.fixture(scope="session")
def minute(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of a minute with an event, an action, a view and a mark. It is read, never written to."""
    return a_minute(tmp_path_factory.mktemp("minute") / "minute.tgrec")
