"""The native plane against real sockets: what it reads, and how it follows."""

import asyncio
import json
from contextlib import aclosing

import pytest

from collectors import fleet
from collectors.control import decode
from collectors.control.http import Timing
from collectors.control.server.app import Limits
from collectors.control.server.store import Store
from collectors.control.server.stream import StreamLimits
from collectors.fleet import EventKind, SourceState
from collectors.intents import OPERATIONS, Ability
from tests.integration.control_serving import (
    NOW,
    Clock,
    example,
    followed,
    following,
    has_state,
    level,
    scripted,
    seeded,
    serving,
    state_of,
    until,
)


async def test_reading_once_gives_everything() -> None:
    """Releases, cells, features, tiers, abilities, who we are; over several pages; in the server's time."""
    async with serving() as plane, aclosing(followed(plane.url, clock=lambda: NOW - 100)) as client:
        state = await client.read()
    assert [one.id for one in state.releases] == ["deep-research", "llama-70b"]
    assert len(state.throttles) == 12
    assert state.tiers == ("pro", "plus", "free")
    assert fleet.Feature("voice", "Voice", ("voice-1",)) in state.features
    assert (state.actor, state.role, state.api_version) == ("carol", "viewer", "v1")
    assert set(state.abilities) == set(OPERATIONS)
    assert state.abilities["throttle.set"] == Ability(True, False, "needs operator")
    assert (state.at, state.clock_offset_s) == (NOW, 100)
    assert state.seq == plane.store.held.seq


async def test_long_lists_are_read_to_their_end() -> None:
    """More than a page of cells; every one of them, once."""
    document = example()
    document["features"] += [{"id": f"f{n}", "title": "", "models": []} for n in range(120)]
    store = Store.open(None)
    store.seed(document, NOW)
    async with serving(store) as plane, aclosing(followed(plane.url)) as client:
        state = await client.read()
    assert {(one.feature, one.tier) for one in state.throttles} == set(store.held.throttles)


async def test_following_brings_state_then_changes() -> None:
    """Connecting, the whole state with its history, then each change with its line, by the stream."""
    async with serving() as plane, aclosing(followed(plane.url)) as client:
        assert set(client.capabilities()) == set(OPERATIONS)
        async with aclosing(client.updates()) as updates:
            first = await anext(updates)
            assert (first.state, first.health.state) == (None, SourceState.CONNECTING)
            update = await until(updates, has_state)
            assert update.health.state is SourceState.OK
            assert [one.actor for one in update.events] == ["system:seed"] * 3
            assert level(update) == 1.0
            await until(updates, lambda one: one.health.interval_s == 15)
            plane.store.set_level("voice", "free", 0.5, now=NOW, actor="bob", reason="GPUs full", ttl_s=1800)
            update = await until(updates, lambda one: level(one) == 0.5)
            events = update.events or (await until(updates, lambda one: bool(one.events))).events
            assert events == (
                fleet.Event(
                    NOW,
                    EventKind.THROTTLE,
                    "bob",
                    "voice/free",
                    "admit 100% → 50%, ttl 30 m, reason: GPUs full",
                ),
            )
            plane.clock.now += 900
            update = await until(updates, lambda one: bool(one.events))
            opened = update.events[0]
            # The server's clock leapt, as that of a simulated fleet does between two of its answers.
            assert (opened.text, opened.at) == ("gate of stage plus@25 is open", NOW + 900)


async def test_health_is_told_though_nothing_happens() -> None:
    """An update at least every few seconds, without a state."""
    async with (
        serving() as plane,
        aclosing(followed(plane.url)) as client,
        aclosing(client.updates()) as updates,
    ):
        await until(updates, has_state)
        quiet = await until(updates, lambda one: one.state is None and one.health.queries == 0, 2)
        assert quiet.health.state is SourceState.OK
        assert quiet.health.error == ""


