"""Bookmarks beside a recording, where the disk has no room for them."""

import os
from pathlib import Path

import pytest

from collectors.recording.layout import RecordingError
from collectors.recording.marks import Marked, add_mark, read_marks
from collectors.sessions import Mark

MARKED = Marked(Mark(1.0, "ana", "here"), "0123456789ab", 0, 1, 2)


def test_a_bookmark_of_which_only_a_part_was_written_is_not_said_to_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an error in a sentence; the next one begins on a line of its own, and is found."""
    path, write = tmp_path / "one.tgrec", os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda opened, data: write(opened, data[:7]))
        with pytest.raises(RecordingError, match="only a part could be written"):
            add_mark(path, MARKED)
    assert read_marks(path, "0123456789ab") == ()
    add_mark(path, MARKED)
    assert read_marks(path, "0123456789ab") == (MARKED,)
