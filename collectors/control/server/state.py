"""What a plane holds at one moment, and changes to it that are committed and seen as one. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from collectors.control import chain, wire
from collectors.control.server import rules, throttling
from collectors.control.server.seed import SeedRelease


class Config(Struct, frozen=True):
    """What is fixed while the plane runs. `instance` names one life of the data."""

    tiers: tuple[str, ...] = ()
    default_tier: str = ""
    features: tuple[wire.Feature, ...] = ()
    throttle_units: tuple[str, ...] = ("share",)
    instance: str = ""

    @property
    def cells(self) -> list[tuple[str, str]]:
        """(feature, tier) of every cell that there is."""
        return [(feature.id, tier) for feature in self.features for tier in self.tiers]


class StoredEvent(NamedTuple):
    """One event of the stream, encoded. `at`: when it happened, by the plane's clock."""

    seq: int
    at: float
    kind: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """What the log says about a change: who, what and why."""

    actor: str
    op: str
    reason: str
    role: str = ""
    result: str = "applied"
    code: str | None = None
    request_id: str = ""
    via: str | None = None
    ticket: str | None = None
    client: dict[str, str] | None = None
    client_gate: dict[str, object] | None = None
    override_gate: bool = False
    decision_id: str | None = None
    idempotency_key: str | None = None


class Answer(NamedTuple):
    """What a key of idempotency was answered with, to be answered again. `at`: when."""

    actor: str
    key: str
    at: float
    fingerprint: str
    status: int
    etag: str
    audit_id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Held:
    """Everything at one seq. Releases in order of id, cells in order of (feature, tier).

    ramps: of the cells that are under way; audit_sha256: hash of the log's newest entry
    hidden, hidden_ramps: cells that the configuration does not name now, as they were when it last did
    """

    seq: int = 0
    config: Config = field(default_factory=Config)
    releases: Mapping[str, wire.Release] = field(default_factory=dict)
    throttles: Mapping[tuple[str, str], wire.Throttle] = field(default_factory=dict)
    ramps: Mapping[tuple[str, str], throttling.Ramp] = field(default_factory=dict)
    audit_sha256: str = ""
    next_due: float = inf
    hidden: Mapping[tuple[str, str], wire.Throttle] = field(default_factory=dict)
    hidden_ramps: Mapping[tuple[str, str], throttling.Ramp] = field(default_factory=dict)


