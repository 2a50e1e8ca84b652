"""A file that is written aside, and takes its name once it is whole: never half of one, over no other."""

import os
import signal
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from collectors.recording.layout import RecordingError, TakenError
from collectors.text import clean

_PREFIX, _SUFFIX = ".tidegate-", ".part"
LEFT_S = 86_400.0
"""Nobody writes any more to a draft that was not written to for so long: a kill or a power cut left it."""


@contextmanager
def draft(out: Path, *, overwrite: bool = False, sources: Sequence[Path] = ()) -> Iterator[Path]:
    """A path to write to; it becomes `out` if the block ends without an exception, and is gone otherwise.

    It exists, is empty, and only its owner can read it. sources: what is read, and never written over
    raises: TakenError if `out` is there and not to be written over, is one of `sources`, or is no regular
    file; RecordingError if it cannot be written
    """
    shown = clean(str(out), 500)
    _refuse(out, shown, overwrite, sources)
    _remove_left(out.parent)
    try:
        opened, name = tempfile.mkstemp(prefix=_PREFIX, suffix=_SUFFIX, dir=out.parent)
    except OSError as error:
        raise RecordingError(f"{shown} cannot be written: {error.strerror}. Name another place") from error
    os.close(opened)
    path = Path(name)
    try:
        with _ended_by_terminate():
            yield path
        _take(path, out, shown, overwrite)
    except OSError as error:
        raise RecordingError(f"{shown} cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            path.unlink()


@contextmanager
def _ended_by_terminate() -> Iterator[None]:
    """SIGTERM ends the block as an exception does, where it would end the process on the spot."""
    is_ours = threading.current_thread() is threading.main_thread()
    if not is_ours or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _remove_left(folder: Path) -> None:
    """Remove drafts of ours that a kill left there."""
    with suppress(OSError):
        for entry in os.scandir(folder):
            if not (entry.name.startswith(_PREFIX) and entry.name.endswith(_SUFFIX)):
                continue
            with suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                is_ours = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
                if is_ours and time.time() - status.st_mtime > LEFT_S:
                    Path(entry.path).unlink()


def _refuse(out: Path, shown: str, overwrite: bool, sources: Sequence[Path]) -> None:
    try:
        mode = out.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise RecordingError(f"{shown} cannot be written: {error.strerror}. Name another place") from error
    if not stat.S_ISREG(mode):
        raise TakenError(f"{shown} is no regular file, and was not changed: --out names another one")
    if any(one.exists() and out.samefile(one) for one in sources):
        raise TakenError(f"{shown} is the recording itself, and was not changed: --out names another file")
    if not overwrite:
        raise TakenError(f"{shown} is there, and was not changed. --yes writes over it")


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
        raise TakenError(f"{shown} came meanwhile, and was not changed. --yes writes over it") from error
