"""The segments of a recording in a folder: those of the newest one, and those that were begun since."""

from pathlib import Path

from collectors.recording.layout import RecordingError
from collectors.recording.ring import SUFFIX
from collectors.recording.segment import Segment

SEGMENTS_MOST = 512
"""Segments of a recording that are opened: of more, the last ones."""


def newest(folder: Path) -> tuple[list[Segment], list[str]]:
    """All segments of the newest recording in a folder, in order. raises: RecordingError if there is none"""
    try:
        paths = sorted(one for one in folder.iterdir() if one.suffix == SUFFIX)
    except OSError as error:
        raise RecordingError(f"{folder} cannot be read: {error.strerror}") from error
    notices, newest = [], None
    for path in reversed(paths):
        try:
            newest = Segment(path)
            break
        except RecordingError as error:
            notices.append(str(error))
    if newest is None:
        first = f" ({notices[0]})" if notices else ""
        raise RecordingError(f"{folder} holds no recording that can be read{first}")
    found = [newest]
    # Names sort by time: those of one recording end with what comes before the newest one.
    for path in reversed(paths[: paths.index(newest.path)]):
        if len(found) >= SEGMENTS_MOST:
            notices.append(f"only the last {SEGMENTS_MOST} segments are shown")
            break
        if newest.id and newest.id not in path.name:
            continue
        try:
            one = Segment(path)
        except RecordingError as error:
            notices.append(str(error))
            continue
        if one.id == newest.id and newest.id:
            found.append(one)
        else:
            one.close()
    return sorted(found, key=lambda one: one.number), notices


def following(folder: Path, last: Segment) -> list[Segment]:
    """Segments that were begun since the last one, in order."""
    if last.footer is None or not last.id:
        return []
    found = []
    try:
        paths = sorted(
            one for one in folder.glob(f"*{SUFFIX}") if last.id in one.name and one.name > last.path.name
        )
    except OSError:
        return []
    for path in paths[:SEGMENTS_MOST]:
        try:
            one = Segment(path)
        except RecordingError:
            continue
        if one.id == last.id and one.number > last.number:
            found.append(one)
        else:
            one.close()
    return sorted(found, key=lambda one: one.number)
