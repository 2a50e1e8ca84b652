"""The chain of the log: what it shows, and what it does not mind."""

import hashlib

from collectors.control import chain, wire
from collectors.control.server.store import AuditQuery
from tests.control_commands import IMAGES, NOW, VOICE, command, refusal, seeded


def test_a_chain_shows_what_was_changed_or_lost() -> None:
    """A change, a loss, a swap, a hash taken away: each is named; a log that is whole is not."""
    store = seeded()
    for number in range(4):
        store.apply(command(store, "throttle.set", VOICE, level=number / 10), now=NOW + number)
    refusal(store, command(store, "throttle.set", IMAGES, level=0.5, if_match="t-0"), NOW + 9)
    bodies = [body for _, body in reversed(store.audit(AuditQuery(), 100))]
    entries = [wire.read(body, wire.Audit) for body in bodies]
    assert chain.verify(bodies, previous="") is None
    assert chain.verify(entries) is None
    assert chain.verify(bodies[3:], previous=entries[2].sha256) is None
    assert chain.verify([]) is None
    id = entries[4].id
    changed = bodies[4].replace(b'"actor":"alice"', b'"actor":"bob"')
    assert changed != bodies[4]
    assert chain.verify([*bodies[:4], changed, *bodies[5:]]) == (
        f"{id} was changed after it was written: its hash does not fit"
    )
    assert f"{entries[5].id} does not follow {entries[3].id}" in (chain.verify(bodies[:4] + bodies[5:]) or "")
    assert "does not follow what was there before" in (chain.verify(bodies[1:], previous="") or "")
    assert "does not follow" in (chain.verify([bodies[1], bodies[0]]) or "")
    bare = bodies[4].replace(entries[4].sha256.encode(), b"")
    assert f"{id} has no hash" in (chain.verify([*bodies[:4], bare]) or "")
    assert "cannot be read" in (chain.verify([b"oops"]) or "")


def test_a_chain_holds_with_members_that_this_version_does_not_know() -> None:
    """A newer server's entries are verified as they came."""
    linked = {"kind": "audit", "id": "a-1", "news": {"b": 1, "a": 0.5}, "previous_sha256": "", "sha256": ""}
    digest = hashlib.sha256(wire.render(linked)).hexdigest()
    assert chain.verify([wire.render(linked | {"sha256": digest})], previous="") is None
