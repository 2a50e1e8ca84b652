"""What tests of recordings share: frames that change, and a walk over a file by its layout alone."""

import json
import os
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from collectors.fleet import Frame
from collectors.readings import reading
from collectors.recording import layout, writer
from collectors.recording.codec import Numbers, Payload, decompressed, unpacked_frame
from collectors.recording.layout import FRAMES, NOTED, ZSTD, BadRecord, FileHeader, Kind, Record, Tag
from collectors.recording.reader import Recording
from collectors.recording.redact import Redaction
from collectors.recording.ring import RingLimits
from collectors.recording.schema import Schema, from_json
from collectors.recording.writer import QUEUE_FRAMES, RecordingWriter
from tests.frames import AT, demo_frame
from tests.recording_files import Tape


def changing(count: int, *, start: float = AT, step_s: float = 1.0, first: int = 0) -> Iterator[Frame]:
    """Frames a second apart, each with another number of requests waiting; no events."""
    base = demo_frame(start)
    base = replace(base, events=(), past=(), nodes=base.nodes[:2])
    for n in range(first, first + count):
        waiting = reading("waiting", float(100 + n), start + n * step_s)
        yield replace(
            base, at=start + n * step_s, tick=n, totals={**base.totals, "waiting": waiting}, mode="LIVE"
        )


def opened(tape: Tape, path: Path, data: bytes | None = None) -> Recording:
    """A tape, or `data` in its place, as a recording of that file."""
    return Recording.open(tape.write(path, data))


def frames_of(recording: Recording) -> Iterator[Frame]:
    """Every frame, in order."""
    return (recording.frame(number) for number in range(recording.frames))


@dataclass(frozen=True)
class Found:
    """A record as it stands in a file. body: of JSON; numbers, times: of a frame, as they were shown"""

    offset: int
    record: Record
    payload: bytes
    body: dict[str, Any]
    numbers: Numbers | None = None
    times: Numbers | None = None
    schema: Schema | None = None

    @property
    def kind(self) -> int:
        return self.record.kind

    @property
    def tag(self) -> int:
        return int(self.body.get("tag", -1)) if self.kind in NOTED else -1


@dataclass(frozen=True)
class Walk:
    """All of a file. chain: after the last record; rest: bytes behind it"""

    header: FileHeader
    records: list[Found]
    chain: bytes
    rest: int

    def tags(self, *tags: Tag) -> list[Found]:
        """The notes with one of these tags."""
        return [one for one in self.records if one.tag in tags]

    @property
    def frames(self) -> list[Found]:
        """The frames."""
        return [one for one in self.records if one.kind in FRAMES]

    def column(self, block: str, column: str, row: int = 0) -> list[int]:
        """One number of each frame."""
        found = []
        for one in self.frames:
            assert one.schema is not None and one.numbers is not None
            at = one.schema.starts[block]
            width = len(one.schema.block_of[block].columns)
            found.append(int(one.numbers[at + row * width + one.schema.block_of[block].column_of[column]]))
        return found

    @property
    def waiting(self) -> list[int]:
        """Requests that wait in the whole fleet, frame by frame: what `changing` counts up."""
        return self.column("totals", "waiting")


def walk(path: Path) -> Walk:
    """Every record of a file, checked: CRCs, numbers, chain, references. raises: AssertionError"""
    data = path.read_bytes()
    header, at = FileHeader.unpack(data)
    chain = layout.first_chain(data[:at])
    found: list[Found] = []
    schemas: dict[int, Schema] = {}
    frames: dict[int, Found] = {}
    mono = 0
    while at < len(data):
        try:
            record = layout.unpack_record(data, at)
        except BadRecord:
            break
        stored = data[at + record.hlen : at + record.size]
        if len(stored) < record.stored:
            break
        assert zlib.crc32(stored) == record.pcrc
        assert record.seq == len(found)
        assert record.t_mono >= mono
        mono = record.t_mono
        one = Found(at, record, stored, {})
        if record.kind == Kind.SCHEMA:
            body = json.loads(decompressed(stored))
            schema = from_json(body)
            schemas[schema.id] = schema
            one = replace(one, body=body, schema=schema)
        elif record.kind in NOTED:
            one = replace(one, body=json.loads(decompressed(stored) if record.flags & ZSTD else stored))
            if record.kind == Kind.ACTION:
                assert one.body["chain"] == chain.hex()
        elif record.kind in FRAMES:
            one = frames[record.seq] = decoded(one, schemas, frames)
        elif record.kind == Kind.INDEX:
            assert decompressed(stored)[16:48] == chain
        chain = layout.chained(chain, data[at : at + record.hlen], stored)
        found.append(one)
        at += record.size
    return Walk(header, found, chain, len(data) - at)