class Batch:
    """Changes made together: they are committed, and seen, as one."""

    def __init__(self, held: Held, now: float, resumed_at: float = -inf) -> None:
        """resumed_at: when this process began with the data; nothing moved while none was there to move it"""
        self.now, self.seq, self.config, self._resumed_at = now, held.seq, held.config, resumed_at
        self.releases, self.throttles = dict(held.releases), dict(held.throttles)
        self.hidden, self.hidden_ramps = dict(held.hidden), dict(held.hidden_ramps)
        self.audit_sha256, self._config_before = held.audit_sha256, held.config
        # They stood still while the plane was down: on from there, rather than let all in at once.
        self.ramps = {
            key: throttling.resumed(ramp, held.throttles[key].effective_level, resumed_at)
            for key, ramp in held.ramps.items()
        }
        self.events: list[StoredEvent] = []
        self.audit_rows: list[tuple[object, ...]] = []
        self.answers: list[Answer] = []
        self._changed: dict[str, wire.Release | wire.Throttle] = {}

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to commit."""
        return not self.events and self.config == self._config_before

    def configure(self, config: Config) -> None:
        """Take the tiers and features, and open every cell that is new.

        A cell that they no longer name is hidden, not forgotten: named again, it is as it was.
        """
        self.config = self.config if config == self.config else config
        self.hide()
        for key in config.cells:
            if key in self.throttles:
                continue
            if key in self.hidden:
                cell = self.throttles[key] = self.hidden.pop(key)
                ramp = self.hidden_ramps.pop(key, None)
                if ramp:
                    ramp = throttling.resumed(ramp, cell.effective_level, self.now)
                self.put_throttle(cell, None, ramp)
                continue
            feature, tier = key
            cell = wire.Throttle(feature=feature, tier=tier, seq=0, etag="", level=1.0)
            self.put_throttle(replace(cell, effective_level=1.0, return_ramp_per_min=0.1), None)

    def hide(self) -> None:
        """Put the cells that the configuration does not name out of sight."""
        for key in self.throttles.keys() - set(self.config.cells):
            self.hidden[key] = self.throttles.pop(key)
            if ramp := self.ramps.pop(key, None):
                self.hidden_ramps[key] = ramp

    def put_release(self, release: wire.Release, entry: Entry | None) -> wire.Release:
        held = self.releases.get(release.id)
        is_same = held is not None and rules.controlled_release(held) == rules.controlled_release(release)
        self.seq += 1
        etag = held.etag if held is not None and is_same else f"m-{self.seq}"
        change = self._change(entry) or release.last_change
        kept = replace(release, seq=self.seq, etag=etag, last_change=change)
        self.releases[kept.id] = kept
        self._keep(kept)
        if entry:
            self.audit(entry, kept.path, *facts(held, kept))
        return kept

    def put_throttle(
        self, cell: wire.Throttle, entry: Entry | None, ramp: throttling.Ramp | None = None
    ) -> wire.Throttle:
        """As `put_release`, for a cell, which has `ramp` from now on."""
        key = cell.feature, cell.tier
        held = self.throttles.get(key)
        is_same = held is not None and throttling.controlled(held) == throttling.controlled(cell)
        self.seq += 1
        etag = held.etag if held is not None and is_same else f"t-{self.seq}"
        change = self._change(entry) or cell.last_change
        kept = replace(cell, seq=self.seq, etag=etag, last_change=change)
        self.throttles[key] = kept
        self.ramps.pop(key, None)
        if ramp:
            self.ramps[key] = ramp
        self._keep(kept)
        if entry:
            self.audit(entry, kept.path, *facts(held, kept))
        return kept

    def audit(
        self,
        entry: Entry,
        resource: str,
        before: dict[str, object] | None,
        after: dict[str, object] | None,
    ) -> None:
        """Log `entry`; its id is the one `_change` gave out, for its seq follows the resource's own."""
        self.seq += 1
        line = wire.Audit(
            id=f"a-{self.seq}",
            seq=self.seq,
            at=wire.render_time(self.now),
            actor=entry.actor,
            via=entry.via,
            role=entry.role,
            op=entry.op,
            resource=resource,
            reason=entry.reason,
            ticket=entry.ticket,
            result=entry.result,
            code=entry.code,
            override_gate=entry.override_gate,
            client_gate=entry.client_gate,
            client=entry.client,
            decision_id=entry.decision_id,
            idempotency_key=entry.idempotency_key,
            request_id=entry.request_id,
            before=before,
            after=after,
        )
        line = chain.sealed(line, self.audit_sha256)
        self.audit_sha256, body = line.sha256, wire.render(line)
        self.audit_rows.append(
            (self.seq, self.now, entry.actor, entry.op, resource, entry.result, entry.decision_id, body)
        )
        self._event("audit", body)

    def elapse(self) -> None:
        """Everything due at `now`."""
        for key, cell in list(self.throttles.items()):
            if key in self.ramps or throttling.is_due(cell, self.now):
                self._cell_elapsed(cell)
        for release in list(self.releases.values()):
            following = rules.due_stage(release, self.now)
            if following is not None:
                entry = Entry("system:gate", "release.advance", "automatic gate: every check passes")
                self.put_release(rules.entered(release, following, self.config.tiers, self.now), entry)
            elif rules.gate_at(release, self.now).state != release.status.gate.state:
                self.put_release(rules.with_gate(release, self.now), None)

    def _cell_elapsed(self, cell: wire.Throttle) -> None:
        while throttling.is_due(cell, self.now):
            # It ended at its time, whenever somebody looks: the ramp back began then.
            ended = min(max(wire.read_time(cell.expires_at or ""), self._resumed_at), self.now)
            stepped, ramp = self._stepped(cell, ended)
            back = throttling.reverted(stepped, ended)
            moving, ramp = throttling.set_off(stepped, back, stepped.return_ramp_per_min, ended, ramp)
            entry = Entry("system:expiry", "throttle.clear", "its time ran out")
            cell = self.put_throttle(moving, entry, ramp)
        stepped, ramp = self._stepped(cell, self.now)
        if stepped != cell:
            self.put_throttle(stepped, None, ramp)

    def _stepped(self, cell: wire.Throttle, now: float) -> tuple[wire.Throttle, throttling.Ramp | None]:
        ramp = self.ramps.get((cell.feature, cell.tier))
        return (cell, None) if ramp is None else throttling.stepped(cell, ramp, now)

    def resource_rows(self) -> list[tuple[str, str, bytes]]:
        return [(path, one.kind, wire.render(one)) for path, one in self._changed.items()]

    def ramp_rows(self) -> list[tuple[str, bytes | None]]:
        """Path and ramp of every cell that changed; None where it has none."""
        cells = [one for one in self._changed.values() if isinstance(one, wire.Throttle)]
        ramps = [(one.path, self.ramps.get((one.feature, one.tier))) for one in cells]
        return [(path, wire.render(ramp) if ramp else None) for path, ramp in ramps]

    def held(self) -> Held:
        """The snapshot after this batch."""
        cells = dict(sorted(self.throttles.items()))
        releases = dict(sorted(self.releases.items()))
        due = [wire.read_time(cell.expires_at) for cell in cells.values() if cell.expires_at]
        for release in releases.values():
            if rules.due_stage(release, self.now) is not None:
                due.append(self.now)
            gate = release.status.gate
            due += [
                wire.read_time(one.ready_at) for one in gate.checks if one.ready_at and one.state == "fail"
            ]
        for key, ramp in self.ramps.items():
            if (level := cells[key].level) is not None:
                due.append(throttling.next_step(level, ramp, self.now))
        soonest = min(due, default=inf)
        return Held(
            self.seq,
            self.config,
            releases,
            cells,
            dict(self.ramps),
            self.audit_sha256,
            soonest,
            self.hidden,
            self.hidden_ramps,
        )

    def _change(self, entry: Entry | None) -> wire.Change | None:
        if entry is None:
            return None
        at = wire.render_time(self.now)
        return wire.Change(f"a-{self.seq + 1}", entry.op, entry.actor, entry.reason, at)

    def _keep(self, thing: wire.Release | wire.Throttle) -> None:
        self._changed[thing.path] = thing
        self._event(thing.kind, wire.render(thing))

    def _event(self, kind: str, body: bytes) -> None:
        data = b'{"seq":%d,"object":%b}' % (self.seq, body)
        self.events.append(StoredEvent(self.seq, self.now, kind, data))


