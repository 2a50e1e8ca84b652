"""The folder of a recording's segments: their names, which may go, and what to say about the place.

A segment goes whole, oldest first, and never while somebody holds its lock. Source: docs/tgrec.md, "Writer".
"""

import errno
import fcntl
import os
import re
import stat
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from collectors.recording.layout import RecordingError

SUFFIX = ".tgrec"
MARKS = ".marks.jsonl"
"""Ends the name of the file beside a segment that holds bookmarks made later."""

_NAME = re.compile(
    r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z-(?P<recording>[0-9a-f]{12})-(?P<number>\d{4,9})\.tgrec"
)
_REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs", "ceph", "glusterfs"})
_LEAST_SEGMENT = 2**20


@dataclass(frozen=True, slots=True)
class RingLimits:
    """How much is kept. max_bytes: of all segments together; max_age_s: since one was last written to

    segment_bytes, segment_s: after so much a new segment begins
    The first two are by default what a configuration that says nothing of them has.
    """

    max_bytes: int = 2_000 * 10**6
    max_age_s: float = 14 * 86_400.0
    segment_bytes: int = 256 * 2**20
    segment_s: float = 86_400.0

    @property
    def segment_most(self) -> int:
        """Bytes of one segment: at most a quarter of all, so that the ring is never its own newest part."""
        return min(self.segment_bytes, max(self.max_bytes // 4, _LEAST_SEGMENT))


class Segment(NamedTuple):
    """A segment by its name. start: UTC, seconds since the epoch; changed: when it was last written to"""

    path: Path
    start: float
    recording: str
    number: int
    size: int
    changed: float


def new_id() -> str:
    """The id of a new recording: 12 hexadecimal digits."""
    return uuid.uuid4().hex[:12]


def segment_name(start: float, recording: str, number: int) -> str:
    """A segment's file name. Names sort by time."""
    return f"{datetime.fromtimestamp(start, UTC):%Y%m%dT%H%M%SZ}-{recording}-{number:04d}{SUFFIX}"


def is_name(name: str) -> bool:
    """Whether a file has the name of a segment."""
    return _NAME.fullmatch(name) is not None


def segments(folder: Path) -> list[Segment]:
    """The segments in a folder, the oldest first; other files are not looked at. raises: OSError"""
    return sorted(_segments(folder), key=lambda one: (one.start, one.recording, one.number))


def _segments(folder: Path) -> Iterator[Segment]:
    for entry in os.scandir(folder):
        if (found := _NAME.fullmatch(entry.name)) is None:
            continue
        try:
            status = entry.stat(follow_symlinks=False)
            year, month, day, hour, minute, second = map(int, found.groups()[:6])
            start = datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
        except (FileNotFoundError, ValueError):
            continue  # pruned by another process just now, or no time at all
        if stat.S_ISREG(status.st_mode):
            yield Segment(
                Path(entry.path),
                start,
                found["recording"],
                int(found["number"]),
                status.st_size,
                status.st_mtime,
            )


def prune(folder: Path, limits: RingLimits, keep: Path | None = None) -> list[Path]:
    """Remove what is over the limits, with its bookmarks. Returns what went.

    keep: the segment that is being written. raises: OSError if the folder cannot be read
    """
    found = segments(folder)
    total, oldest = sum(one.size for one in found), time.time() - limits.max_age_s
    gone = []
    for one in found:
        if total <= limits.max_bytes and one.changed >= oldest:
            continue
        if one.path != keep and _removed(one.path):
            total -= one.size
            gone.append(one.path)
    return gone


def _removed(path: Path) -> bool:
    """Whether the segment is gone now. Not if it is being written, or may not be removed."""
    try:
        opened = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        # Held while it goes: who would append to it meanwhile sees that it lost the race.
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
        path.with_name(path.name + MARKS).unlink(missing_ok=True)
    except OSError:
        return False
    finally:
        os.close(opened)
    return True


def make_folder(folder: Path) -> None:
    """The folder, for its owner alone. raises: RecordingError for a link or a file in its place; OSError"""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.close(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC))
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENOTDIR}:
            raise RecordingError(
                f"{folder} is a symbolic link or no folder: name the folder itself"
            ) from error
        raise


def warning(folder: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """What to tell of the place recordings go to; "" where it is fine."""
    try:
        mode = folder.stat().st_mode
    except OSError:
        return ""
    kind = _file_system(folder, mounts)
    if kind in _REMOTE:
        return (
            f"{folder} is on a network file system ({kind}): locks and crash safety are not what they are on "
            "a local disk. Record to a local folder"
        )
    if mode & 0o022 and not mode & stat.S_ISVTX:
        return f"others can write to {folder}: run `chmod go-w {folder}`"
    return ""


def _file_system(folder: Path, mounts: Path) -> str:
    """Kind of the file system a folder is on, as the kernel names it; "" where it does not tell."""
    try:
        lines = mounts.read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    place, best, kind = folder.resolve(), -1, ""
    for line in lines:
        fields, _, rest = line.partition(" - ")
        words = fields.split(" ")
        if len(words) < 5 or not rest:
            continue
        mounted = Path(words[4].replace("\\040", " "))
        # The later of two mounts on one place is the one that is seen.
        if place.is_relative_to(mounted) and len(mounted.parts) >= best:
            best, kind = len(mounted.parts), rest.split(" ")[0]
    return kind
