"""Any run of writes and time, held against the contract's sentences written down a second time, plainly."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from collectors.control import chain, wire
from collectors.control.server import throttling
from collectors.control.server.commands import Command, Done
from collectors.control.server.problems import Problem
from collectors.control.server.store import AuditQuery, Store
from tests.control_commands import FEATURE, IMAGES, LLAMA, NOW, VOICE, command, example, resource

TIERS = ("pro", "plus", "free")
SHARES = st.integers(0, 10_000).map(lambda whole: whole / 10_000)
RATES = st.integers(1, 100).map(lambda whole: whole / 100)
SPANS = st.integers(1, 4000)


@dataclass
class Model:
    """A release as the contract's text has it."""

    stages: list[tuple[str, str, float, str]]
    base: dict[str, float]
    stage: int | None
    phase: str
    is_held: bool
    weights: dict[str, float] = field(default_factory=dict)

    def desired(self) -> dict[str, float]:
        """Weight of the last stage at or before this one that names a tier, or what was set since."""
        got = {tier: self.base.get(tier, 0.0) for tier in TIERS}
        for _, tier, weight, _ in self.stages[: 0 if self.stage is None else self.stage + 1]:
            got |= dict.fromkeys(TIERS if tier == "*" else (tier,), weight)
        return got | self.weights

    def enter(self, stage: int | None, phase: str = "") -> None:
        """Move: whatever weight was set is gone, and so is a pause."""
        self.stage, self.weights, self.is_held = stage, {}, False
        self.phase = phase or (
            "completed"
            if stage == len(self.stages) - 1
            else "paused"
            if stage is not None and self.stages[stage][3] == "manual"
            else "progressing"
        )


def model_of(one: wire.Release) -> Model:
    """Where a release of the seed starts."""
    return Model(
        [(stage.id, stage.tier, stage.weight, stage.gate.kind) for stage in one.stages],
        {weight.tier: weight.weight for weight in one.base},
        one.status.stage_index,
        one.status.phase,
        False,
    )


def standing(one: wire.Release | wire.Throttle) -> object:
    """All of it, but how far a gate's checks have come: that goes on by the second."""
    plain: dict[str, Any] = msgspec.to_builtins(one)
    for check in plain["status"]["gate"]["checks"] if isinstance(one, wire.Release) else ():
        check.pop("detail")
    return plain


def setting(one: wire.Release | wire.Throttle) -> object:
    """Controlled state, by the contract's list: all but what it says an etag leaves out."""
    plain: dict[str, Any] = msgspec.to_builtins(one)
    for name in ("seq", "etag", "last_change", "effective_level", "state"):
        plain.pop(name, None)
    if isinstance(one, wire.Release):
        plain["status"]["gate"].pop("checks")
        plain["status"].pop("entered_at")
        for share in plain["status"]["exposure"]:
            share.pop("observed")
    return plain


