#!/usr/bin/env python3
"""Reads a .tgrec recording by nothing but its description, tgrec.md: an example, and proof that it is true.

    python tgrec_reader.py FILE [FIRST [LAST]]      numbers of frames, from 0; all without them

Prints JSON lines: each number of each frame, then events, actions and marks, and what fails a checksum. Exit
status: 0; 1 if something is damaged; 2 for no recording, or one that needs a newer reader.
"""

import json
import math
import struct
import sys
import zlib
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import zstandard

MAGIC, SYNC = b"\x89TGREC\r\n", b"\xf5TGREC\r\n"
SCHEMA, KEY, SUBKEY, DELTA, EVENT, ACTION, MARK, INDEX, FOOTER = range(1, 10)
REQUIRED, ZSTD, MOST = 0x80, 0x01, 16 * 2**20
STATES = ("good", "never", "stale", "poll failed", "not applicable", "redacted", "clamped", "not recorded",
          "suspect", "unknown", "missing", "absent")  # fmt: skip


class Unreadable(Exception):
    """A file that is no recording, or asks for a newer reader."""


class Damaged(Exception):
    """A record that fails a checksum or does not hold what it says."""


class Columns:
    """A schema laid out flat: for each place of the vector its block, its labels and its signal."""

    def __init__(self, found: dict[str, Any]) -> None:
        self.sources = len(found["sources"])
        self.places: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        for block in found["blocks"]:
            rows: list[dict[str, str]] = [{}]
            for axis in block["axes"]:
                rows = [{**row, axis["name"]: label} for row in rows for label in axis["labels"]]
            self.places += [(block["id"], row, signal) for row in rows for signal in block["signals"]]


def file_header(data: bytes) -> tuple[dict[str, Any], int]:
    """The facts in the file header, and where the first record begins."""
    if len(data) < 28 or data[:8] != MAGIC:
        raise Unreadable("no recording: it does not begin as one")
    major, minor, least_major, least_minor, size, json_crc, crc = struct.unpack_from("<HHHHIII", data, 8)
    if zlib.crc32(data[:24]) != crc or zlib.crc32(data[28 : 28 + size]) != json_crc:
        raise Damaged("the file header is damaged")
    if (least_major, least_minor) > (1, 0):
        raise Unreadable(f"format {major}.{minor} needs a reader of {least_major}.{least_minor}")
    return json.loads(data[28 : 28 + size]), 28 + size


def records(data: bytes, at: int) -> Iterator[tuple[int, tuple[int, ...], bytes | str]]:
    """(offset, header's fields, payload) of each record; a text in place of a payload tells of damage."""
    while at < len(data):
        hlen = struct.unpack_from("<H", data, at + 10)[0] if len(data) - at >= 52 else 0
        is_header = data[at : at + 8] == SYNC and 52 <= hlen <= 256 and at + hlen <= len(data)
        if is_header:
            (hcrc,) = struct.unpack_from("<I", data, at + hlen - 4)
            is_header = zlib.crc32(data[at : at + hlen - 4]) == hcrc
        fields = struct.unpack_from("<BBHIIIIqqI", data, at + 8) if is_header else ()
        if not fields or fields[3] > MOST:
            after = data.find(SYNC, at + 1)
            yield at, (), f"{(after if after >= 0 else len(data)) - at} bytes that are no record"
            if after < 0:
                return
            at = after
            continue
        payload = data[at + hlen : at + hlen + fields[3]]
        if len(payload) < fields[3]:
            yield at, (), f"a last record that was cut off: {len(data) - at} bytes"
            return
        yield at, fields, payload if zlib.crc32(payload) == fields[9] else "a payload that fails its checksum"
        at += hlen + fields[3]


def unpacked(payload: bytes, flags: int) -> bytes:
    """The payload as it was before compression; its size is declared, and looked at first."""
    if not flags & ZSTD:
        return payload
    if not 0 <= zstandard.frame_content_size(payload) <= MOST:
        raise Damaged("a payload that declares no size, or one over 16 MiB")
    return zstandard.ZstdDecompressor().decompress(payload, allow_extra_data=False)


