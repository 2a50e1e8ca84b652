"""What a recording holds besides numbers: JSON of records, read so that no file can do harm by it."""

import json
import math
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import msgspec
import numpy as np

from collectors.fleet import Past
from collectors.readings import NO_REASON, SIGNALS, Reason
from collectors.recording.layout import BadRecord
from collectors.recording.schema import SEPARATOR
from collectors.recording.state_json import number as number_of
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
_FIGURES_MOST = sys.int_info.default_max_str_digits
_FIGURES = bytes.maketrans(b"123456789E", b"000000000e")
_LONG_TEXT = re.compile(rb'"[^"]{%d}' % TEXT_MOST)
# NaN and the infinities are no numbers.
_JSON = json.JSONDecoder(parse_constant=lambda _: None)
_TAG = re.compile(rb'[ \t\r\n]*\{[ \t\r\n]*"tag"[ \t\r\n]*:[ \t\r\n]*(0|[1-9]\d{0,2})[ \t\r\n]*[,}]')

_LONG_NUMBER = b"0" * 19
"""Fewest figures in a row of what is more than any number that is kept; with fewer, and an exponent of two,
none is infinite."""


T = TypeVar("T")


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
        return msgspec.json.decode(data)
    except (ValueError, RecursionError):
        pass  # what is in doubt is read again, by the rules of the language's own library
    try:
        return _JSON.decode(data.decode())
    except (ValueError, RecursionError) as error:
        raise BadRecord("a description that is no JSON") from error


def look_at_json(data: bytes) -> None:
    """As `read_json`, where nobody wants to know what they say: in a tenth of the time, and no memory."""
    if len(data) > JSON_MOST or parts_of(data) > PARTS_MOST or _told(_ANY, data) is None:
        read_json(data)


def read_body(data: bytes) -> dict[str, Any]:
    """The JSON object of an EVENT, ACTION or MARK, cleaned. raises: BadRecord"""
    found = read_json(data)
    if not isinstance(found, dict):
        raise BadRecord("a description that is no object")
    is_worth_it = len(data) <= _SHORT or len(data) < _PLAIN_BYTES * parts_of(data)
    body: dict[str, Any] = found if is_worth_it and _is_plain(data) else cleaned(found)
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
    # A number that may be too large: by its exponent, or by its figures.
    if b"0e000" in figures or _LONG_NUMBER in figures:
        return False
    return _depth(data) < DEPTH_MOST and not _LONG_TEXT.search(data)


def _depth(data: bytes) -> int:
    """How deep JSON without a backslash goes, or more."""
    opened = data.count(b"[") + data.count(b"{")
    if opened < DEPTH_MOST:
        return opened
    octets = np.frombuffer(data, np.uint8)
    is_text = np.bitwise_xor.accumulate((octets == ord('"')).view(np.uint8))
    # [ and { differ from ] and } in this bit, and from each other in one that is masked.
    is_bracket = ((octets & 0xDF) == ord("[")) | ((octets & 0xDF) == ord("]"))
    steps = np.where(octets[np.flatnonzero(is_bracket & (is_text == 0))] & 0x02, 1, -1)
    return int(np.cumsum(steps).max(initial=0))


def told_of(data: bytes) -> tuple[int, str | None]:
    """The tag, 0..255, and the chain of an EVENT, ACTION or MARK, where it carries one. raises: BadRecord"""
    if len(data) <= JSON_MOST and parts_of(data) <= PARTS_MOST:
        found = _told(_HEADS, data)
        if found is not None and 0 <= found.tag < 256:
            return found.tag, found.chain
    body = read_json(data)
    if not isinstance(body, dict):
        raise BadRecord("a description that is no object")
    tag, chain = body.get("tag"), body.get("chain")
    if isinstance(tag, bool) or not isinstance(tag, int) or not 0 <= tag < 256:
        raise BadRecord("a description without a tag")
    return tag, chain if isinstance(chain, str) else None


class _Head(msgspec.Struct):
    tag: int
    chain: str | None = None


_HEADS, _ANY = msgspec.json.Decoder(_Head), msgspec.json.Decoder(msgspec.Raw)


def _told(decoder: msgspec.json.Decoder[T], data: bytes) -> T | None:
    """What is wanted of JSON, the rest of it looked at but not kept. None where that cannot tell: it does not
    look at all that a reader has to read."""
    if len(data) > _FIGURES_MOST and b"0" * _FIGURES_MOST in data.translate(_FIGURES):
        return None
    try:
        data.decode()
        return decoder.decode(data)
    except (ValueError, RecursionError):
        return None


def tag_of(data: bytes) -> int:
    """The tag in a payload, 0..255: the last one that it tells, as in `read_body`.

    What stands behind the tag is not looked at where it cannot be another. raises: BadRecord if it tells none
    """
    found = _TAG.match(data[:64])
    # An escaped letter can spell the same name.
    if found and int(found[1]) < 256 and data.count(b'"tag"') == 1 and b"\\u00" not in data:
        return int(found[1])
    return told_of(data)[0]


def cleaned(found: Any, depth: int = DEPTH_MOST, is_name: bool = False) -> Any:
    """JSON without what must not reach a terminal, in names and texts, and without numbers that nobody can
    reckon with, however deep.

    What lies deeper than is read is left out. Keys, and the lists of them under "order", may hold the unit
    separator that parts their names.
    """
    if isinstance(found, str):
        return _name(found) if is_name else clean(found, TEXT_MOST)
    if isinstance(found, float):
        return found if math.isfinite(found) else None
    if isinstance(found, int) and not isinstance(found, bool):
        return number_of(found)
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
    return SEPARATOR.join(clean(part, TEXT_MOST) for part in text.split(SEPARATOR, 8))


def read_reason(number: object, code: object, parameters: object) -> tuple[int, Reason] | None:
    """A reason and its id, as EVENT 12 and snapshots define it; None if it cannot be one."""
    if not isinstance(number, int) or not 0 < number < 65_536 or not isinstance(code, str):
        return None
    given = parameters if isinstance(parameters, list) else []
    told = (clean(one) if isinstance(one, str) else number_of(one) for one in given[:16])
    return number, Reason(clean(code), tuple(one for one in told if one is not None))


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
    names: dict[str, str] = {}
    for one in listed[:PAST_MOST] if isinstance(listed, list) else ():
        if not isinstance(one, list) or len(one) != 5 or [type(name) for name in one[:3]] != [str, str, str]:
            continue
        model, tier, signal, at, value = one
        if signal not in SIGNALS or not (_is_number(at) and _is_number(value)):
            continue
        for name in (model, tier):
            if name not in names:
                names[name] = clean(name)
        yield Past(names[model], names[tier], signal, float(at), float(value))


def _is_number(found: object) -> bool:
    return isinstance(found, int | float) and abs(found) < 1e15
