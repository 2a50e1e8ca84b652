"""Recordings for tests, made record by record from the documented layout, and not by the product's writer.

A `Tape` knows where each of its records is and what every frame held, so that a test can cut and flip at
will and say what must still be there.
"""

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from collectors.fleet import Frame, Model, Tier
from collectors.readings import Interval, Quality, Reading, Reason
from collectors.recording.codec import NO_EXCEPTIONS, Exceptions, Numbers, Payload, compressed, packed_frame
from collectors.recording.index import Entry
from collectors.recording.layout import (
    DIRECTORY,
    FRAMES,
    INDEX_COLUMNS,
    INDEX_HEAD,
    NOTED,
    ZSTD,
    FileHeader,
    Footer,
    Kind,
    Record,
    Tag,
    chained,
    first_chain,
)
from collectors.recording.schema import Schema, to_json
from collectors.recording.shape import Shaper

T0 = 1_700_000_000.0
"""When the recordings of tests begin, seconds."""

KEY_EVERY, SUBKEY_EVERY, INDEX_EVERY = 60, 10, 512


class Tape:
    """A recording in memory that grows record by record; `write` puts it into a file."""

    def __init__(
        self,
        facts: Mapping[str, Any] | None = None,
        *,
        at: float = T0,
        version: tuple[int, int] = (1, 0),
        least: tuple[int, int] = (1, 0),
        index_every: int = INDEX_EVERY,
    ) -> None:
        usual: dict[str, Any] = {
            "recording": "0123456789ab",
            "segment": 0,
            "app": "test",
            "zone": "UTC",
            "poll_s": 2.0,
            "t0_wall": round(at * 1e6),
            "source": "live",
            "context": "test",
            "prev_chain": "",
        }
        self.facts = usual | dict(facts or {})
        header = FileHeader(self.facts, *version, *least).pack()
        self.data = bytearray(header)
        self.first = len(header)
        self.chain = first_chain(header)
        self.entries: list[Entry] = []
        self.frames: list[Frame] = []
        self.at = at
        self._start = at
        self._since_index: list[Entry] = []
        self._indexes: list[tuple[int, int, int]] = []
        self._index_every = index_every
        self._count = 0
        self._key_seq = self._ref_seq = -1
        self._key = self._last = (np.empty(0, np.int32), np.empty(0, np.int32))
        self._shaper = Shaper(self.facts["t0_wall"])
        self._schema: Schema | None = None
        self._needs_snapshot = True

    def record(self, kind: int, payload: bytes, *, flags: int = 0, tag: int = 0, **other: int) -> Entry:
        """Any record at the time the tape is at; `other` replaces members of its header."""
        seq = (self.entries[-1].seq + 1) % 2**32 if self.entries else 0
        key_seq, ref_seq = self._key_seq, self._ref_seq
        if kind == Kind.KEY:
            key_seq = ref_seq = seq
        elif kind == Kind.SUBKEY:
            ref_seq = key_seq
        made = Record(
            kind,
            flags,
            len(payload),
            seq,
            seq if key_seq < 0 else key_seq,
            seq if ref_seq < 0 else ref_seq,
            round(self.at * 1e6),
            max(round((self.at - self._start) * 1e6), self.entries[-1].t_mono if self.entries else 0),
            zlib.crc32(payload),
        )
        made = made._replace(**other)
        head = made.pack()
        entry = Entry(len(self.data), len(head) + len(payload), *made[3:8], kind, tag)
        self.data += head + payload
        self.chain = chained(self.chain, head, payload)
        self.entries.append(entry)
        self._since_index.append(entry)
        if kind in FRAMES:
            self._key_seq, self._ref_seq = made.key_seq, made.seq
        return entry

    def json(self, kind: int, body: object, tag: int = 0) -> Entry:
        """A record of JSON, compressed."""
        text = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
        return self.record(kind, compressed(text), flags=ZSTD, tag=tag)

    def note(self, tag: int, body: Mapping[str, Any] | None = None, kind: int = Kind.EVENT) -> Entry:
        """An EVENT, ACTION or MARK."""
        return self.json(kind, {"tag": int(tag), "at": self.at, **(body or {})}, int(tag))

    def schema(self, schema: Schema) -> None:
        """Twice, then a KEY."""
        for _ in range(2):
            self.json(Kind.SCHEMA, to_json(schema, self.facts))
        self._schema = schema
        self._count = 0

    def numbers(
        self,
        values: Numbers,
        times: Numbers | None = None,
        exceptions: Exceptions = NO_EXCEPTIONS,
    ) -> Entry:
        """A frame of the schema that was written last; an INDEX first, where one is due."""
        if len(self._since_index) >= self._index_every:
            self.index()
        assert self._schema is not None
        own = np.zeros(len(self._schema.sources), np.int32) if times is None else times
        if self._count % KEY_EVERY == 0:
            kind, base = Kind.KEY, (np.zeros_like(values), np.zeros_like(own))
        elif self._count % SUBKEY_EVERY == 0:
            kind, base = Kind.SUBKEY, self._key
        else:
            kind, base = Kind.DELTA, self._last
        payload = Payload(self._schema.id, values - base[0], own - base[1], exceptions)
        entry = self.record(kind, compressed(packed_frame(payload)), flags=ZSTD)
        self._last = values.copy(), own.copy()
        if kind is Kind.KEY:
            self._key = self._last
        self._count += 1
        return entry

    def frame(self, frame: Frame) -> Entry:
        """A frame with all that has to stand before it; the tape is then at its time."""
        self.at = frame.at
        shaped = self._shaper.take(frame)
        if shaped.is_new_schema or self._schema is None:
            self.schema(shaped.schema)
        if self._needs_snapshot:
            self.snapshot()
            self.snapshot()
        else:
            for number, reason in shaped.reasons:
                told = {"id": number, "code": reason.code, "parameters": list(reason.parameters)}
                self.note(Tag.REASON, told)
            if shaped.changed:
                self.note(Tag.STATE, shaped.changed)
        self.frames.append(frame)
        return self.numbers(shaped.values, shaped.times, shaped.exceptions)

    def snapshot(self) -> None:
        """All state."""
        self.note(Tag.SNAPSHOT, self._shaper.state())
        self._needs_snapshot = False

    def index(self) -> Entry:
        """An INDEX, and the schema and the state behind it."""
        entry = self.bare_index()
        if self._schema is not None:
            self.json(Kind.SCHEMA, to_json(self._schema, self.facts))
        if not self._needs_snapshot:
            self.snapshot()
        return entry

    def bare_index(self) -> Entry:
        """An INDEX of all since and including the one before."""
        listed = self._since_index
        before = self._indexes[-1][0] if self._indexes else 0
        columns = (np.array([one[at] for one in listed], form) for at, (_, form) in enumerate(INDEX_COLUMNS))
        body = INDEX_HEAD.pack(len(listed), 0, before, self.chain) + b"".join(
            one.tobytes() for one in columns
        )
        entry = self.record(Kind.INDEX, compressed(body), flags=ZSTD)
        self._indexes.append((entry.offset, listed[0].t_mono, listed[0].seq))
        self._since_index = [entry]
        return entry

    def footer(self, sign: Any = None) -> Entry:
        """INDEX and FOOTER. sign: bytes -> signature, with key_id"""
        self.bare_index()
        directory = b"".join(DIRECTORY.pack(*one) for one in self._indexes)
        footer = Footer(
            len(self._indexes),
            sum(one.kind in FRAMES for one in self.entries),
            len(self.entries),
            sum(one.kind in NOTED for one in self.entries),
            self.entries[0].t_wall,
            self.entries[-1].t_wall,
            self.entries[-1].t_mono,
            self.chain,
            bytes(8) if sign is None else sign.key_id,
            bytes(64),
            52 + len(directory) + 152,
        )
        if sign is not None:
            footer = footer._replace(signature=sign.sign(directory + footer.pack()[:80]))
        return self.record(Kind.FOOTER, directory + footer.pack())

    def write(self, path: Path, data: bytes | None = None) -> Path:
        """Put it, or `data` in its place, into a file."""
        path.write_bytes(self.data if data is None else data)
        return path

    def of_kind(self, *kinds: int) -> list[Entry]:
        """Its records of these kinds."""
        return [one for one in self.entries if one.kind in kinds]


