"""The `[recording]` table of the configuration."""

from pathlib import Path

import pytest

from collectors.config import ConfigError, read_settings


def read(folder: Path, text: str) -> object:
    """The settings of a file with this table."""
    file = folder / "config.toml"
    file.write_text(f"[recording]\n{text}\n")
    return read_settings(file).recording


def test_sessions_are_recorded_unless_told_otherwise(tmp_path: Path) -> None:
    """On, in a ring of 2 GB and two weeks, in the platform's folder."""
    found = read(tmp_path, "")
    assert (found.on, found.max_megabytes, found.max_days, found.folder) == (True, 2_000, 14.0, None)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('on = "no"', "recording.on"),
        ("max_megabytes = 1", "recording.max_megabytes"),
        ("max_days = -3", "recording.max_days"),
        ('redact = ["("]', "recording.redact"),
        ("keep = 3", "recording.keep"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    """With its key; nothing is guessed."""
    with pytest.raises(ConfigError, match=said.replace(".", r"\.")):
        read(tmp_path, line)


def test_a_folder_may_be_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~` is the home directory of whoever records."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read(tmp_path, 'folder = "~/incidents"').folder == tmp_path / "incidents"  # type: ignore[attr-defined]
