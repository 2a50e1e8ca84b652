"""The segments of a recording in a folder: those of the newest one, and those that were begun since."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from collectors.recording import ring
from collectors.recording.layout import NewerFormat, RecordingError
from collectors.recording.ring import SUFFIX
from collectors.recording.segment import Segment

SEGMENTS_MOST = 512
"""Segments of a recording that are opened: of more, the last ones."""


class _Name(NamedTuple):
    """A file in the folder. when: it began, by its name, or was written to; recording: "" if untold"""

    when: float
    path: Path
    recording: str


def newest(folder: Path) -> tuple[list[Segment], list[str]]:
    """All segments of the newest recording in a folder, in order, and notices.

    raises: RecordingError if there is none; NewerFormat if it needs a newer reader
    """
    names = sorted(_names(folder), reverse=True)
    notices: list[str] = []
    last: Segment | None = None
    while names and last is None:
        last = _opened(names.pop(0).path, notices)
    if last is None:
        first = f" ({notices[0]})" if notices else ""
        raise RecordingError(f"{folder} holds no recording that can be read{first}")
    found = [last]
    for name in names:
        if not last.id or name.recording not in ("", last.id):
            continue
        if len(found) >= SEGMENTS_MOST:
            notices.append(f"only the last {SEGMENTS_MOST} segments are shown")
            break
        if (one := _opened(name.path, notices)) is None:
            continue
        if one.id == last.id:
            found.append(one)
        else:
            one.close()
    return _each_once(found, notices), notices


def _each_once(found: list[Segment], notices: list[str]) -> list[Segment]:
    """The segments in order, each number once; one with a name as a ring gives them wins."""
    kept: list[Segment] = []
    for one in sorted(found, key=lambda one: (one.number, not ring.is_name(one.path.name), one.path.name)):
        if kept and kept[-1].number == one.number:
            notices.append(
                f"{one.path.name} claims to be the same segment as {kept[-1].path.name}, and is left out"
            )
            one.close()
        else:
            kept.append(one)
    return kept


def recordings(folder: Path) -> tuple[list[list[Path]], list[str]]:
    """The files of each recording in a folder, in order, the oldest recording first; and sentences on those
    that cannot be read. raises: RecordingError if the folder cannot be read"""
    found: dict[str, list[tuple[int, Path]]] = {}
    unread: list[str] = []
    for name in sorted(_names(folder)):
        try:
            one = Segment(name.path)
        except RecordingError as error:
            unread.append(str(error))
            continue
        # Without an id nothing tells what belongs together.
        found.setdefault(one.id or name.path.name, []).append((one.number, name.path))
        one.close()
    return [[path for _, path in sorted(paths)] for paths in found.values()], unread


def following(folder: Path, last: Segment) -> list[Segment]:
    """Segments of a recording that were begun since its last one, in order."""
    if not last.id:
        return []
    found: list[Segment] = []
    try:
        names = [one for one in _names(folder) if one.recording == last.id and one.path.name > last.path.name]
    except RecordingError:
        return []
    for name in sorted(names)[:SEGMENTS_MOST]:
        one = _opened(name.path, [])
        if one is not None and one.id == last.id and one.number > last.number:
            found.append(one)
        elif one is not None:
            one.close()
    return sorted(found, key=lambda one: one.number)


def _names(folder: Path) -> Iterator[_Name]:
    try:
        of_ring = {one.path.name: one for one in ring.segments(folder)}
        paths = [one for one in folder.iterdir() if one.suffix == SUFFIX]
    except OSError as error:
        raise RecordingError(f"{folder} cannot be read: {error.strerror}") from error
    for path in paths:
        if known := of_ring.get(path.name):
            yield _Name(known.start, path, known.recording)
            continue
        try:
            yield _Name(path.stat().st_mtime, path, "")
        except OSError:
            continue  # it was removed just now


def _opened(path: Path, notices: list[str]) -> Segment | None:
    """The segment; None, and a notice, if it cannot be read. raises: NewerFormat"""
    try:
        return Segment(path)
    except NewerFormat:
        raise
    except RecordingError as error:
        notices.append(str(error))
        return None