class Writes(RuleBasedStateMachine):
    """Two releases and two cells under any writes, fresh, stale and repeated, while time goes by."""

    def __init__(self) -> None:
        super().__init__()
        self.store = Store.open(None)
        document = example()
        document["releases"][0]["stages"].insert(2, {"id": "half", "tier": "*", "weight": 0.5})
        self.store.seed(document, NOW)
        self.now = NOW
        self.models = {name: model_of(self.store.held.releases[name]) for name in (LLAMA, FEATURE)}
        self.done: list[tuple[Command, Done]] = []
        self.seen = {path: resource(self.store, path) for path in (LLAMA, FEATURE, IMAGES, VOICE)}

    def teardown(self) -> None:
        self.store.close()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Every change in here has a seq, one above the last, and an event; etags mean what they say."""
        before = self.store.held.seq
        yield
        events = self.store.events_after(before)
        assert [one.seq for one in events] == list(range(before + 1, self.store.held.seq + 1))
        for path, old in self.seen.items():
            new = resource(self.store, path)
            changed = [one for one in events if path_of(one.kind, one.data) == new.path]
            assert bool(changed) == (new != old)
            assert new.seq == (changed[-1].seq if changed else old.seq)
            if len(changed) == 1:
                assert (new.etag != old.etag) == (setting(new) != setting(old))
            elif setting(new) != setting(old):
                assert new.etag != old.etag
            self.seen[path] = new

    def write(self, operation: str, on: str, **given: Any) -> bool:
        """Whether a write by somebody who looked just now was carried out."""
        with self.watched():
            self.store.tick(self.now)
        self.follow_gates()
        asked = command(self.store, operation, on, **given)
        held = self.store.held
        try:
            told: object = wire.read(self.store.rehearse(asked, now=self.now), wire.DryRun)
        except Problem as problem:
            told = (problem.status, problem.code)
        assert self.store.held is held
        try:
            with self.watched():
                done = self.store.apply(asked, now=self.now)
        except Problem as problem:
            assert told == (problem.status, problem.code)
            assert self.store.held.releases == held.releases
            assert self.store.held.throttles == held.throttles
            assert problem.status not in {412, 428}
            return False
        assert isinstance(told, wire.DryRun)
        after = resource(self.store, on)
        assert standing(wire.read(done.body, type(after))) == standing(after)
        assert done.etag == after.etag
        before = held.releases.get(on) or held.throttles[tuple(on.split("/"))]  # type: ignore[index]
        assert bool(told.changes) == (
            setting(before) != setting(after) or in_force(before) != in_force(after)
        )
        self.done.append((asked, done))
        return True

    def follow_gates(self) -> None:
        """What automatic gates did, by the log: one stage at a time, never while an operator holds it."""
        for path, model in self.models.items():
            now = self.store.held.releases[path]
            while model.stage != now.status.stage_index:
                assert model.stage is not None
                assert model.phase == "progressing"
                assert model.stages[model.stage][3] == "auto"
                model.enter(model.stage + 1)

    @rule(seconds=SPANS)
    def wait(self, seconds: int) -> None:
        """Time alone."""
        self.now += seconds
        with self.watched():
            self.store.tick(self.now)
        self.follow_gates()

    @rule(on=st.sampled_from([LLAMA, FEATURE]), ahead=st.integers(0, 3), override=st.booleans())
    def advance(self, on: str, ahead: int, override: bool) -> None:
        """To the next stage, or further."""
        given: dict[str, Any] = {"override_gate": override}
        self.store.tick(self.now)
        self.seen = {path: resource(self.store, path) for path in self.seen}
        self.follow_gates()
        model = self.models[on]
        following = 0 if model.stage is None else model.stage + 1
        if ahead:
            given["to"] = model.stages[min(following + ahead - 1, len(model.stages) - 1)][0]
            following = min(following + ahead - 1, len(model.stages) - 1)
        is_legal = model.phase in {"pending", "progressing", "paused"} and not model.is_held
        is_open = self.store.held.releases[on].status.gate.state == "open"
        assert self.write("release.advance", on, **given) == (is_legal and (is_open or override))
        if is_legal and (is_open or override):
            model.enter(following)

    @rule(on=st.sampled_from([LLAMA, FEATURE]), brake=st.booleans())
    def pause(self, on: str, brake: bool) -> None:
        """With any tag, or the right one."""
        given = {"if_match": "*"} if brake else {}
        if self.write("release.pause", on, **given):
            assert self.models[on].phase in {"progressing", "paused"}
            self.models[on].phase, self.models[on].is_held = "paused", True
        else:
            assert self.models[on].phase not in {"progressing", "paused"}

    @rule(on=st.sampled_from([LLAMA, FEATURE]))
    def resume(self, on: str) -> None:
        """Undoes a pause, and moves nothing."""
        done, model = self.write("release.resume", on), self.models[on]
        assert done == model.is_held
        if done:
            assert model.stage is not None
            model.phase = "paused" if model.stages[model.stage][3] == "manual" else "progressing"
            model.is_held = False

    @rule(on=st.sampled_from([LLAMA, FEATURE]), operation=st.sampled_from(["abort", "retry", "rollback"]))
    def go_back(self, on: str, operation: str) -> None:
        """To base, by each of the ways."""
        done, model = self.write(f"release.{operation}", on), self.models[on]
        phase = {"abort": "aborted", "retry": "pending", "rollback": "completed"}[operation]
        legal = {
            "abort": model.phase in {"pending", "progressing", "paused"},
            "retry": model.phase == "aborted",
            "rollback": model.phase != "completed" and self.seen[on].stable is not None,  # type: ignore[union-attr]
        }
        assert done == legal[operation]
        if done:
            model.enter(None, phase)

    @rule(on=st.sampled_from([LLAMA, FEATURE]), weight=SHARES)
    def weigh(self, on: str, weight: float) -> None:
        """Another weight for the stage's tier."""
        done, model = self.write("release.set_weight", on, weight=weight), self.models[on]
        assert done == (model.phase in {"progressing", "paused"})
        if done:
            assert model.stage is not None
            tier = model.stages[model.stage][1]
            model.weights |= dict.fromkeys(TIERS if tier == "*" else (tier,), weight)

    @rule(
        on=st.sampled_from([IMAGES, VOICE]),
        level=SHARES,
        ttl_s=st.none() | SPANS,
        revert_to=st.sampled_from(["previous", "open"]),
        ramp=st.none() | RATES,
        back=st.none() | RATES,
    )
    def throttle(
        self, on: str, level: float, ttl_s: int | None, revert_to: str, ramp: float | None, back: float | None
    ) -> None:
        """A new setting: what is remembered, when it ends, and what is in force."""
        self.store.tick(self.now)
        self.seen = {path: resource(self.store, path) for path in self.seen}
        before = cell_at(self.store, on)
        given = {"level": level, "ttl_s": ttl_s, "revert_to": revert_to, "ramp_per_min": ramp}
        assert self.write("throttle.set", on, **given, return_ramp_per_min=back)
        after = cell_at(self.store, on)
        assert (after.level, after.ramp_per_min, after.return_ramp_per_min) == (level, ramp, back)
        assert after.expires_at == (None if ttl_s is None else wire.render_time(self.now + ttl_s))
        if level == before.level:
            assert after.revert_to == before.revert_to
        elif revert_to == "open" or before.level == 1.0:
            assert after.revert_to is msgspec.UNSET
        else:
            assert after.revert_to == wire.Revert(before.level, before.expires_at)
        if ramp is None:
            assert (after.effective_level, after.state) == (level, "applied")
        else:
            assert after.effective_level == before.effective_level

    @rule(on=st.sampled_from([IMAGES, VOICE]), revert_to=st.sampled_from(["previous", "open"]))
    def clear(self, on: str, revert_to: str) -> None:
        """Back to what is remembered while that has time left, or to open."""
        self.store.tick(self.now)
        self.seen = {path: resource(self.store, path) for path in self.seen}
        before = cell_at(self.store, on)
        assert self.write("throttle.clear", on, revert_to=revert_to)
        after, back = cell_at(self.store, on), before.revert_to
        has_time = isinstance(back, wire.Revert) and (
            back.expires_at is None or wire.read_time(back.expires_at) > self.now
        )
        if revert_to == "previous" and has_time:
            assert isinstance(back, wire.Revert)
            assert (after.level, after.expires_at) == (back.level, back.expires_at)
        else:
            assert (after.level, after.expires_at) == (1.0, None)
        assert after.revert_to is msgspec.UNSET
        if before.return_ramp_per_min is None:
            assert after.effective_level == after.level
        else:
            assert after.effective_level == before.effective_level

    @rule(number=st.integers(0, 1000))
    def repeat(self, number: int) -> None:
        """An old key, however late: the first answer, and nothing else."""
        if self.done and self.now < NOW + 80_000:
            asked, first = self.done[number % len(self.done)]
            self.store.tick(self.now)
            self.seen = {path: resource(self.store, path) for path in self.seen}
            self.follow_gates()
            held, entries = self.store.held, self.store.audit(AuditQuery(), 1)
            assert self.store.apply(asked, now=self.now) == msgspec.structs.replace(first, replayed=True)
            assert self.store.held == held
            assert self.store.audit(AuditQuery(), 1) == entries

    @rule(number=st.integers(0, 1000))
    def come_late(self, number: int) -> None:
        """An old sight of things under a new key never has an effect on what has changed since."""
        if self.done:
            asked, _ = self.done[number % len(self.done)]
            on = asked.release or f"{asked.feature}/{asked.tier}"
            self.store.tick(self.now)
            self.seen = {path: resource(self.store, path) for path in self.seen}
            self.follow_gates()
            now = resource(self.store, on)
            if asked.if_match in {"*", now.etag}:
                return
            try:
                with self.watched():
                    self.store.apply(
                        msgspec.structs.replace(asked, key=f"late-{number}-{self.now}"), now=self.now
                    )
            except Problem as problem:
                assert problem.status in {409, 412, 422}
                assert resource(self.store, on) == now
            else:
                raise AssertionError(f"carried out on {now.etag}, having seen {asked.if_match}")

    @invariant()
    def releases_stand_where_the_text_says(self) -> None:
        """Phase, stage and exposure of each."""
        for path, model in self.models.items():
            status = self.store.held.releases[path].status
            assert (status.phase, status.stage_index) == (model.phase, model.stage)
            reason = "operator" if model.is_held else "gate" if model.phase == "paused" else None
            assert status.pause_reason == reason
            assert {one.tier: one.desired for one in status.exposure} == model.desired()

    @invariant()
    def cells_are_applied_or_under_way(self) -> None:
        """`applied` exactly at the level; due again while under way."""
        for key, cell in self.store.held.throttles.items():
            assert (cell.state == "applied") == (cell.effective_level == cell.level)
            assert (key in self.store.held.ramps) == (cell.state == "ramping")
            if cell.state == "ramping":
                assert self.store.held.next_due <= self.now + 10

    @invariant()
    def the_log_is_one_chain(self) -> None:
        """From the first entry on."""
        bodies = [body for _, body in reversed(self.store.audit(AuditQuery(), 100_000))]
        assert chain.verify(bodies, previous="") is None