def simple_frames(count: int, at: float = T0, every: float = 2.0) -> Iterable[Frame]:
    """Frames of two models in which something is new each time."""
    for tick in range(count):
        yield simple_frame(tick, at + tick * every)


def simple_frame(tick: int, at: float) -> Frame:
    """A frame whose readings all follow from `tick`; now and then one is stale, missing or an interval."""
    models = tuple(_model(name, place, tick, at) for place, name in enumerate(("alpha", "beta")))
    return Frame(
        at,
        tick,
        "test",
        (Tier("gold", "Gold"), Tier("free", "Free")),
        models,
        mode="REPLAY",
        notes=_notes(tick),
    )


def _notes(tick: int) -> tuple[Reason, ...]:
    return (Reason("no-metrics"),) if tick // 7 % 2 else ()


def _model(name: str, place: int, tick: int, at: float) -> Model:
    wait = 0.1 + (tick * 37 % 101) / 100 + place
    lo = float(int(wait * 4) / 4)
    interval = Interval(lo, lo + 0.25, round(wait, 3))
    arrivals = Reading(float(tick % 50) + place / 2, at)
    if tick % 5 == 3:
        arrivals = Reading(None, at, Quality.MISSING, Reason("idle"))
    if tick % 11 == 4:
        arrivals = replace(arrivals, quality=Quality.STALE, reason=Reason("stale", (tick, 2)))
    gold = {
        "queue_wait_p99": Reading(interval, at, coverage=(3, 3)),
        "arrivals": arrivals,
        "waiting": Reading(float(tick * 13 % 400), at),
    }
    return Model(
        name,
        {"waiting": Reading(float(tick), at), "served": Reading(0.02, at)},
        {"gold": gold, "free": {"arrivals": Reading(1.0, at)}},
        {"gold": 0.5},
    )


def tape_of(frames: Iterable[Frame], **options: Any) -> Tape:
    """A tape of these frames that was not closed."""
    shown = list(frames)
    tape = Tape(at=shown[0].at, **options)
    for frame in shown:
        tape.frame(frame)
    return tape


def without(frame: Frame) -> Frame:
    """A frame as far as a recording keeps it: its number since the start is not in there."""
    return replace(frame, tick=0)


def written(paths: Sequence[Path]) -> int:
    """Bytes of these files."""
    return sum(path.stat().st_size for path in paths)
