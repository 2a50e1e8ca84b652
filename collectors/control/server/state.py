"""What a plane holds at one moment, and changes to it that are committed and seen as one. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from collectors.control import wire
from collectors.control.server import rules
from collectors.control.server.seed import SeedRelease


class Config(Struct, frozen=True):
    """What is fixed while the plane runs. `instance` names one life of the data."""

    tiers: tuple[str, ...] = ()
    default_tier: str = ""
    features: tuple[wire.Feature, ...] = ()
    throttle_units: tuple[str, ...] = ("share",)
    instance: str = ""


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


@dataclass(frozen=True, slots=True)
class Held:
    """Everything at one seq. Releases in order of id, cells in order of (feature, tier)."""

    seq: int = 0
    config: Config = field(default_factory=Config)
    releases: Mapping[str, wire.Release] = field(default_factory=dict)
    throttles: Mapping[tuple[str, str], wire.Throttle] = field(default_factory=dict)
    next_due: float = inf


class Batch:
    """Changes made together: they are committed, and seen, as one."""

    def __init__(self, held: Held, now: float) -> None:
        self.now, self.seq, self.config = now, held.seq, held.config
        self.releases, self.throttles = dict(held.releases), dict(held.throttles)
        self.events: list[StoredEvent] = []
        self.audit_rows: list[tuple[object, ...]] = []
        self._changed: dict[str, wire.Release | wire.Throttle] = {}

    @property
    def is_empty(self) -> bool:
        return not self.events

    def configure(self, config: Config) -> None:
        """Take the tiers and features, and open every cell that is new."""
        self.config = config
        for feature in config.features:
            for tier in config.tiers:
                if (feature.id, tier) not in self.throttles:
                    cell = wire.Throttle(feature=feature.id, tier=tier, seq=0, etag="", level=1.0)
                    self.put_throttle(replace(cell, effective_level=1.0, return_ramp_per_min=0.1), None)

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
            self.audit(entry, kept.path, _release_facts(held), _release_facts(kept))
        return kept

    def put_throttle(self, cell: wire.Throttle, entry: Entry | None) -> wire.Throttle:
        held = self.throttles.get((cell.feature, cell.tier))
        is_same = held is not None and rules.controlled_throttle(held) == rules.controlled_throttle(cell)
        self.seq += 1
        etag = held.etag if held is not None and is_same else f"t-{self.seq}"
        change = self._change(entry) or cell.last_change
        kept = replace(cell, seq=self.seq, etag=etag, last_change=change)
        self.throttles[kept.feature, kept.tier] = kept
        self._keep(kept)
        if entry:
            self.audit(entry, kept.path, _throttle_facts(held), _throttle_facts(kept))
        return kept

    def audit(
        self,
        entry: Entry,
        resource: str,
        before: dict[str, object] | None,
        after: dict[str, object] | None,
    ) -> None:
        """Log `entry`. Its id is the one `_change` gave out: the seq follows the resource's own."""
        self.seq += 1
        line = wire.Audit(
            id=f"a-{self.seq}",
            seq=self.seq,
            at=wire.render_time(self.now),
            actor=entry.actor,
            role=entry.role,
            op=entry.op,
            resource=resource,
            reason=entry.reason,
            result=entry.result,
            code=entry.code,
            request_id=entry.request_id,
            before=before,
            after=after,
        )
        body = wire.render(line)
        self.audit_rows.append(
            (self.seq, self.now, entry.actor, entry.op, resource, entry.result, None, body)
        )
        self._event("audit", body)

    def elapse(self) -> None:
        """Everything due at `now`."""
        for cell in list(self.throttles.values()):
            if rules.is_due(cell, self.now):
                entry = Entry("system:expiry", "throttle.clear", "its time ran out")
                self.put_throttle(rules.reverted(cell, self.now), entry)
        for release in list(self.releases.values()):
            following = rules.due_stage(release, self.now)
            if following is not None:
                entry = Entry("system:gate", "release.advance", "automatic gate: every check passes")
                self.put_release(rules.entered(release, following, self.config.tiers, self.now), entry)
            elif rules.gate_at(release, self.now).state != release.status.gate.state:
                self.put_release(rules.with_gate(release, self.now), None)

    def resource_rows(self) -> list[tuple[str, str, bytes]]:
        return [(path, one.kind, wire.render(one)) for path, one in self._changed.items()]

    def held(self) -> Held:
        """The snapshot after this batch. Cells and releases the configuration no longer names are hidden."""
        features = {one.id for one in self.config.features}
        cells = {
            key: cell
            for key, cell in sorted(self.throttles.items())
            if key[0] in features and key[1] in self.config.tiers
        }
        releases = dict(sorted(self.releases.items()))
        due = [wire.read_time(cell.expires_at) for cell in cells.values() if cell.expires_at]
        for release in releases.values():
            if rules.due_stage(release, self.now) is not None:
                due.append(self.now)
            gate = release.status.gate
            due += [
                wire.read_time(one.ready_at) for one in gate.checks if one.ready_at and one.state == "fail"
            ]
        return Held(self.seq, self.config, releases, cells, min(due, default=inf))

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


def _release_facts(release: wire.Release | None) -> dict[str, object] | None:
    if release is None:
        return None
    status = release.status
    return {"candidate": release.candidate, "phase": status.phase, "stage": status.stage}


def _throttle_facts(cell: wire.Throttle | None) -> dict[str, object] | None:
    return None if cell is None else {"level": cell.level, "expires_at": cell.expires_at}
