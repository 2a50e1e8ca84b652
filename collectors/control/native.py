"""The native control plane: contract v1 over HTTP, followed by its event stream, else by polling."""

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple, TypeVar

import msgspec
from msgspec.structs import replace as replace_struct

from collectors.control import decode, told, wire
from collectors.control.asking import PAGE_LIMIT, Listed, ask_capabilities, ask_log, ask_pages
from collectors.control.http import PlaneHTTP, Timing
from collectors.control.interface import ControlPlane, PlaneError, PlaneState, PlaneUpdate
from collectors.control.operator import PlaneOperator
from collectors.control.sse import COMMENT, EventReader, SentEvent
from collectors.fleet import Event, Release, SourceHealth, SourceState, Throttle
from collectors.intents import OPERATIONS, Ability, Target
from collectors.text import clean

MAX_BYTES = 2_097_152
WARNINGS = 20
AUDIT_FIRST = 20
"""Entries of the log read at first, so that a screen does not open onto an empty history."""

_STREAM_REFUSED = frozenset({403, 404, 405, 429, 501})

Key = TypeVar("Key", str, tuple[str, str])
Thing = TypeVar("Thing", Release, Throttle)


class _Named(msgspec.Struct, frozen=True):
    """Whatever of its name can be read from an object that otherwise cannot."""

    id: str = ""
    feature: str = ""
    tier: str = ""


class _Known(NamedTuple):
    """What is held of the plane. Replaced whole, never changed in place."""

    found: wire.Capabilities
    releases: Mapping[str, Release]
    throttles: Mapping[tuple[str, str], Throttle]
    seq: int


