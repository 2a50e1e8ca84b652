"""Payloads of records that are no frames: checked by their CRC, unpacked."""

import zlib

from collectors.recording.codec import unpacked_text
from collectors.recording.layout import ZSTD, BadRecord, Record
from collectors.recording.walk import Ahead, File, Place


def unfolded(record: Record, stored: bytes) -> bytes:
    """A payload that is no frame, from what is stored of it. raises: BadRecord"""
    return unpacked_text(stored) if record.flags & ZSTD else stored


def checked(record: Record, stored: bytes) -> bytes:
    """raises: BadRecord if it is not what was written"""
    if len(stored) < record.stored or zlib.crc32(stored) != record.pcrc:
        raise BadRecord("a payload that is damaged")
    return stored


def payload_at(file: File | Ahead, place: Place) -> bytes:
    """The payload of a record that is no frame, unpacked. raises: BadRecord if it is damaged"""
    record = place.record
    stored = file.read(place.offset + record.hlen, record.stored)
    return unfolded(record, checked(record, stored))
