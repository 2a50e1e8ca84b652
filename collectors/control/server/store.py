"""What the embedded plane knows: releases, throttles, their log and their events, on SQLite.

Resources live in memory as one immutable snapshot, replaced at every commit, so that reading needs no lock
and touches no disk. Writing commits to SQLite first; a killed process loses nothing that was answered.
Times are given by the caller, by whatever clock the plane runs on.
"""

import contextlib
import secrets
import sqlite3
import threading
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from collectors.control import wire
from collectors.control.server import rules, throttling, writes
from collectors.control.server.commands import Command, Done
from collectors.control.server.database import StoreError as StoreError  # what a store raises
from collectors.control.server.database import in_file, in_memory
from collectors.control.server.problems import Problem
from collectors.control.server.rehearsal import dry_run
from collectors.control.server.seed import TTL_MAX_S, Seed, SeedError, checked
from collectors.control.server.state import Answer, Batch, Config, Entry, StoredEvent, registered
from collectors.control.server.state import (
    Held as Held,
)  # the type of `Store.held`, for whoever embeds a store

EVENTS_KEPT = 1000
EVENTS_KEPT_S = 600.0
TELEMETRY_S = 5.0
"""A release's observed shares are published at most this often."""


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
        self._counts: Counter[tuple[str, str]] = Counter()
        self._resumed_at: float | None = None
        self._fault = ""
        self._held = Held()
        self._load()

    @classmethod
    def open(cls, path: Path | None, limits: StoreLimits | None = None) -> "Store":
        """The store in `path`, created with mode 0600; None keeps it in memory.

        raises: StoreError if the file cannot be used or another plane is using it.
        """
        opened = in_memory() if path is None else in_file(path)
        try:
            return cls(opened, is_file=path is not None, limits=limits)
        # A column of another type than ours, and a number out of range, are no data of ours either.
        except (sqlite3.Error, ValueError, TypeError, ArithmeticError) as error:
            opened.close()
            raise StoreError(f"{path}: no data of a plane: {error}; give another file") from error

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        with self._lock:
            self._database.close()

    @property
    def held(self) -> Held:
        """The newest snapshot."""
        return self._held

    @property
    def fault(self) -> str:
        """Why the last commit failed; "" once one succeeded."""
        return self._fault

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
                    batch.put_throttle(throttling.at_once(held, cell.level, now=now, ttl_s=cell.ttl_s), entry)
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
        """Writes that `apply` was asked for since this process began, by operation and what became of them:
        applied, refused, conflict, replayed."""
        return dict(self._counts)

    def apply(self, command: Command, *, now: float) -> Done:
        """Carry out one write, once: its key, used again for the same, gets the same answer and does nothing.

        Resource, log entry, events and key are committed together, before this returns.
        raises: Problem as the contract has it, which changed nothing and, from the check of `from` on, is
            logged; StoreError if it could not be written, which changed nothing either.
        """
        try:
            with self._batch(now) as batch:
                done = self._attempt(command, batch)
            if isinstance(done, Problem):
                raise done
        except Problem as problem:
            self._count(command, "conflict" if problem.status in {409, 412} else "refused")
            raise
        self._count(command, "replayed" if done.replayed else "applied")
        return done

    def _attempt(self, command: Command, batch: Batch) -> Done | Problem:
        """The answer to a write, or the refusal that was logged. raises: Problem that is not for the log."""
        refused = writes.forbidden(command)
        if refused is None:
            if problem := writes.shape_problem(command, batch.config, self.limits.ttl_max_s):
                raise problem
            if before := self._answered(command, batch.now):
                return before
            if problem := writes.early_problem(command, batch):
                raise problem
            try:
                return _done(command, writes.carry_out(command, batch), batch)
            except Problem as problem:
                refused = problem
        batch.audit(writes.entry_of(command, refused), command.resource, None, None)
        # The log tells all who watch: by its id a client knows not to tell it once more.
        refused.headers = {**(refused.headers or {}), "Tidegate-Audit-Id": f"a-{batch.seq}"}
        return refused

    def _count(self, command: Command, result: str) -> None:
        with self._lock:
            self._counts[command.operation, result] += 1

    def rehearse(self, command: Command, *, now: float) -> bytes:
        """What `apply` would do, as JSON of a `wire.DryRun`. Nothing is written or logged; no key is needed.

        raises: Problem, the one that `apply` would raise.
        """
        batch = self._at(now)
        problem = (
            writes.forbidden(command)
            or writes.shape_problem(command, batch.config, self.limits.ttl_max_s)
            or writes.early_problem(command, batch)
        )
        if problem:
            raise problem
        return dry_run(command, writes.carry_out(command, batch))

    def _answered(self, command: Command, now: float) -> Done | None:
        """What the key was answered with before. raises: Problem (422) if that was another request."""
        asked = (command.caller.actor, command.key, now - self.limits.idempotency_retention_s)
        try:
            row = self._database.execute(
                "SELECT * FROM answer WHERE actor = ? AND key = ? AND at >= ?", asked
            ).fetchone()
        except sqlite3.Error as error:
            raise StoreError(f"the store cannot be read: {error}; nothing was changed") from error
        if row is None:
            return None
        before = Answer(*row)
        if before.fingerprint != command.fingerprint:
            raise Problem(
                422,
                "idempotency-key-reused",
                "Idempotency-Key used before",
                f"this key answered another request ({before.audit_id}); use a new one for each decision",
            )
        return Done(
            status=before.status,
            body=before.body,
            etag=before.etag,
            audit_id=before.audit_id,
            replayed=True,
        )

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
            cell = throttling.at_once(batch.throttles[feature, tier], level, now=now, ttl_s=ttl_s)
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

        Costs nothing until something is due. After a `fault` it commits even if nothing is, to see whether
        that has gone.
        """
        is_faulty = bool(self._fault)
        if now < self._held.next_due and not is_faulty:
            return
        with self._batch(now, is_probe=is_faulty):
            # What is due comes with every batch, and is all there is in this one.
            pass

    def audit(self, query: AuditQuery, limit: int) -> list[tuple[int, bytes]]:
        """Entries of the log, (seq, JSON), newest first, at most `limit`. Reads the database.

        raises: StoreError if it cannot be read.
        """
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
        try:
            with self._lock:
                return self._database.execute(
                    f"SELECT seq, body FROM audit WHERE {where} ORDER BY seq DESC LIMIT ?",  # noqa: S608  # clauses above
                    (*values, limit),
                ).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"the log cannot be read: {error}; nothing was changed") from error

    @contextlib.contextmanager
    def _batch(self, now: float, *, is_probe: bool = False) -> Iterator[Batch]:
        with self._lock:
            if self._resumed_at is None:
                self._resumed_at = now
            batch = self._at(now)
            yield batch
            if is_probe or not batch.is_empty:
                self._commit(batch)
            elif now >= self._held.next_due:
                self._held = batch.held()
        if not batch.is_empty:
            for wake in tuple(self._listeners):
                wake()

    def _at(self, now: float) -> Batch:
        """A batch on what is held, with everything done that time alone brings."""
        held = self._held
        batch = Batch(held, now, now if self._resumed_at is None else self._resumed_at)
        if now >= held.next_due:
            batch.elapse()
        return batch

    def _commit(self, batch: Batch) -> None:
        events = [*self._events, *batch.events]
        spare = len(events) - self.limits.events_kept
        young = batch.now - self.limits.event_retention_s
        old = bisect_right(events, young, hi=max(spare, 0), key=lambda one: one.at)
        kept = events[old:]
        meta = {"config": wire.render(batch.config), "seq": wire.render(batch.seq)}
        ramps = batch.ramp_rows()
        try:
            self._database.execute("BEGIN IMMEDIATE")
            run = self._database.executemany
            run("INSERT OR REPLACE INTO meta VALUES (?, ?)", meta.items())
            run("INSERT OR REPLACE INTO resource VALUES (?, ?, ?)", batch.resource_rows())
            run("DELETE FROM ramp WHERE path = ?", [(path,) for path, _ in ramps])
            run("INSERT INTO ramp VALUES (?, ?)", [row for row in ramps if row[1] is not None])
            run("INSERT INTO event VALUES (?, ?, ?, ?)", batch.events)
            run("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?)", batch.audit_rows)
            if batch.answers:
                forget = batch.now - self.limits.idempotency_retention_s
                run("DELETE FROM answer WHERE at < ?", [(forget,)])
                run("INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?, ?, ?, ?, ?)", batch.answers)
            if old:
                run("DELETE FROM event WHERE seq < ?", [(kept[0].seq,)])
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            self._fault = str(error)
            raise StoreError(f"the change was not written: {error}; nothing was changed") from error
        self._fault = ""
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
                releases.append(_whole(wire.read(body, wire.Release)))
            else:
                throttles.append(wire.read(body, wire.Throttle))
        ramps = {
            path: wire.read(body, throttling.Ramp)
            for path, body in self._database.execute("SELECT path, body FROM ramp")
        }
        seq = wire.read(rows.get("seq", b"0"), int)
        (last,) = self._database.execute(
            "SELECT max((SELECT ifnull(max(seq), 0) FROM audit), (SELECT ifnull(max(seq), 0) FROM event))"
        ).fetchone()
        last = max((last, *(one.seq for one in releases), *(one.seq for one in throttles)))
        if seq < last:
            raise ValueError(f"its counter stands at {seq}, and its entries go up to {last}")
        batch = Batch(Held(seq), 0.0)
        newest = self._database.execute("SELECT body FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
        batch.audit_sha256 = wire.read(newest[0], wire.Audit).sha256 if newest else ""
        batch.releases = {one.id: one for one in releases}
        batch.throttles = {(one.feature, one.tier): one for one in throttles}
        batch.ramps = {key: ramps[one.path] for key, one in batch.throttles.items() if one.path in ramps}
        batch.config = config
        batch.hide()
        self._events = [
            StoredEvent(*row)
            for row in self._database.execute("SELECT seq, at, kind, body FROM event ORDER BY seq")
        ]
        self._held = batch.held()


def _whole(release: wire.Release) -> wire.Release:
    """raises: ValueError if it stands at a stage that it has not"""
    index = release.status.stage_index
    if index is not None and not 0 <= index < len(release.stages):
        raise ValueError(f"release {release.id} is at stage {index} of {len(release.stages)}")
    return release


def _done(command: Command, landed: writes.Landed, batch: Batch) -> Done:
    """The answer to a write, which its key is to get again."""
    done = Done(
        status=landed.status,
        body=wire.render(landed.after),
        etag=landed.after.etag,
        audit_id=landed.audit_id,
    )
    answer = Answer(
        actor=command.caller.actor,
        key=command.key,
        at=batch.now,
        fingerprint=command.fingerprint,
        status=done.status,
        etag=done.etag,
        audit_id=done.audit_id,
        body=done.body,
    )
    batch.answers.append(answer)
    return done