class NativePlane(ControlPlane):
    """A plane that speaks contract v1. See `ControlPlane` for what each method promises."""

    def __init__(
        self,
        url: str,
        token: Callable[[], str | None],
        *,
        verify: bool | str = True,
        name: str = "ctl",
        poll_s: float = 5.0,
        clock: Callable[[], float] = time.time,
        timing: Timing | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        """Nothing is asked yet.

        token: called before each request, off the event loop; may raise PlaneError
        verify: False to trust any certificate, or the path of a CA file
        raises: PlaneError if `url` is no plane's address.
        """
        self._timing = timing or Timing()
        self._http = PlaneHTTP(
            url, token, verify=verify, name=name, clock=clock, timing=self._timing, max_bytes=max_bytes
        )
        self._name, self._poll_s, self._clock = name, poll_s, clock
        self._known: _Known | None = None
        self._must_list = True
        self._cursor = 0
        self._audit_seq = 0
        self._has_audit = False
        self._etags: dict[str, str] = {}
        self._unreadable: dict[str, str] = {}
        self._events: deque[Event] = deque(maxlen=1000)
        self._has_news = False
        self._delay_s = self._timing.first_retry_s
        self._changed = asyncio.Event()
        self._health = SourceHealth(name, "plane", SourceState.CONNECTING)
        self._follower: asyncio.Task[None] | None = None
        self._operator = PlaneOperator(self._http, held=self._held, keep=self._keep)

    def __repr__(self) -> str:
        return f"NativePlane({self._http.url!r})"

    def capabilities(self) -> Mapping[str, Ability]:
        if self._known is None:
            return dict.fromkeys(OPERATIONS, Ability(False, False, f"{self._name} has not answered yet"))
        return decode.abilities(self._known.found)

    async def read(self) -> PlaneState:
        found = await ask_capabilities(self._http)
        releases = await self._ask_list("/v1/releases", is_fresh=True)
        throttles = await self._ask_list("/v1/throttles", is_fresh=True)
        assert releases is not None and throttles is not None  # asked without a tag: never 304
        seq = max(releases.seq, throttles.seq)
        return self._state(
            _Known(found, self._releases(releases.items), self._throttles(throttles.items), seq)
        )

    async def updates(self) -> AsyncGenerator[PlaneUpdate, None]:
        if self._follower is not None:
            raise RuntimeError("this plane is followed already: one updates() at a time")
        follower = self._follower = asyncio.create_task(self._follow(), name=f"follow {self._name}")
        follower.add_done_callback(lambda _: self._changed.set())
        try:
            yield self._update()
            while True:
                try:
                    async with asyncio.timeout(self._timing.health_s):
                        await self._changed.wait()
                except TimeoutError:
                    # Nothing new, which is told too: the health line must not freeze.
                    pass
                if follower.done():
                    if not follower.cancelled():
                        follower.result()
                    return
                self._changed.clear()
                yield self._update()
        finally:
            await self._stop_following()

    async def log(self, filters: Mapping[str, str], limit: int | None) -> list[msgspec.Raw]:
        """Entries of the log, newest first, as `ask_log` gives them. raises: PlaneError."""
        return await ask_log(self._http, filters, limit)

    def operator(self) -> PlaneOperator:
        """The one operator of this plane: what it has in flight, or unsettled, holds for all who ask."""
        return self._operator

    async def aclose(self) -> None:
        await self._stop_following()
        await self._http.aclose()

    async def _stop_following(self) -> None:
        follower, self._follower = self._follower, None
        if follower is not None and not follower.done():
            follower.cancel()
            await asyncio.wait({follower})

    def _update(self) -> PlaneUpdate:
        events = tuple(self._events)
        self._events.clear()
        state = None
        if self._has_news and self._known is not None and not self._must_list:
            state, self._has_news = self._state(self._known), False
        warnings = (*self._http.warnings(), *list(self._unreadable.values())[:5])
        is_partial = self._health.state is SourceState.OK and bool(self._unreadable)
        health = replace(
            self._health,
            state=SourceState.PARTIAL if is_partial else self._health.state,
            latency_s=self._http.latency_s,
            warnings=warnings,
            queries=self._http.queries,
            received_bytes=self._http.received_bytes,
        )
        self._http.queries = self._http.received_bytes = 0
        return PlaneUpdate(state, events, health)

    def _state(self, known: _Known) -> PlaneState:
        found = known.found
        return PlaneState(
            releases=tuple(known.releases[key] for key in sorted(known.releases)),
            throttles=tuple(known.throttles[key] for key in sorted(known.throttles)),
            features=decode.features(found),
            tiers=tuple(clean(one) for one in found.tiers),
            abilities=decode.abilities(found),
            actor=clean(found.actor),
            role=clean(found.role),
            seq=known.seq,
            at=self._http.server_clock.now(self._clock()),
            clock_offset_s=self._http.server_clock.offset_s,
            api_version=clean(found.api_version, 20),
            ttl_max_s=found.limits.get("ttl_max_s", 604_800),
        )

    async def _follow(self) -> None:
        """Read, then watch or poll; after any failure wait, each time longer, and begin again."""
        while True:
            try:
                await self._meet()
                if self._must_list:
                    await self._list()
                self._well()
                if not await self._watch():
                    await self._poll()
                    continue
            except PlaneError as error:
                if error.code == "seq-gone":
                    self._must_list = True
                self._etags.clear()
                self._lost(str(error))
            await asyncio.sleep(self._delay_s * random.uniform(0.5, 1.0))
            self._delay_s = min(2 * self._delay_s, self._timing.last_retry_s)

    async def _meet(self) -> None:
        """Learn what can be done here, and whether this is still the server we knew."""
        found, known = await ask_capabilities(self._http), self._known
        if known is None:
            self._known = _Known(found, {}, {}, 0)
            return
        if found.server.instance != known.found.server.instance or 0 < found.seq < known.seq:
            # It was reset: nothing held may be compared with what it says now.
            self._must_list = True
            self._audit_seq = 0
            self._etags.clear()
        if replace_struct(found, seq=0) != replace_struct(known.found, seq=0):
            self._know(known._replace(found=found))

    async def _poll(self) -> None:
        """Ask every `poll_s`, until it makes sense to ask for a stream again."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._timing.watch_retry_s
        self._delay_s = self._timing.first_retry_s
        self._health = replace(self._health, interval_s=self._poll_s)
        while loop.time() < end:
            await asyncio.sleep(self._poll_s)
            await self._meet()
            await self._list()
            self._well()

    async def _watch(self) -> bool:
        """Follow the stream until it ends, which is always an error. False: none is to be had here.

        raises: PlaneError.
        """
        ability = self.capabilities()["watch"]
        if not (ability.supported and ability.allowed):
            return False
        since = str(self._cursor)
        headers = {"Accept": "text/event-stream", "Last-Event-ID": since}
        stream = self._http.stream("/v1/watch", {"since": since}, headers, read_s=self._timing.dead_s)
        has_begun = False
        try:
            async with stream as response:
                has_begun = True
                self._http.check_type(response, "text/event-stream")
                reader = EventReader()
                async for chunk in response.aiter_raw():
                    self._http.received_bytes += len(chunk)
                    await self._take_chunk(reader, chunk)
        except PlaneError as error:
            if not has_begun and error.status in _STREAM_REFUSED:
                return False
            raise
        raise self._http.error("ended the stream; it is asked again")

    async def _take_chunk(self, reader: EventReader, chunk: bytes) -> None:
        try:
            events = reader.feed(chunk)
        except ValueError as error:
            raise self._http.error(f"sent what is refused: {error}; it is asked again") from error
        for event in events:
            if event.kind == "hello":
                self._hello(self._http.decoded("/v1/watch", event.data, wire.Hello))
            elif event.kind == "bye":
                why = clean(self._http.decoded("/v1/watch", event.data, wire.Bye).why, 60)
                raise self._http.error(f"ended the stream ({why or 'no reason given'}); it is asked again")
            elif event.kind == "capabilities":
                await self._meet()
            elif event.kind == COMMENT:
                stamp = event.data.decode("ascii", "replace").removeprefix("hb").strip()
                self._http.server_clock.sample_stream(stamp, self._clock())
            else:
                self._take(event)
        self._well()

    def _hello(self, hello: wire.Hello) -> None:
        if hello.seq < self._cursor:
            raise self._http.error("was reset: its count began anew; it is read anew", code="seq-gone")
        self._http.server_clock.sample_stream(hello.server_time, self._clock())
        self._health = replace(self._health, interval_s=hello.heartbeat_s)
        self._delay_s = self._timing.first_retry_s

    def _take(self, event: SentEvent) -> None:
        """One event about an object. Kinds we do not know only move the cursor."""
        known = self._known
        assert known is not None  # the lists are read before the stream
        if event.kind in {"release", "throttle", "audit"}:
            changed = self._http.decoded("/v1/watch", event.data, wire.Changed)
            if event.kind == "audit":
                self._log([changed.object])
            elif event.kind == "release":
                releases = self._merged(known.releases, self._releases((changed.object,)))
                self._know(known._replace(releases=releases, seq=max(known.seq, changed.seq)))
            else:
                throttles = self._merged(known.throttles, self._throttles((changed.object,)))
                self._know(known._replace(throttles=throttles, seq=max(known.seq, changed.seq)))
        if event.id is not None and event.id.isascii() and event.id.isdigit() and len(event.id) < 17:
            self._cursor = int(event.id)

    async def _list(self) -> None:
        """Read the lists, as far as they changed, and what the log says since."""
        is_anew = self._must_list
        releases = await self._ask_list("/v1/releases")
        throttles = await self._ask_list("/v1/throttles")
        listed = [one for one in (releases, throttles) if one is not None]
        if not listed:
            return
        self._unreadable.clear()
        await self._ask_audit()
        # Only now: while it was asked, a write of ours may have brought something newer.
        known = self._known
        assert known is not None  # capabilities are read first
        if releases is not None:
            read = self._releases(releases.items)
            merged = self._merged(known.releases, read, is_anew=is_anew)
            known = known._replace(releases={key: merged[key] for key in read})
        if throttles is not None:
            cells = self._throttles(throttles.items)
            merged_cells = self._merged(known.throttles, cells, is_anew=is_anew)
            known = known._replace(throttles={key: merged_cells[key] for key in cells})
        seqs = [one.seq for one in listed]
        self._cursor = min(seqs) if is_anew else max(self._cursor, min(seqs))
        self._must_list = False
        self._know(known._replace(seq=max(seqs) if is_anew else max(known.seq, *seqs)))

    def _merged(
        self, held: Mapping[Key, Thing], come: Mapping[Key, Thing], *, is_anew: bool = False
    ) -> dict[Key, Thing]:
        """What is held with what came, by the higher seq; and a line told for what nobody logs."""
        merged = dict(held)
        for key, new in come.items():
            old = held.get(key)
            if old is not None and not is_anew and new.seq <= old.seq:
                continue
            merged[key] = new
            if old is not None:
                self._notice(old, new)
        return merged

    def _held(self, target: Target) -> Release | Throttle | None:
        """What is held of a target, which may be old."""
        if self._known is None:
            return None
        if target.kind == "release":
            return self._known.releases.get(target.id)
        return self._known.throttles.get((target.id, target.tier))

    def _keep(self, thing: Release | Throttle) -> None:
        """Take what an operator's read or write brought, so that the next update shows it.

        The plane's own count stays: raised here, an answer that was under way would read as a reset.
        """
        known = self._known
        if known is None or self._must_list:
            return
        if isinstance(thing, Release):
            self._know(known._replace(releases=self._merged(known.releases, {thing.id: thing})))
        else:
            cell = {(thing.feature, thing.tier): thing}
            self._know(known._replace(throttles=self._merged(known.throttles, cell)))

    def _notice(self, old: Release | Throttle, new: Release | Throttle) -> None:
        if self._has_audit and new.last_change != old.last_change:
            return
        at = self._http.server_clock.now(self._clock())
        if isinstance(old, Release) and isinstance(new, Release):
            event = told.changed_release(old, new, at)
        elif isinstance(old, Throttle) and isinstance(new, Throttle):
            event = told.changed_throttle(old, new, at)
        if event is not None:
            self._events.append(event)

    def _releases(self, items: tuple[msgspec.Raw, ...]) -> dict[str, Release]:
        found: dict[str, Release] = {}
        for item in items:
            try:
                one = decode.release(wire.read(item, wire.Release))
                found[one.id] = one
            except ValueError as error:
                self._leave_out("a release", item, error)
        return found

    def _throttles(self, items: tuple[msgspec.Raw, ...]) -> dict[tuple[str, str], Throttle]:
        found: dict[tuple[str, str], Throttle] = {}
        for item in items:
            try:
                one = decode.throttle(wire.read(item, wire.Throttle))
                found[one.feature, one.tier] = one
            except ValueError as error:
                self._leave_out("a throttle", item, error)
        return found

    def _log(self, items: Iterable[msgspec.Raw]) -> None:
        """Tell entries of the log that were not told yet."""
        for item in items:
            try:
                entry = wire.read(item, wire.Audit)
                if entry.seq > self._audit_seq:
                    self._events.append(told.logged(entry))
                    self._audit_seq = entry.seq
                    self._changed.set()
            except ValueError as error:
                self._leave_out("an entry of the log", item, error)

    def _leave_out(self, what: str, item: msgspec.Raw, error: ValueError) -> None:
        """Say that an object cannot be read; the others still can."""
        try:
            named = wire.read(item, _Named)
        except ValueError:
            named = _Named()
        name = clean("/".join(part for part in (named.id, named.feature, named.tier) if part), 80)
        if len(self._unreadable) < WARNINGS:
            self._unreadable[f"{what} {name}"] = clean(f"{what} {name} is left out: {error}", 256)

    async def _ask_list(self, path: str, *, is_fresh: bool = False) -> Listed | None:
        """A list, every page of it; None if it is as it was. `is_fresh`: whatever was read before."""
        etag = None if is_fresh or self._must_list else self._etags.get(path)
        for _ in range(3):
            try:
                listed = await ask_pages(self._http, path, etag)
            except PlaneError as error:
                # Slower than the page token's life, or the server restarted: begin again.
                if error.code != "page-expired":
                    raise
                continue
            if listed is not None and listed.etag is not None and not is_fresh:
                self._etags[path] = listed.etag
            return listed
        raise self._http.error(f"expires the pages of {path} before they are read; try again later")

    async def _ask_audit(self) -> None:
        """Tell what the log has since last time. A plane without a log is told by its changes."""
        limit = AUDIT_FIRST if self._audit_seq == 0 else PAGE_LIMIT
        try:
            answer = await self._http.ask("/v1/audit", {"limit": str(limit)})
        except PlaneError as error:
            if error.status == 0:
                raise
            self._has_audit = False
            return
        self._has_audit = True
        self._log(reversed(self._http.decoded("/v1/audit", answer.body, wire.Page).items))

    def _know(self, known: _Known) -> None:
        self._known, self._has_news = known, True
        self._changed.set()

    def _well(self) -> None:
        if self._health.state is not SourceState.OK:
            self._changed.set()
        self._health = replace(self._health, state=SourceState.OK, at=self._clock(), error="")

    def _lost(self, error: str) -> None:
        self._health = replace(self._health, state=SourceState.LOST, error=error)
        self._changed.set()
