"""The chain of the log: each entry holds the hash of the one before, so that a change or a loss shows.

A hash is of an entry's JSON, as the server writes it, with `sha256` empty. It covers `previous_sha256` and,
through it, every entry before. It shows a log that was changed behind its server's back. Whoever can write
the file can also make a new chain: keep a hash elsewhere, to compare with.
"""

import hashlib
from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from collectors.control import wire
from collectors.text import clean


def sealed(entry: wire.Audit, previous: str) -> wire.Audit:
    """The entry as the next of the chain whose newest hash is `previous` ("" for the first)."""
    linked = replace(entry, previous_sha256=previous, sha256="")
    return replace(linked, sha256=hashlib.sha256(wire.render(linked)).hexdigest())


def verify(entries: Iterable[wire.Audit | msgspec.Raw | bytes], previous: str | None = None) -> str | None:
    """The first break of the chain, as a sentence; None where it holds.

    entries: oldest first, without gaps, so of the log as a whole and not of some filter. Give them as they
        came (JSON): an entry that was decoded has lost the members of a newer server, which its hash covers
    previous: hash of the entry before these, "" if they begin with the log's first; None takes their word
    """
    before = ""
    for entry in entries:
        body = wire.render(entry) if isinstance(entry, wire.Audit) else entry
        try:
            members = wire.read(body, dict[str, object])
        except ValueError as error:
            return f"an entry after {before or 'the start'} cannot be read: {clean(str(error), 200)}"
        id, claimed, link = (members.get(one) for one in ("id", "sha256", "previous_sha256"))
        name = (clean(id, 63) if isinstance(id, str) else "") or "an entry without id"
        if not isinstance(claimed, str) or not claimed:
            return f"{name} has no hash: its server keeps no chain, or the hash was taken away"
        if previous is not None and link != previous:
            after = before or "what was there before"
            return f"{name} does not follow {after}: an entry between them is missing, or was changed"
        if _digest(members) != claimed:
            return f"{name} was changed after it was written: its hash does not fit"
        previous, before = claimed, name
    return None


def _digest(members: dict[str, object]) -> str:
    """The hash of an entry; "" of one that holds what cannot be written again, which no server has sealed."""
    try:
        return hashlib.sha256(wire.render(members | {"sha256": ""})).hexdigest()
    except (ValueError, OverflowError, RecursionError):
        return ""
