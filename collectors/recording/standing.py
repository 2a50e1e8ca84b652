"""How a file stands that is to be recorded into: told without a byte of it being changed."""

import fcntl
import os
from pathlib import Path
from typing import NamedTuple

from collectors.recording.file import HeldError
from collectors.recording.layout import RecordingError
from collectors.recording.segment import Segment


class Standing(NamedTuple):
    """frames: in it; end: its latest time, seconds since the epoch, None without a record

    is_closed: it ends in a footer
    """

    frames: int
    end: float | None
    is_closed: bool


def standing(file: Path) -> Standing | None:
    """None where there is nothing in it, or it is none to go on with: whoever opens it to write says why.

    raises: HeldError if another process records into it
    """
    try:
        if not file.is_file() or not file.stat().st_size:
            return None
        _refuse_held(file)
        segment = Segment(file)
    except HeldError:
        raise
    except (OSError, RecordingError):
        return None
    try:
        table = segment.table
        end = int(table.t_wall.max()) / 1e6 if table.rows else None
        return Standing(len(segment.frame_rows), end, segment.footer is not None)
    finally:
        segment.close()


def _refuse_held(file: Path) -> None:
    opened = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise HeldError(f"another process records into {file}: choose another name") from error
    finally:
        os.close(opened)
