"""Which file is written next: one that was asked for, one that can be gone on with, or a new one."""

import os
import platform
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from collectors.recording import ring
from collectors.recording.file import SegmentFile
from collectors.recording.layout import BadRecord, FileHeader, RecordingError
from collectors.recording.redact import Redaction
from collectors.recording.ring import RingLimits, Segment
from collectors.text import clean

TICKS_MOST_US = 100 * 86_400 * 10**6
"""Longest time from the beginning of a segment: its times are counted in 10 ms, in 31 bits."""

LOOKED_AT = 50
"""Segments of a ring that are looked at for one to go on with."""

_HEADER_BYTES = 65_536
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_LOCALTIME = Path("/etc/localtime")
_ID = re.compile(r"[0-9a-f]{12}")
_DEFAULTS: Mapping[str, Any] = {
    "source": "live",
    "context": "",
    "app": "",
    "host": "",
    "zone": "",
    "boot": "",
}


class Succession:
    """The segments of one session, one after another: each names the last one's chain."""

    def __init__(
        self,
        folder: Path | None,
        file: Path | None,
        limits: RingLimits,
        facts: Mapping[str, Any],
        redaction: Redaction,
        simulated: bool,
        *,
        if_closed: bool = True,
    ) -> None:
        """Either `folder`, of a ring, or `file`. facts: for the headers; secrets in them are taken out

        if_closed: whether a `file` that was closed is gone on with
        """
        self._if_closed = if_closed
        self._folder, self._single, self._limits = folder, file, limits
        self._facts = {
            **_DEFAULTS,
            **redaction.value(dict(facts)),
            "redaction": redaction.policy,
            "simulated": simulated,
        }
        self._claimed: SegmentFile | None = None
        self._recording, self._number, self._chain = "", -1, ""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What every header says."""
        return self._facts

    @property
    def is_begun(self) -> bool:
        """Whether there has been a file."""
        return self._number >= 0

    @property
    def claimed(self) -> Path | None:
        """The file that is locked, and not written yet."""
        return self._claimed.path if self._claimed is not None else None

    def claim(self) -> None:
        """Open and lock the one file, so that a refusal comes at once; nothing is written yet.

        raises: RecordingError if it cannot be recorded into; TakenError if it was closed, and is to stay so
        """
        if self._single is None or self._claimed is not None:
            return
        try:
            try:
                file = SegmentFile.create(self._single)
            except FileExistsError:
                file = SegmentFile.reopen(self._single, self._difference, if_closed=self._if_closed)
        except OSError as error:
            raise RecordingError(
                f"{self._single} cannot be recorded into: {error.strerror}. Choose another place"
            ) from error
        self._claimed = file

    def next(self, wall: int) -> tuple[SegmentFile, bool]:
        """The file to write from `wall` (µs) on, and whether there was something in it before.

        raises: OSError, RecordingError; may be asked again
        """
        file = self._found(wall) if not self.is_begun else None
        is_appended = file is not None
        if file is None:
            file = self._made(wall)
        assert file.header is not None
        self._follow(file)
        return file, is_appended

    def left(self, file: SegmentFile) -> None:
        """A file is done with: the next one hangs on its chain."""
        self._chain = file.chain.hex()
        file.close()

    def prune(self, written: Path) -> None:
        """Keep the ring within its limits, as far as its folder lets us."""
        if self._folder is not None:
            with suppress(OSError):
                ring.prune(self._folder, self._limits, written)

    def abandon(self) -> None:
        """Let go of what was claimed. Safe to call twice."""
        if (claimed := self._claimed) is None:
            return
        self._claimed = None
        if claimed.header is None:
            claimed.discard()  # made by `claim`, and empty
        else:
            claimed.close()

    def _follow(self, file: SegmentFile) -> None:
        assert file.header is not None
        recording = file.header.facts.get("recording")
        # It becomes part of file names.
        is_ours = isinstance(recording, str) and _ID.fullmatch(recording) is not None
        self._recording = str(recording) if is_ours else ring.new_id()
        self._number = max(0, whole_fact(file.header, "segment"))

    def _found(self, wall: int) -> SegmentFile | None:
        """The file that was claimed, or the last segment of a recording like this one that may go on."""
        if (claimed := self._claimed) is not None and claimed.header is not None:
            self._claimed = None
            if abs(wall - whole_fact(claimed.header, "t0_wall")) < TICKS_MOST_US:
                return claimed
            self._follow(claimed)
            self.left(claimed)
            return None
        if self._folder is None or self._facts["simulated"]:
            return None
        ring.make_folder(self._folder)
        for one in reversed(ring.segments(self._folder)[-LOOKED_AT:]):
            header = _header_of(one.path)
            if header is not None and not self._difference(header):
                return self._taken_up(one, wall)
        return None

    def _taken_up(self, one: Segment, wall: int) -> SegmentFile | None:
        """The segment, if it may go on; None where another process writes it, it is damaged, full or old."""
        is_young = 0 <= wall / 1e6 - one.start < self._limits.segment_s
        if not is_young or one.size >= self._limits.segment_most:
            return None
        try:
            return SegmentFile.reopen(one.path)
        except (RecordingError, FileNotFoundError):
            return None

    def _difference(self, header: FileHeader) -> str:
        """Why a file cannot go on with this; "" if it can."""
        for name, what in (("context", "records"), ("source", "comes from"), ("redaction", "is redacted by")):
            here, there = self._facts[name], header.facts.get(name)
            if here != there:
                return f"{what} {str(there)[:100]!r}, not {here!r}"
        if bool(header.facts.get("simulated", False)) != self._facts["simulated"]:
            return "is of another kind of clock"
        return ""

    def _made(self, wall: int) -> SegmentFile:
        recording, number = self._recording or ring.new_id(), self._number + 1
        if (file := self._claimed) is None:
            path, number = self._free_name(wall, recording, number)
            file = SegmentFile.create(path)
        try:
            file.begin(
                {
                    **self._facts,
                    "recording": recording,
                    "segment": number,
                    "t0_wall": wall,
                    "prev_chain": self._chain,
                }
            )
        except OSError:
            if file is not self._claimed:
                file.discard()
            raise
        self._claimed = None
        return file

    def _free_name(self, wall: int, recording: str, number: int) -> tuple[Path, int]:
        if self._single is None:
            assert self._folder is not None
            ring.make_folder(self._folder)
            return self._folder / ring.segment_name(wall / 1e6, recording, number), number
        if not os.path.lexists(self._single):
            return self._single, number  # somebody removed it
        # Beside the one file that was asked for, whose disk failed, or which is too old to be gone on with.
        while True:
            path = self._single.with_name(f"{self._single.stem}-{number:04d}{self._single.suffix}")
            if not os.path.lexists(path):
                return path, number
            number += 1


def own_facts() -> dict[str, Any]:
    """What a file header says of this program and machine."""
    try:
        app = f"tidegate {version('tidegate')}"
    except PackageNotFoundError:
        app = "tidegate"
    try:
        boot = _BOOT.read_text("ascii").strip()
    except OSError:
        boot = ""
    return {"app": app, "host": clean(platform.node()), "boot": clean(boot), "zone": clean(_zone())}


def _zone() -> str:
    """IANA name of this process's time zone; what the system calls it where it has no such name."""
    asked = os.environ.get("TZ", "").removeprefix(":")
    return asked or os.path.realpath(_LOCALTIME).partition("/zoneinfo/")[2] or time.tzname[0]


def whole_fact(header: FileHeader, name: str) -> int:
    """A number that a header tells; 0 where it tells none."""
    found = header.facts.get(name)
    return found if isinstance(found, int) else 0


def _header_of(path: Path) -> FileHeader | None:
    """What a segment says of itself; None if it says nothing that can be read."""
    try:
        with path.open("rb") as file:
            return FileHeader.unpack(file.read(_HEADER_BYTES))[0]
    except (OSError, BadRecord, RecordingError):
        return None