def decoded(one: Found, schemas: dict[int, Schema], frames: dict[int, Found]) -> Found:
    """The frame's numbers, from the one it refers to."""
    data = decompressed(one.payload)
    schema = schemas[int.from_bytes(data[:4], "little")]
    payload: Payload = unpacked_frame(data, schema.size, len(schema.sources))
    numbers, times = payload.values, payload.times
    record = one.record
    if record.kind == Kind.KEY:
        assert record.key_seq == record.ref_seq == record.seq
    else:
        assert frames[record.key_seq].kind == Kind.KEY
        base = frames[record.ref_seq]
        assert record.kind != Kind.SUBKEY or record.ref_seq == record.key_seq
        assert base.numbers is not None and base.times is not None
        numbers, times = (numbers + base.numbers).astype(np.int32), (times + base.times).astype(np.int32)
    return replace(one, numbers=numbers, times=times, schema=schema)


FACTS = {"context": "prod-eu", "zone": "Europe/Berlin", "poll_s": 5.0}


def made(
    file: Path | None = None,
    folder: Path | None = None,
    *,
    simulated: bool = True,
    limits: RingLimits = RingLimits(),  # noqa: B008 - frozen
    extra: tuple[str, ...] = (),
    key: Path | None = None,
) -> RecordingWriter:
    """A writer that has begun."""
    one = RecordingWriter(
        folder,
        file=file,
        limits=limits,
        facts=FACTS,
        redaction=Redaction(extra=extra),
        simulated=simulated,
        signing_key=key,
    )
    one.start()
    return one


@contextmanager
def recording(*args: Any, **kwargs: Any) -> Iterator[RecordingWriter]:
    """A writer that is closed at the end."""
    one = made(*args, **kwargs)
    try:
        yield one
    finally:
        one.close()


def put_all(one: RecordingWriter, frames: Iterator[Frame]) -> None:
    """Every frame, none of them dropped."""
    for number, frame in enumerate(frames):
        one.put(frame)
        if number % (QUEUE_FRAMES // 2) == 0:
            one.flush()
    one.flush()


def until(is_so: Callable[[], bool], within_s: float = 5.0) -> None:
    """Wait for a condition. raises: AssertionError after that time"""
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.002)


class Disk:
    """`os.pwrite` of the writer's thread, which can be made to wait, or to fail beyond `room` bytes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open, self.error, self.room = threading.Event(), 0, 0
        self.open.set()
        self.entered = threading.Event()
        self._pwrite = os.pwrite
        monkeypatch.setattr(os, "pwrite", self)

    def __call__(self, opened: int, data: bytes, offset: int) -> int:
        self.entered.set()
        assert self.open.wait(10)
        if self.error and len(data) > self.room:
            # Half of it lands, as on a disk that fills up.
            self._pwrite(opened, data[: len(data) // 2], offset)
            raise OSError(self.error, os.strerror(self.error))
        return self._pwrite(opened, data, offset)


class Clock:
    """The clock that is never set, in the test's hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.us = 5_000_000
        monkeypatch.setattr(writer, "_boot_us", lambda: self.us)

    def put(self, one: RecordingWriter, frame: Frame, after_s: float) -> None:
        self.us += round(after_s * 1e6)
        one.put(frame)
        one.flush()
