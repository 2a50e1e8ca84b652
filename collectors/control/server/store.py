"""What the embedded plane knows: releases, throttles, their log and their events, on SQLite.

Resources live in memory as one immutable snapshot, replaced at every commit, so that reading needs no lock
and touches no disk. Writing commits to SQLite first; a killed process loses nothing that was answered.
Times are given by the caller, by whatever clock the plane runs on.
"""

import contextlib
import os
import secrets
import sqlite3
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from collectors.control import wire
from collectors.control.server import rules
from collectors.control.server.commands import Command, Done
from collectors.control.server.seed import TTL_MAX_S, Seed, SeedError, checked
from collectors.control.server.state import Batch, Config, Entry, StoredEvent, registered
from collectors.control.server.state import (
    Held as Held,
)  # the type of `Store.held`, for whoever embeds a store

EVENTS_KEPT = 1000
EVENTS_KEPT_S = 600.0
TELEMETRY_S = 5.0
"""A release's observed shares are published at most this often."""

_VERSION = 1
_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE resource (path TEXT PRIMARY KEY, kind TEXT NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE event (seq INTEGER PRIMARY KEY, at REAL NOT NULL, kind TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE audit (seq INTEGER PRIMARY KEY, at REAL NOT NULL, actor TEXT NOT NULL, op TEXT NOT NULL,
  resource TEXT NOT NULL, result TEXT NOT NULL, decision_id TEXT, body BLOB NOT NULL);
CREATE INDEX audit_resource ON audit (resource, seq);
"""


class StoreError(Exception):
    """The store cannot be opened or written. str() says which file, why, and what to do."""


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """What a store keeps, and for how long. The defaults are the contract's."""

    idempotency_retention_s: float = 86_400
    ttl_max_s: int = TTL_MAX_S
    events_kept: int = EVENTS_KEPT
    event_retention_s: float = EVENTS_KEPT_S


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Filters of the log. `since`, `until`: seconds since the epoch; `below`: only older than this seq."""

    resource: str | None = None
    actor: str | None = None
    op: str | None = None
    result: str | None = None
    decision_id: str | None = None
    since: float | None = None
    until: float | None = None
    below: int | None = None


class Store:
    """Use `Store.open`. Methods may be called from any thread; writing blocks, for a file on its fsync."""

    def __init__(
        self, database: sqlite3.Connection, *, is_file: bool, limits: StoreLimits | None = None
    ) -> None:
        self.is_file = is_file
        self.limits = limits or StoreLimits()
        self._database = database
        self._lock = threading.Lock()
        self._listeners: set[Callable[[], None]] = set()
        self._observed_at: dict[str, float] = {}
        self._events: list[StoredEvent] = []
        self._held = Held()
        self._load()

    @classmethod
    def open(cls, path: Path | None, limits: StoreLimits | None = None) -> "Store":
        """The store in `path`, created with mode 0600; None keeps it in memory.

        raises: StoreError if the file cannot be used or another plane is using it.
        """
        if path is None:
            database = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
            database.executescript(_SCHEMA)
            return cls(database, is_file=False, limits=limits)
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
            path.chmod(0o600)
        except OSError as error:
            raise StoreError(f"{path}: cannot be opened: {error.strerror}; give another file") from error
        database = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=1.0)
        try:
            # One process owns the file: a second one's snapshot would not see our commits.
            database.execute("PRAGMA locking_mode=EXCLUSIVE")
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=FULL")
            database.execute("BEGIN IMMEDIATE")
            version = database.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                for statement in _SCHEMA.split(";"):
                    database.execute(statement)
                database.execute(f"PRAGMA user_version={_VERSION}")
            database.execute("COMMIT")
            if version > _VERSION:
                raise StoreError(f"{path}: written by a newer tidegate; use that one, or another file")
            return cls(database, is_file=True, limits=limits)
        except (sqlite3.Error, ValueError) as error:
            database.close()
            why = "another plane is using it" if "locked" in str(error) else f"no data of a plane: {error}"
            raise StoreError(f"{path}: {why}; give another file") from error
        except StoreError:
            database.close()
            raise

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        with self._lock:
            self._database.close()

    @property
    def held(self) -> Held:
        """The newest snapshot."""
        return self._held

    @property
    def floor(self) -> int:
        """Oldest seq after which every event is still known."""
        events = self._events
        return events[0].seq - 1 if events else self._held.seq

    def events_after(self, seq: int) -> Sequence[StoredEvent]:
        """Kept events above `seq`, oldest first."""
        events = self._events
        return events[bisect_right(events, seq, key=lambda one: one.seq) :]

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` after every commit, from the committing thread. Returns what undoes it."""
        self._listeners.add(wake)
        return lambda: self._listeners.discard(wake)

    def seed(self, document: object, now: float) -> None:
        """Take tiers and features from `document`; add its releases and throttles where there are none yet.

        A release or throttled cell already held stays as it is: a restart must not undo a day's work.
        document: parsed JSON, or a `Seed` already checked.
        raises: SeedError with the JSON pointer of the first fault.
        """
        seed = document if isinstance(document, Seed) else checked(document)
        config = Config(
            tiers=seed.tiers,
            default_tier=seed.default_tier or seed.tiers[-1],
            features=tuple(wire.Feature(one.id, one.title, one.models) for one in seed.features),
            throttle_units=seed.throttle_units,
            instance=self._held.config.instance,
        )
        with self._batch(now) as batch:
            batch.configure(config)
            for cell in seed.throttles:
                held = batch.throttles[cell.feature, cell.tier]
                if held.last_change is None:
                    entry = Entry("system:seed", "throttle.set", cell.reason)
                    batch.put_throttle(rules.throttled(held, cell.level, now=now, ttl_s=cell.ttl_s), entry)
            for number, release in enumerate(seed.releases):
                if release.id not in batch.releases:
                    holders = {one.subject.name: one.id for one in batch.releases.values()}
                    if holder := holders.get(release.subject.name):
                        raise SeedError(
                            f"/releases/{number}/subject/name: already held by release {holder!r}"
                        )
                    entry = Entry("system:seed", "release.register", release.reason)
                    batch.put_release(registered(release, seed.tiers, now), entry)

    @property
    def write_counts(self) -> Mapping[tuple[str, str], int]:
        """Writes since this process began, by operation and what became of them: applied, refused, conflict,
        replayed."""
        return {}

    def apply(self, command: Command, *, now: float) -> Done:
        """Carry out one write."""
        raise NotImplementedError

    def rehearse(self, command: Command, *, now: float) -> bytes:
        """What `apply` would do."""
        raise NotImplementedError

    def put_release(self, release: wire.Release, *, now: float, entry: Entry | None = None) -> wire.Release:
        """Keep a release, with a new seq, and a new etag if what its etag stands for changed. With an
        entry it is logged. Returns it as kept."""
        with self._batch(now) as batch:
            return batch.put_release(release, entry)

    def put_throttle(self, cell: wire.Throttle, *, now: float, entry: Entry | None = None) -> wire.Throttle:
        """As `put_release`, for a cell."""
        with self._batch(now) as batch:
            return batch.put_throttle(cell, entry)

    def set_level(
        self,
        feature: str,
        tier: str,
        level: float,
        *,
        now: float,
        actor: str,
        reason: str,
        ttl_s: float | None = None,
    ) -> wire.Throttle:
        """Admit `level` (0..1) of a cell, at once. raises: KeyError if there is no such cell."""
        with self._batch(now) as batch:
            cell = rules.throttled(batch.throttles[feature, tier], level, now=now, ttl_s=ttl_s)
            return batch.put_throttle(cell, Entry(actor, "throttle.set", reason))

    def move_to(self, release_id: str, stage: str, *, now: float, actor: str, reason: str) -> wire.Release:
        """Put a release at a stage. raises: KeyError if there is no such release or stage."""
        with self._batch(now) as batch:
            release = batch.releases[release_id]
            index = {one.id: number for number, one in enumerate(release.stages)}[stage]
            moved = rules.entered(release, index, batch.config.tiers, now)
            return batch.put_release(moved, Entry(actor, "release.advance", reason))

    def observe(self, release_id: str, shares: Mapping[str, float | None], *, now: float) -> None:
        """Take the shares a metric saw, by tier; None and tiers left out were not seen.

        Called as often as the caller likes: it is published when it differs, at most every 5 s a release.
        raises: KeyError if there is no such release.
        """
        release = self._held.releases[release_id]
        last = self._observed_at.get(release_id)
        if last is not None and last <= now < last + TELEMETRY_S:
            return
        seen = tuple(
            replace(one, observed=None if (share := shares.get(one.tier)) is None else rules.share(share))
            for one in release.status.exposure
        )
        if seen == release.status.exposure:
            return
        self._observed_at[release_id] = now
        with self._batch(now) as batch:
            release = batch.releases[release_id]
            batch.put_release(replace(release, status=replace(release.status, exposure=seen)), None)

    def record(self, entry: Entry, resource: str, *, now: float) -> None:
        """Log something that changed nothing, such as a refusal."""
        with self._batch(now) as batch:
            batch.audit(entry, resource, None, None)

    def tick(self, now: float) -> None:
        """Do what time alone brings: expire throttles, open gates, advance at automatic ones.

        Costs nothing until something is due.
        """
        if now < self._held.next_due:
            return
        with self._batch(now) as batch:
            batch.elapse()

    def audit(self, query: AuditQuery, limit: int) -> list[tuple[int, bytes]]:
        """Entries of the log, (seq, JSON), newest first, at most `limit`. Reads the database."""
        wanted = {
            "resource = ?": query.resource,
            "actor = ?": query.actor,
            "op = ?": query.op,
            "result = ?": query.result,
            "decision_id = ?": query.decision_id,
            "at >= ?": query.since,
            "at <= ?": query.until,
            "seq < ?": query.below,
        }
        where = " AND ".join(("1", *(clause for clause, value in wanted.items() if value is not None)))
        values = [value for value in wanted.values() if value is not None]
        with self._lock:
            return self._database.execute(
                f"SELECT seq, body FROM audit WHERE {where} ORDER BY seq DESC LIMIT ?",  # noqa: S608  # clauses above
                (*values, limit),
            ).fetchall()

    @contextlib.contextmanager
    def _batch(self, now: float) -> "Iterator[Batch]":
        with self._lock:
            batch = Batch(self._held, now)
            yield batch
            if not batch.is_empty:
                self._commit(batch)
        if not batch.is_empty:
            for wake in tuple(self._listeners):
                wake()

    def _commit(self, batch: "Batch") -> None:
        events = [*self._events, *batch.events]
        spare = len(events) - EVENTS_KEPT
        old = bisect_right(events, batch.now - EVENTS_KEPT_S, hi=max(spare, 0), key=lambda one: one.at)
        kept = events[old:]
        meta = {"config": wire.render(batch.config), "seq": wire.render(batch.seq)}
        try:
            self._database.execute("BEGIN IMMEDIATE")
            run = self._database.executemany
            run("INSERT OR REPLACE INTO meta VALUES (?, ?)", meta.items())
            run("INSERT OR REPLACE INTO resource VALUES (?, ?, ?)", batch.resource_rows())
            run("INSERT INTO event VALUES (?, ?, ?, ?)", batch.events)
            run("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?)", batch.audit_rows)
            if old:
                run("DELETE FROM event WHERE seq < ?", [(kept[0].seq,)])
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise StoreError(f"the change was not written: {error}; nothing was changed") from error
        self._events = kept
        self._held = batch.held()

    def _load(self) -> None:
        rows: dict[str, bytes] = dict(self._database.execute("SELECT name, body FROM meta").fetchall())
        config = (
            wire.read(rows["config"], Config)
            if "config" in rows
            # A life of its own: a client that remembers a seq of an earlier one must list again.
            else Config(instance=secrets.token_hex(8))
        )
        releases, throttles = [], []
        for kind, body in self._database.execute("SELECT kind, body FROM resource"):
            if kind == "release":
                releases.append(wire.read(body, wire.Release))
            else:
                throttles.append(wire.read(body, wire.Throttle))
        batch = Batch(Held(wire.read(rows.get("seq", b"0"), int)), 0.0)
        batch.releases = {one.id: one for one in releases}
        batch.throttles = {(one.feature, one.tier): one for one in throttles}
        batch.config = config
        self._events = [
            StoredEvent(*row)
            for row in self._database.execute("SELECT seq, at, kind, body FROM event ORDER BY seq")
        ]
        self._held = batch.held()
