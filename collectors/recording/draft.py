"""A file that is written aside, and takes its name once it is whole: never half of one, over no other."""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from collectors.fleet import clean
from collectors.recording.layout import RecordingError


@contextmanager
def draft(out: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A path to write to; it becomes `out` if the block ends without an exception, and is gone otherwise.

    It exists, is empty, and only its owner can read it. raises: RecordingError if `out` is there and not to
    be written over, is no regular file, or cannot be written
    """
    shown = clean(str(out), 500)
    _refuse(out, shown, overwrite)
    try:
        opened, name = tempfile.mkstemp(prefix=".tidegate-", suffix=".part", dir=out.parent)
    except OSError as error:
        raise RecordingError(f"{shown} cannot be written: {error.strerror}. Name another place") from error
    os.close(opened)
    path = Path(name)
    try:
        yield path
        _take(path, out, shown, overwrite)
    except OSError as error:
        raise RecordingError(f"{shown} cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            path.unlink()


def _refuse(out: Path, shown: str, overwrite: bool) -> None:
    try:
        mode = out.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise RecordingError(f"{shown} cannot be written: {error.strerror}. Name another place") from error
    if not stat.S_ISREG(mode):
        raise RecordingError(f"{shown} is no regular file, and was not changed: --out names another one")
    if not overwrite:
        raise RecordingError(f"{shown} is there, and was not changed. --yes writes over it")


def _take(path: Path, out: Path, shown: str, overwrite: bool) -> None:
    with path.open("rb") as written:
        os.fsync(written.fileno())
    if overwrite:
        path.replace(out)
        return
    try:
        # Unlike a rename, a link never takes the place of a file that came meanwhile.
        out.hardlink_to(path)
    except FileExistsError as error:
        raise RecordingError(f"{shown} came meanwhile, and was not changed. --yes writes over it") from error
