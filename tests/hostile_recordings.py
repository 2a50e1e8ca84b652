"""Recordings that were made to do harm: small files that cost much, and texts that a terminal would obey."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from collectors.fleet import Alert, Severity
from collectors.recording.codec import NO_EXCEPTIONS, Exceptions, Payload, compressed, packed_frame
from collectors.recording.layout import SYNC, ZSTD, Kind, Record, Tag
from collectors.recording.schema import Axis, Block, Column, Schema
from tests.recording_files import T0, Tape, simple_frame, simple_frames, tape_of

EVIL = "\x1b[31mX\x1b]52;c;ZXZpbA==\x07\u202eevil\u2066\x9b31m\n=cmd|'/c calc'!A0"
"""Colours, a clipboard that is written to, text that runs backwards, a formula."""

HANG_S = 10.0
"""Seconds of CPU after which a file that was made to do harm has done it. What one may cost is measured by
`benchmarks.recording_hostile`."""

NEVER_SHOWN = frozenset("\x1b\x07\x9b\u202e\u2066")


def firing(*severities: str) -> tuple[Alert, ...]:
    """Alerts."""
    return tuple(
        Alert(f"a{n}", Severity(one), "alpha", "gold", T0 - 60, f"wait {n}")
        for n, one in enumerate(severities)
    )


def events(tag: int, body: bytes, count: int = 300) -> Tape:
    """So many EVENTs of one body, and frames around them."""
    tape, packed = tape_of(simple_frames(5)), compressed(body)
    for _ in range(count):
        tape.at += 1
        tape.record(Kind.EVENT, packed, flags=ZSTD, tag=tag)
    tape.frame(simple_frame(5, tape.at + 1))
    return tape


def snapshots(items: Mapping[str, Any], part: str, count: int = 20) -> Tape:
    """So many SNAPSHOTs, each with a frame behind it."""
    tape = tape_of(simple_frames(5))
    for _ in range(count):
        tape.at += 1
        body = {"set": {part: items}, "order": {part: list(items)}, "reasons": []}
        tape.note(Tag.SNAPSHOT, body)
        tape.at += 1
        tape.numbers(*tape._last)
    return tape


def wide(count: int, numbers: int = 900_000, exceptions: int = 0) -> Tape:
    """Frames of so many numbers, nearly all of them 0."""
    tape = Tape()
    rows = numbers // 1000
    block = Block(
        "readings",
        (Axis("model", tuple(f"m{n}" for n in range(rows))), Axis("tier", ("gold",))),
        tuple(Column(f"s{n}") for n in range(1000)),
    )
    tape.schema(Schema(1, ("s",), (block,)))
    tape.note(Tag.SNAPSHOT, {"set": {}, "order": {}, "reasons": []})
    gone = NO_EXCEPTIONS
    if exceptions:
        gone = Exceptions(
            np.arange(exceptions, dtype=np.uint32),
            np.full(exceptions, 2, np.uint8),
            np.zeros(exceptions, np.uint16),
        )
    for n in range(count):
        tape.at += 1
        tape.numbers(np.full(rows * 1000, n, np.int32), None, gone)
    return tape


def schemas(count: int, names: int) -> Tape:
    """So many different SCHEMAs of so many names, of which no frame is."""
    tape = tape_of(simple_frames(5))
    sources = [f"m{n}" for n in range(names)]
    for n in range(count):
        tape.json(Kind.SCHEMA, {"schema_id": n + 10, "sources": sources, "blocks": []})
    tape.numbers(*tape._last)
    return tape


def schema_each() -> Tape:
    """Each frame is of another schema, of half a million numbers."""
    tape = Tape()
    for n in range(150):
        models = Axis("model", tuple(f"m{k}-{n}" for k in range(100)))
        tiers = Axis("tier", tuple(f"t{k}" for k in range(100)))
        columns = tuple(Column(f"c{k}") for k in range(50))
        tape.schema(Schema(n + 1, ("s",), (Block("readings", (models, tiers), columns),)))
        if not n:
            tape.note(Tag.SNAPSHOT, {"set": {}, "order": {}, "reasons": []})
        tape.at += 1
        tape.numbers(np.ones(500_000, np.int32))
    return tape


def chain(count: int) -> Tape:
    """DELTAs without end after one KEY, the clock going back and forth."""
    tape = tape_of(simple_frames(5))
    values, times = tape._last
    assert tape._schema is not None
    payload = Payload(tape._schema.id, np.zeros_like(values), np.zeros_like(times), NO_EXCEPTIONS)
    packed = compressed(packed_frame(payload))
    for n in range(count):
        tape.at = T0 + (1000 if n % 2 else 2000) + n / 1000
        tape.record(Kind.DELTA, packed, flags=ZSTD)
    return tape


def leaping(wall: int, *, count: int = 10) -> Tape:
    """Frames whose wall time, µs, is of another age."""
    tape = tape_of(simple_frames(10))
    values, times = tape._last
    assert tape._schema is not None
    payload = Payload(tape._schema.id, np.zeros_like(values), np.zeros_like(times), NO_EXCEPTIONS)
    for _ in range(count):
        tape.at += 1
        tape.record(Kind.DELTA, compressed(packed_frame(payload)), flags=ZSTD, t_wall=wall)
    return tape


def claiming(kind: Kind, stored: int, count: int, behind: int = 0) -> Tape:
    """Headers that are whole, each of a payload that reaches over all that follows."""
    tape = tape_of(simple_frames(3))
    seq = tape.entries[-1].seq
    for n in range(count):
        tape.data += Record(kind, 0, stored, seq + 1 + n, 0, 0, round(T0 * 1e6), 0, 0).pack()
    tape.data += bytes(behind)
    return tape


def beginnings(count: int) -> Tape:
    """Marks that an INDEX begins, and none does."""
    tape = tape_of(simple_frames(3))
    tape.data += (SYNC + bytes((Kind.INDEX, 0, 0, 0))) * count
    return tape


def talking(count: int) -> Tape:
    """Notes of no interest, without an INDEX."""
    tape = tape_of(simple_frames(5), index_every=sys.maxsize)
    body = json.dumps({"tag": 16, "at": T0, "kind": "note", "actor": "a", "subject": "s", "text": "t"})
    for _ in range(count):
        tape.at += 0.001
        tape.record(Kind.EVENT, body.encode(), tag=16)
    tape.frame(simple_frame(6, tape.at + 1))
    return tape


def obeyed() -> Tape:
    """EVIL in every text there is."""
    facts = dict.fromkeys(("app", "host", "zone", "context", "redaction", "prev_chain"), EVIL)
    origin = {"how": "trim", "recording": EVIL, "host": EVIL, "from": 1e300, "to": -1e300}
    tape = Tape(
        {**facts, "recording": "../../" + EVIL, "made_from": [origin, {"how": EVIL, "host": {"a": EVIL}}]}
    )
    for tick in range(12):
        frame = simple_frame(tick, T0 + 2 * tick)
        models = tuple(replace(one, name=sign + EVIL) for sign, one in zip("=+", frame.models, strict=True))
        tape.frame(replace(frame, models=models, context=EVIL))
        for body_tag, kind in ((3, "alert"), (5, "release"), (6, "source"), (16, "action"), (16, "throttle")):
            tape.note(
                body_tag, {"kind": kind, "actor": "=A1" + EVIL, "subject": "@S" + EVIL, "text": "-2" + EVIL}
            )
        target = {"kind": "release", "id": "=cmd" + EVIL, "tier": EVIL}
        intent = dict.fromkeys(("operation", "reason", "ticket", "key", "decision_id", "actor"), EVIL)
        tape.note(Tag.INTENT, {**intent, "target": target}, Kind.ACTION)
        result = {**dict.fromkeys(("text", "code", "audit_id", "actor"), EVIL), "kind": "applied"}
        tape.note(Tag.RESULT, {**result, "intent": {**intent, "target": target}}, Kind.ACTION)
        tape.note(Tag.BOOKMARK, {"actor": EVIL, "note": "=m" + EVIL}, Kind.MARK)
        tape.note(Tag.VIEW, dict.fromkeys(("screen", "subject", "filter", "dialog", "sort"), EVIL))
        tape.note(Tag.GAP, {"from": T0, "to": T0 + 1, "why": EVIL, "text": EVIL})
        tape.note(Tag.REASON, {"id": 7 + tick, "code": EVIL, "parameters": [EVIL]})
        alert = {**dict.fromkeys(("id", "summary", "name", "model", "description"), EVIL), "severity": "P1"}
        state = {"alerts": {EVIL: {**alert, "labels": {EVIL: EVIL}}}, EVIL: {EVIL: EVIL}}
        tape.note(Tag.STATE, {"set": state, "order": {"alerts": [EVIL]}})
    return tape


def _spaces(tag: int) -> bytes:
    return b'{"tag":%d,"set":{}' % tag + b" " * 4_000_000 + b"}"


def _many(n: int, **item: Any) -> dict[str, Any]:
    return {f"k{k}": {"name": f"n{k}", **item} for k in range(n)}


FILES: Mapping[str, Callable[[], Tape]] = {
    "changes of 4 MB": lambda: events(Tag.STATE, _spaces(13)),
    "snapshots of 4 MB": lambda: events(Tag.SNAPSHOT, _spaces(0)),
    "events of 4 MB": lambda: events(
        Tag.HAPPENED, b'{"tag":16,"kind":"alert","text":"' + b"x" * 4_000_000 + b'"}'
    ),
    "events of many parts": lambda: events(
        Tag.HAPPENED, b'{"tag":16,"kind":"alert","x":[' + b'"\\u001b",' * 200_000 + b"1]}", 100
    ),
    "gaps of 4 MB": lambda: events(Tag.GAP, b'{"tag":8,"text":"' + b"x" * 4_000_000 + b'"}'),
    "views of many parts": lambda: events(Tag.VIEW, b'{"tag":15,"x":[' + b"[]," * 80_000 + b"1]}"),
    "long numbers": lambda: events(Tag.SNAPSHOT, b'{"tag":0,"set":' + b"9" * 4_000_000 + b"}", 20),
    "deep": lambda: events(Tag.SNAPSHOT, b'{"tag":0,"set":' + b'{"a":' * 900 + b"1" + b"}" * 901, 20),
    "past without end": lambda: events(
        Tag.PAST,
        json.dumps({"tag": 14, "past": [["m", "t", "waiting", T0 - n, 1.0] for n in range(40_000)]}).encode(),
        40,
    ),
    "50,000 alerts": lambda: snapshots(_many(50_000, severity="P1"), "alerts", 10),
    "50,000 models": lambda: snapshots(_many(50_000, objectives={"a": 1}), "models", 10),
    "wide": lambda: wide(40),
    "exceptions": lambda: wide(20, exceptions=890_000),
    "large schemas": lambda: schemas(40, 180_000),
    "many schemas": lambda: schemas(4_000, 4),
    "a schema each": schema_each,
    "chain": lambda: chain(20_000),
    "year 9999": lambda: leaping(253_402_300_799 * 10**6),
    "before all time": lambda: leaping(-(2**63)),
    "claims of 16 MB": lambda: claiming(Kind.EVENT, 16 * 2**20, 100_000),
    "claims that overlap": lambda: claiming(Kind.INDEX, 8 * 2**20, 50_000, 9 * 2**20),
    "beginnings": lambda: beginnings(500_000),
    "talking": lambda: talking(20_000),
    "obeyed": obeyed,
}
"""Name -> a file that would do harm. None is longer than 12 MB."""


def closed(names: Iterator[str] | None = None) -> Iterator[tuple[str, bytes]]:
    """Each with a footer, where a footer can follow."""
    for name in names or FILES:
        tape = FILES[name]()
        if name not in {"claims of 16 MB", "claims that overlap", "beginnings", "before all time"}:
            tape.footer()
        yield name, bytes(tape.data)