TestWrites = Writes.TestCase
TestWrites.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


def cell_at(store: Store, on: str) -> wire.Throttle:
    """A cell by `feature/tier`."""
    one = resource(store, on)
    assert isinstance(one, wire.Throttle)
    return one


def in_force(one: wire.Release | wire.Throttle) -> object:
    """What a write may change besides the setting."""
    return (one.effective_level, one.state) if isinstance(one, wire.Throttle) else None


def path_of(kind: str, data: bytes) -> str:
    """Path of the resource that an event is about; "" for the log."""
    thing = wire.read(data, wire.Changed).object
    if kind == "audit":
        return ""
    return wire.read(thing, wire.Release if kind == "release" else wire.Throttle).path


@given(SHARES, SHARES, RATES, st.lists(st.floats(0.01, 60), min_size=1, max_size=40))
def test_a_ramp_never_overshoots_and_arrives_on_time(
    start: float, level: float, per_min: float, waits: list[float]
) -> None:
    """Looked at whenever: between start and level, never back, never ahead of its pace, exact at its end."""
    cell = wire.Throttle(feature="f", tier="t", seq=1, etag="t-1", level=start, effective_level=start)
    wanted = throttling.throttled(cell, level, ramp_per_min=per_min)
    cell, ramp = throttling.set_off(cell, wanted, per_min, NOW, None)
    low, high, now = min(start, level), max(start, level), NOW
    for wait in waits:
        if ramp is None:
            break
        assert now < throttling.next_step(level, ramp, now) <= now + 10
        now += wait
        before = cell.effective_level
        cell, ramp = throttling.stepped(cell, ramp, now)
        assert before is not None
        assert cell.effective_level is not None
        assert low <= cell.effective_level <= high
        assert abs(cell.effective_level - level) <= abs(before - level)
        pace = per_min * (now - NOW + 0.001) / 60
        assert abs(cell.effective_level - start) <= pace + 0.00005
    ends = NOW + abs(level - start) / per_min * 60
    if ramp is not None:
        cell, ramp = throttling.stepped(cell, ramp, ends)
    assert (cell.effective_level, cell.state, ramp) == (level, "applied", None)
