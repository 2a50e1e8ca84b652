"""Sentences for a recording that cannot be written: what is wrong, with what, and what to do."""

import errno
from pathlib import Path

from collectors.recording.file import RemovedError
from collectors.recording.layout import RecordingError
from collectors.text import clean

_LONGEST = 400

_MENDS = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "free some space there"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "see who may write there"),
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR), "make its folder"),
    errno.EROFS: "let it be written to",
}
"""What somebody else has to do."""


def trouble(error: OSError | RecordingError, place: Path) -> str:
    """Why nothing is recorded now, while it is tried again."""
    if isinstance(error, RecordingError):
        return clean(f"nothing is recorded: {error}", _LONGEST)
    mend = _MENDS.get(error.errno or 0)
    then = f"{mend}, and it goes on by itself" if mend else "it is tried again each second"
    return clean(f"nothing is recorded: {place}: {error.strerror or error}; {then}", _LONGEST)


def trouble_behind(error: RemovedError) -> str:
    """What was lost, when it goes on already."""
    return clean(f"{error}; another file is begun", _LONGEST)


def trouble_at_end(error: OSError | RecordingError, place: Path) -> str:
    """Why a file has no end, when nothing is tried any more."""
    if isinstance(error, RecordingError):
        return clean(str(error), _LONGEST)
    return clean(f"the end was not recorded: {place}: {error.strerror or error}", _LONGEST)