def registered(one: SeedRelease, tiers: Sequence[str], now: float) -> wire.Release:
    """The release a seed asks for, at the stage and in the phase it asks for."""
    release = wire.Release(
        subject=wire.Subject(one.subject.kind, one.subject.name),
        id=one.id,
        title=one.title or one.id,
        seq=0,
        etag="",
        stable=one.stable,
        candidate=one.candidate,
        history=() if one.stable is None else (one.stable,),
        base=tuple(wire.TierWeight(weight.tier, rules.share(weight.weight)) for weight in one.base),
        stages=tuple(
            wire.Stage(s.id, s.tier, rules.share(s.weight), wire.Gate(s.gate.kind, s.gate.hold_s))
            for s in one.stages
        ),
        backend=wire.Backend("native", one.id),
    )
    if one.stage is None:
        shares = rules.exposure(release.stages, release.base, None, tiers)
        status = wire.Status(phase=one.phase or "pending", exposure=shares, gate=wire.GateState("open"))
        return replace(release, status=status)
    index = [stage.id for stage in one.stages].index(one.stage)
    release = rules.entered(release, index, tiers, now)
    if one.phase not in {None, release.status.phase}:
        paused = "operator" if one.phase == "paused" else None
        status = replace(release.status, phase=one.phase, pause_reason=paused)
        release = replace(release, status=status)
    return release


def facts(
    before: wire.Release | wire.Throttle | None, after: wire.Release | wire.Throttle
) -> tuple[dict[str, object] | None, dict[str, object]]:
    """What the log says of a change: what a resource is known by, and whichever other members changed."""
    always, others = _facts(after)
    if before is None:
        return None, always | others
    known, old = _facts(before)
    changed = [name for name in others if others[name] != old[name]]
    return known | {name: old[name] for name in changed}, always | {name: others[name] for name in changed}


def _facts(thing: wire.Release | wire.Throttle) -> tuple[dict[str, object], dict[str, object]]:
    if isinstance(thing, wire.Throttle):
        back = thing.revert_to if isinstance(thing.revert_to, wire.Revert) else None
        others: dict[str, object] = {
            "limit": thing.limit,
            "ramp_per_min": thing.ramp_per_min,
            "return_ramp_per_min": thing.return_ramp_per_min,
            "revert_to": None if back is None else {"level": back.level, "expires_at": back.expires_at},
        }
        return {"level": thing.level, "expires_at": thing.expires_at}, others
    status = thing.status
    others = {
        "stable": thing.stable,
        "pause_reason": status.pause_reason,
        "desired": {one.tier: one.desired for one in status.exposure},
    }
    return {"candidate": thing.candidate, "phase": status.phase, "stage": status.stage}, others