async def test_only_a_higher_seq_is_taken() -> None:
    """An event about an older state of an object moves nothing."""
    cell = {"kind": "throttle", "feature": "f", "tier": "t", "seq": 7, "etag": "e", "level": 0.5}
    stream = 'event: hello\ndata: {"seq":7}\n\n'
    for seq, tier, share in ((8, "t", 0.3), (6, "t", 0.1), (8, "t", 0.2), (9, "other", 0.9)):
        data = {"seq": seq, "object": cell | {"seq": seq, "tier": tier, "level": share}}
        stream += f"id: {seq}\nevent: throttle\ndata: {json.dumps(data)}\n\n"
    async with scripted(throttles=[cell], stream=stream) as url, following(url) as updates:
        assert level(await until(updates, has_state), "f", "t") == 0.5
        update = await until(updates, lambda one: one.state is not None and len(one.state.throttles) == 2)
        assert level(update, "f", "other") == 0.9
        assert level(update, "f", "t") == 0.3


async def test_a_plane_without_stream_is_polled() -> None:
    """501 for the watch: changes come by asking, with the line of each."""
    cell = {"feature": "f", "tier": "t", "seq": 5, "etag": "e", "level": 0.5}
    cells = [cell]
    async with scripted(throttles=cells, stream=None) as url, following(url) as updates:
        await until(updates, has_state)
        cells[0] = cell | {"seq": 6, "level": 0.25}
        update = await until(updates, lambda one: level(one, "f", "t") == 0.25)
        assert update.events[0].text == "admit 50% → 25%"
        assert update.health.interval_s == 0.05


async def test_polling_costs_little_when_nothing_changed() -> None:
    """One stream too many: it polls, and lists that did not change are answered 304."""
    limits = StreamLimits(per_token=0)
    async with serving(stream=limits) as plane, following(plane.url) as updates:
        await until(updates, has_state)
        quiet = await until(updates, lambda one: one.state is None and one.health.queries > 3)
        assert quiet.health.received_bytes / quiet.health.queries < 1200
        plane.store.set_level("voice", "free", 0.5, now=NOW, actor="bob", reason="full")
        update = await until(updates, lambda one: level(one) == 0.5)
        assert [one.text for one in update.events] == ["admit 100% → 50%, reason: full"]
        plane.store.set_level("voice", "free", 0.7, now=NOW, actor="bob", reason="better")
        update = await until(updates, lambda one: level(one) == 0.7)
        assert [one.text for one in update.events] == ["admit 50% → 70%, reason: better"]


async def test_a_stream_that_breaks_is_resumed_where_it_was() -> None:
    """The server goes and comes back with its data: lost meanwhile, then well, and nothing told twice."""
    store = seeded()
    async with serving(store) as plane:
        port = int(plane.url.rpartition(":")[2])
        client = followed(plane.url)
        updates = client.updates()
        await until(updates, lambda one: one.health.interval_s == 15)
        plane.app.state.streams.close()
        lost = await until(updates, lambda one: one.health.state is SourceState.LOST)
        assert "ended the stream (shutdown)" in lost.health.error
    async with aclosing(client), aclosing(updates):
        refused = await until(updates, lambda one: "refuses the connection" in one.health.error)
        assert refused.health.at is not None
        store.set_level("voice", "free", 0.5, now=NOW, actor="bob", reason="meanwhile")
        async with serving(store, port=port):
            update = await until(updates, lambda one: level(one) == 0.5)
            events = [*update.events]
            if not events:
                events += (await until(updates, lambda one: bool(one.events))).events
            assert [one.text for one in events] == ["admit 100% → 50%, reason: meanwhile"]
            assert (await until(updates, lambda one: True)).health.state is SourceState.OK