def numbers(block: bytes, count: int) -> list[int]:
    """`count` signed numbers: a bitmap where there is one, byte planes, zigzag."""
    mode, at = block[0], 1
    places = list(range(count))
    if mode == 1:
        bitmap = block[1 : 1 + (count + 7) // 8]
        places = [n for n in places if bitmap[n // 8] & 0x80 >> n % 8]
        at += len(bitmap)
    width, at, found = block[at], at + 1, [0] * count
    planes = [block[at + n * len(places) : at + (n + 1) * len(places)] for n in range(width)]
    for n, place in enumerate(places):
        zigzag = sum(plane[n] << 8 * shift for shift, plane in enumerate(planes))
        found[place] = (zigzag >> 1) ^ -(zigzag & 1)
    return found


def frame(data: bytes, columns: dict[int, Columns]) -> tuple[int, list[int], list[int], dict[int, Any]]:
    """Schema id, numbers, source times, and {place: (state byte, reason id)} of a frame's payload."""
    schema_id, count, value_bytes, time_bytes, n = struct.unpack_from("<IIIII", data)
    if schema_id not in columns or count != len(columns[schema_id].places):
        raise Damaged("a frame of a schema that is not there")
    at = 20 + value_bytes
    values, times = numbers(data[20:at], count), numbers(data[at:], columns[schema_id].sources)
    at += time_bytes
    gaps, states = struct.unpack_from(f"<{n}I", data, at), data[at + 4 * n : at + 5 * n]
    told = zip(states, struct.unpack_from(f"<{n}H", data, at + 5 * n), strict=True)
    return schema_id, values, times, dict(zip(accumulate(gaps), told, strict=True))


def added(one: list[int], other: list[int]) -> list[int]:
    """Sums as int32: modulo 2**32."""
    return [(a + b + 2**31) % 2**32 - 2**31 for a, b in zip(one, other, strict=True)]


def value(stored: int, signal: dict[str, Any]) -> float | str | None:
    """What a stored number means, in the signal's unit."""
    if "bounds" in signal:
        return None if stored < 0 else signal["bounds"][stored]
    if "names" in signal and 0 <= stored < len(signal["names"]):
        return str(signal["names"][stored])
    if signal["unit"] == "1/s" and stored < 0:
        return float(f"{-stored % 10}e-{-stored // 10}")
    return float(f"{stored * signal['quantum']:.12g}")


def lines(data: bytes, first: float = 0, last: float = math.inf) -> Iterator[dict[str, Any]]:
    """Everything in the file, in order."""
    try:
        _, at = file_header(data)
    except Damaged as error:
        yield {"damage": str(error), "offset": 0}
        at = max(data.find(SYNC), 0)
    columns: dict[int, Columns] = {}
    group, number = dict[int, tuple[int, list[int], list[int]]](), -1
    for offset, fields, payload in records(data, at):
        if isinstance(payload, str):
            yield {"damage": payload, "offset": offset}
            continue
        kind, flags, _, _, seq, key_seq, ref_seq, t_wall, _, _ = fields
        try:
            if kind == SCHEMA:
                found = json.loads(unpacked(payload, flags))
                columns[found["schema_id"]] = Columns(found)
            elif kind in (KEY, SUBKEY, DELTA):
                schema_id, values, times, exceptions = frame(unpacked(payload, flags), columns)
                if kind != KEY:
                    if ref_seq not in group or group[ref_seq][0] != schema_id:
                        raise Damaged("a frame whose forerunner is lost")
                    values, times = added(values, group[ref_seq][1]), added(times, group[ref_seq][2])
                # A later frame refers to this one, or to the KEY of the group.
                group = {k: v for k, v in group.items() if k == key_seq and kind != KEY}
                group[seq] = (schema_id, values, times)
                number += 1
                if first <= number <= last:
                    for place, (block, labels, signal) in enumerate(columns[schema_id].places):
                        # A quantile's state stands at the first of its three numbers.
                        of_three = columns[schema_id].places[place - 1][2]["id"] == f"{signal['id']}.hi"
                        code, reason = exceptions.get(place - 2 * of_three, (0, 0))
                        one = {"at": t_wall / 1e6, "frame": number, "block": block, **labels}
                        shown = None if code & 0x80 else value(values[place], signal)
                        state = STATES[code & 0x3F] if code & 0x3F < len(STATES) else "newer"
                        yield one | {"signal": signal["id"], "value": shown, "state": state, "reason": reason}
            elif kind in (EVENT, ACTION, MARK):
                body = json.loads(unpacked(payload, flags))
                yield {"at": t_wall / 1e6, "kind": ("event", "action", "mark")[kind - EVENT], "body": body}
            elif kind not in (INDEX, FOOTER) and flags & REQUIRED:
                raise Unreadable(f"a record of kind {kind} that this reader would have to know")
        except (Damaged, zstandard.ZstdError, struct.error, ValueError, LookupError, TypeError) as error:
            yield {"damage": str(error) or "a payload that makes no sense", "offset": offset}


def main(arguments: list[str]) -> int:
    """Print a file's lines. Returns the exit status."""
    status = 0
    try:
        for line in lines(Path(arguments[0]).read_bytes(), *map(float, arguments[1:3])):
            status = 1 if "damage" in line else status
            print(json.dumps(line))
    except Unreadable as error:
        print(error, file=sys.stderr)
        return 2
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
