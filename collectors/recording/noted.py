"""What a recording holds besides numbers: JSON of records, read so that no file can do harm by it."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from collectors.fleet import Past
from collectors.readings import NO_REASON, SIGNALS, Reason
from collectors.recording.layout import BadRecord
from collectors.recording.schema import PART
from collectors.text import clean

JSON_MOST = 4 * 2**20
"""Most bytes of JSON that are read."""

PARTS_MOST = 250_000
"""Most commas and brackets in it: each can become an object in memory."""

PAST_MOST = 100_000
"""Values of the past in one event that are read."""

DEPTH_MOST = 32
TEXT_MOST = 4096
"""Longest text that is kept, in characters."""

NOTE_BYTES = 65_536
"""Most bytes of JSON of what happened, was asked for, looked at or marked; states and pasts are longer."""

_PLAIN_BYTES = 64
"""Bytes for each of its parts from which on to look at each text is quicker than at each byte."""

_SHORT = 4096
_FIGURES = bytes.maketrans(b"123456789E", b"000000000e")
_LONG_TEXT = re.compile(rb'"[^"]{%d}' % TEXT_MOST)
_TAG = re.compile(rb'\s*\{\s*"tag"\s*:\s*(\d{1,3})\s*[,}]')


class Noted(NamedTuple):
    """An EVENT, ACTION or MARK. at: recorded time, seconds; seq: number of the record in its segment

    body: its JSON, cleaned; the empty object where it was damaged
    """

    at: float
    kind: int
    tag: int
    seq: int
    body: dict[str, Any]


def read_json(data: bytes) -> Any:
    """What the bytes say. raises: BadRecord if they are no JSON, or more than is read"""
    if len(data) > JSON_MOST:
        raise BadRecord(f"a description of {len(data)} bytes")
    if parts_of(data) > PARTS_MOST:
        raise BadRecord("a description of too many parts")
    try:
        return json.loads(data, parse_constant=_none)
    except (ValueError, RecursionError) as error:
        raise BadRecord("a description that is no JSON") from error


def _none(_: str) -> None:
    """NaN and the infinities are no numbers."""


def read_body(data: bytes) -> dict[str, Any]:
    """The JSON object of an EVENT, ACTION or MARK, cleaned. raises: BadRecord"""
    found = read_json(data)
    if not isinstance(found, dict):
        raise BadRecord("a description that is no object")
    is_dense = len(data) > _SHORT and len(data) < _PLAIN_BYTES * parts_of(data)
    body: dict[str, Any] = found if is_dense and _is_plain(data) else cleaned(found)
    return body


def parts_of(data: bytes) -> int:
    """Its commas and brackets: what it can become in memory."""
    return sum(map(data.count, (b",", b"[", b"{")))


class Allowance:
    """How much JSON may still be read for one purpose, in bytes: a file can hold any amount of it.

    is_spent: something was left out
    """

    def __init__(self, size: int) -> None:
        self._left = size
        self.is_spent = False

    def takes(self, size: int) -> bool:
        """Whether so much may be read; it counts as read then."""
        if size > self._left:
            self.is_spent = True
            return False
        self._left -= size
        return True


def _is_plain(data: bytes) -> bool:
    """Whether there is nothing in JSON that would have to be cleaned; then to look at each text is spared."""
    if not data.isascii() or b"\\" in data or b"\x7f" in data:
        return False
    figures = data.translate(_FIGURES, b"+")
    # A number that is infinite: by its exponent, or by its digits.
    if b"0e000" in figures or b"0" * 300 in figures:
        return False
    octets = np.frombuffer(data, np.uint8)
    is_text = np.cumsum(octets == ord('"'), dtype=np.int32) & 1
    steps = ((octets == ord("{")) | (octets == ord("["))).astype(np.int8)
    steps -= (octets == ord("}")) | (octets == ord("]"))
    steps[is_text == 1] = 0
    return int(np.cumsum(steps, dtype=np.int32).max()) < DEPTH_MOST and not _LONG_TEXT.search(data)


def tag_of(data: bytes) -> int:
    """The tag in a payload, 0..255. raises: BadRecord if it tells none"""
    if found := _TAG.match(data[:64]):
        tag: object = int(found[1])
    else:
        body = read_json(data)
        tag = body.get("tag") if isinstance(body, dict) else None
    if not isinstance(tag, int) or not 0 <= tag < 256:
        raise BadRecord("a description without a tag")
    return tag


def cleaned(found: Any, depth: int = DEPTH_MOST, is_name: bool = False) -> Any:
    """JSON without what must not reach a terminal: in names and texts, however deep.

    What lies deeper than is read is left out. Keys, and the lists of them under "order", may hold the unit
    separator that parts their names.
    """
    if isinstance(found, str):
        return _name(found) if is_name else clean(found, TEXT_MOST)
    if isinstance(found, float):
        return found if math.isfinite(found) else None
    if isinstance(found, dict):
        if depth <= 0:
            return {}
        return {_name(key): cleaned(one, depth - 1, is_name or key == "order") for key, one in found.items()}
    if isinstance(found, list):
        return [cleaned(one, depth - 1, is_name) for one in found] if depth > 0 else []
    return found


def _name(text: str) -> str:
    if text.isascii() and text.isprintable() and len(text) <= TEXT_MOST:
        return text
    return PART.join(clean(part, TEXT_MOST) for part in text.split(PART, 8))


def read_reason(number: object, code: object, parameters: object) -> tuple[int, Reason] | None:
    """A reason and its id, as EVENT 12 and snapshots define it; None if it cannot be one."""
    if not isinstance(number, int) or not 0 < number < 65_536 or not isinstance(code, str):
        return None
    given = parameters if isinstance(parameters, list) else []
    told = tuple(one for one in given[:16] if isinstance(one, str | int | float))
    return number, Reason(clean(code), tuple(clean(one) if isinstance(one, str) else one for one in told))


def reasons_in(body: Mapping[str, Any]) -> dict[int, Reason]:
    """The reasons that a snapshot lists."""
    listed = body.get("reasons")
    made: dict[int, Reason] = {0: NO_REASON}
    for one in listed if isinstance(listed, list) else []:
        if isinstance(one, list) and len(one) == 3 and (found := read_reason(*one)):
            made[found[0]] = found[1]
    return made


def past_from(body: Mapping[str, Any]) -> Iterator[Past]:
    """The values in an EVENT PAST: {"past": [[model, tier, signal, at, value], ...]}.

    What is none is left out.
    """
    listed = body.get("past")
    for one in listed[:PAST_MOST] if isinstance(listed, list) else ():
        if not isinstance(one, list) or len(one) != 5:
            continue
        model, tier, signal, at, value = one
        if not all(isinstance(name, str) for name in (model, tier)) or signal not in SIGNALS:
            continue
        if all(isinstance(number, int | float) and abs(number) < 1e15 for number in (at, value)):
            yield Past(clean(model), clean(tier), signal, float(at), float(value))