async def test_a_server_that_lost_its_memory_is_read_anew() -> None:
    """Another instance, with a seq below and above ours: what it says now is what is shown."""
    async with serving() as plane:
        port = int(plane.url.rpartition(":")[2])
        client = followed(plane.url)
        updates = client.updates()
        plane.store.set_level("voice", "free", 0.5, now=NOW, actor="bob", reason="full")
        await until(updates, lambda one: one.health.interval_s == 15)
    async with aclosing(client), aclosing(updates):
        for extra in (0, 50):
            store = seeded()
            for number in range(extra):
                store.set_level("chat", "pro", number / 100, now=NOW, actor="a", reason="busy")
            store.set_level("voice", "free", 0.7 + extra / 1000, now=NOW, actor="a", reason="busy")
            async with serving(store, port=port):
                wanted = 0.7 + extra / 1000
                await until(updates, lambda one, wanted=wanted: level(one) == wanted)  # type: ignore[misc]
                await until(updates, lambda one: one.health.interval_s == 15)


async def test_events_that_are_gone_mean_listing_again() -> None:
    """410 on resuming: the lists are read, and the client follows on."""
    async with serving() as plane:
        port = int(plane.url.rpartition(":")[2])
        client = followed(plane.url)
        updates = client.updates()
        await until(updates, lambda one: one.health.interval_s == 15)
        store = plane.store
    async with aclosing(client), aclosing(updates):
        for number in range(600):
            store.set_level("chat", "pro", number % 9 / 9, now=NOW, actor="a", reason="busy")
        store.set_level("voice", "free", 0.5, now=NOW + 1000, actor="a", reason="busy")
        assert store.floor > 20
        async with serving(store, port=port):
            await until(updates, lambda one: level(one) == 0.5)
            store.set_level("voice", "free", 0.6, now=NOW + 1000, actor="a", reason="busy")
            await until(updates, lambda one: level(one) == 0.6)


async def test_silence_is_death() -> None:
    """A stream without a byte for the dead-line is left, and asked again."""
    requests: list[str] = []
    timing = Timing(first_retry_s=0.05, last_retry_s=0.1, health_s=0.2, dead_s=0.2)
    stream = 'event: hello\ndata: {"seq":5}\n\nid: 9\nevent: unheard-of\ndata: {}\n\n'
    async with scripted(stream=stream, requests=requests) as url, following(url, timing=timing) as updates:
        lost = await until(updates, lambda one: one.health.state is SourceState.LOST)
        assert "was silent for 0.2 s on /v1/watch" in lost.health.error
        await until(updates, lambda one: sum("/v1/watch" in head for head in requests) >= 2)
    again = [head for head in requests if "/v1/watch" in head][1]
    assert "last-event-id: 9" in again.lower()


async def test_the_clock_offset_is_the_servers_less_ours() -> None:
    """By the shortest round trip; a clock that was stepped is noticed in the stream."""
    clock = Clock(NOW - 7)
    async with (
        serving(stream=StreamLimits(heartbeat_s=0.1)) as plane,
        following(plane.url, clock=clock) as updates,
    ):
        update = await until(updates, has_state)
        assert state_of(update).clock_offset_s == pytest.approx(7)
        plane.clock.now += 100
        await asyncio.sleep(0.3)
        plane.store.set_level("voice", "free", 0.5, now=plane.clock.now, actor="bob", reason="full")
        update = await until(updates, lambda one: level(one) == 0.5)
        assert state_of(update).clock_offset_s == pytest.approx(107)
        assert state_of(update).at == pytest.approx(NOW + 100)


async def test_closing_stops_at_once() -> None:
    """aclose while following ends the updates, twice is fine, and no connection stays."""
    async with serving() as plane:
        client = followed(plane.url)
        updates = client.updates()
        await until(updates, lambda one: one.health.interval_s == 15)
        async with asyncio.timeout(60):
            await client.aclose()
            await client.aclose()
            assert [one async for one in updates if one.state] == []
            while plane.app.state.streams.open.total():
                await asyncio.sleep(0.01)


async def test_the_contracts_example_comes_through_whole() -> None:
    """What the store holds is what the client has, object by object."""
    async with serving(limits=Limits()) as plane, aclosing(followed(plane.url)) as client:
        state = await client.read()
        held = plane.store.held
    assert state.releases == tuple(decode.release(one) for one in held.releases.values())
    assert state.throttles == tuple(decode.throttle(one) for one in held.throttles.values())
