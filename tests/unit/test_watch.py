"""The live loop: ticks that never wait, readings that age, sources that come back."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

import pytest

from collectors.config import Context
from collectors.control.interface import ControlPlane, PlaneState, PlaneUpdate
from collectors.fleet import (
    STALE_CELL,
    EventKind,
    Exposure,
    Feature,
    Frame,
    Release,
    SourceHealth,
    SourceState,
    Stage,
    Throttle,
)
from collectors.intents import Ability, Intent, Logged, Operator, Outcome, OutcomeKind, Rehearsal, Target
from collectors.readings import Quality
from collectors.signals.catalogue import Answer, Definition, Metric, Poll, Row
from collectors.watch import loop
from collectors.watch.loop import Watch
from tests.frames import AT

INTERVAL_S = 0.1
TICK_S = 0.02
WITHIN_S = 60.0


def poll(at: float, value: float = 7.0, state: SourceState = SourceState.OK) -> Poll:
    running = Definition("running", "vllm", "engine", "gauge", (Metric("m"),), ())
    waiting = replace(running, signal="waiting")
    rows = (Row({"model_name": "acme/Aurora-5"}, value),)
    answers = (Answer(running, rows, at), Answer(waiting, rows, at)) if state is SourceState.OK else ()
    health = SourceHealth("p", "prometheus", state, error="" if answers else "p is not answering")
    return Poll("p", at, INTERVAL_S, answers, (), ("vllm",), health)


@dataclass
class Scripted:
    """A poller that says what `say` says, and counts how many polls run at once."""

    say: Callable[[], Poll]
    delay_s: float = 0.0
    name: str = "p"
    running: int = 0
    most: int = 0
    asked: int = 0
    closed: bool = False
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def poll(self) -> Poll:
        self.running += 1
        self.asked += 1
        self.most = max(self.most, self.running)
        await self.gate.wait()
        await asyncio.sleep(self.delay_s)
        self.running -= 1
        return self.say()

    async def aclose(self) -> None:
        self.closed = True


def watch(poller: Scripted, plane: ControlPlane | None = None, context: Context | None = None) -> Watch:
    return Watch("t", context or Context(), [poller], plane, poll_s=TICK_S, tick_s=TICK_S)


async def until(watched: Watch, holds: Callable[[Frame], bool]) -> list[Frame]:
    """Frames up to the first that holds."""
    seen: list[Frame] = []

    async def follow() -> None:
        async with aclosing(watched.frames()) as frames:  # type: ignore[type-var]  # an async generator
            async for frame in frames:
                seen.append(frame)
                if holds(frame):
                    return

    try:
        await asyncio.wait_for(follow(), WITHIN_S)
    finally:
        await watched.aclose()
    return seen


class Clock:
    """The loop's clock, which moves only when it is told to: a busy machine makes no reading old."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(loop, "time", self)

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return AT + self.now

    def count(self, frame: Frame) -> None:
        """Half an interval passes for each frame in which a source is lost."""
        if any(source.state is SourceState.LOST for source in frame.sources):
            self.now += INTERVAL_S / 2


def running(frame: Frame) -> tuple[float | None, Quality] | None:
    found = next((m for m in frame.models if m.name == "aurora-5"), None)
    if found is None:
        return None
    one = found.reading("running")
    return one.estimate, one.quality


async def test_the_first_frame_waits_for_nobody() -> None:
    """Before any source has answered there is a frame that says so."""
    slow = Scripted(lambda: poll(time.time()))
    slow.gate.clear()
    first = (await until(watch(slow), lambda f: True))[0]
    assert first.models == ()
    assert first.sources[0].state is SourceState.CONNECTING
    assert slow.closed


async def test_a_slow_source_does_not_delay_a_tick() -> None:
    """Twenty ticks pass while one poll hangs, and no second poll is started beside it."""
    slow = Scripted(lambda: poll(time.time()))
    slow.gate.clear()
    frames = await until(watch(slow), lambda f: f.tick >= 20)
    assert len(frames) == 20
    assert slow.asked == 1


async def test_polls_of_one_source_never_overlap_and_overruns_are_counted() -> None:
    """A poll that takes longer than its turn drops the turns it missed."""
    slow = Scripted(lambda: poll(time.time()), delay_s=5 * INTERVAL_S)
    frames = await until(watch(slow), lambda f: f.sources[0].skipped > 0)
    assert slow.most == 1
    assert frames[-1].sources[0].skipped > 0


async def test_a_lost_source_turns_stale_then_missing_then_recovers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values are marked, then removed, never frozen; recovery needs nobody (D10)."""
    up, clock = True, Clock(monkeypatch)

    def say() -> Poll:
        return poll(clock.time(), state=SourceState.OK if up else SourceState.LOST)

    watched = watch(Scripted(say))
    stages: list[tuple[float | None, Quality] | None] = []
    events = []

    def holds(frame: Frame) -> bool:
        nonlocal up
        now = running(frame)
        events.extend(e.text for e in frame.events if e.kind is EventKind.SOURCE)
        if now is not None and (not stages or stages[-1] != now):
            stages.append(now)
        if now == (7, Quality.GOOD) and len(stages) == 1:
            up = False
        if now == (None, Quality.MISSING):
            up = True
        clock.count(frame)
        return len(stages) >= 4

    await until(watched, holds)
    assert stages == [(7, Quality.GOOD), (7, Quality.STALE), (None, Quality.MISSING), (7, Quality.GOOD)]
    assert events[0].startswith("lost:")
    assert "answers again" in events


async def test_a_clock_an_hour_off_makes_no_reading_old() -> None:
    """Ages are told by the source's own clock."""
    ahead = Scripted(lambda: poll(time.time() + 3600))
    frames = await until(watch(ahead), lambda f: running(f) == (7, Quality.GOOD) and f.tick > 10)
    assert frames[-1].at - time.time() == pytest.approx(3600, abs=60)


async def test_without_tiers_there_is_one_column() -> None:
    """No metric tells tiers apart: the column `all` holds the model's own wait, and a note says why."""
    frame = (await until(watch(Scripted(lambda: poll(time.time()))), lambda f: bool(f.models)))[-1]
    assert [t.name for t in frame.tiers] == ["all"]
    assert frame.models[0].reading("waiting", "all").value == 7
    assert {"no-tiers", "no-objective", "no-plane"} <= {n.code for n in frame.notes}


async def test_without_a_source_of_metrics_the_fleet_says_what_to_give() -> None:
    """A plane alone measures nothing: that is said, and not that there is no objective."""
    plane = Plane(PlaneUpdate(state(), (), SourceHealth("ctl", "plane", SourceState.OK, time.time())))
    watched = Watch("t", Context(), [], plane, poll_s=TICK_S, tick_s=TICK_S)
    frame = (await until(watched, lambda f: bool(f.models)))[-1]
    assert [n.code for n in frame.notes] == ["no-metrics"]


async def test_tiers_features_and_their_cells_stay_apart() -> None:
    """A reading of a feature in one tier is neither the tier's nor the feature's."""
    at = time.time()
    arrivals = Definition("arrivals", "gw", "gateway", "counter", (Metric("m"),), ())
    rows = tuple(
        Row({"model_name": "aurora-5", "route": route, "team": tier}, value)
        for route, tier, value in (("chat", "pro", 1.0), ("chat", "free", 2.0), ("images", "free", 4.0))
    )
    told = replace(poll(at), answers=(Answer(arrivals, rows, at),), stacks=("gw",))
    context = Context.model_validate(
        {
            "identity": {
                "features": [{"label": "route", "regex": "(.+)", "feature": "$1"}],
                "tiers": [{"label": "team", "regex": "(.+)", "tier": "$1"}],
            }
        }
    )
    async with aclosing(watch(Scripted(lambda: told), context=context)) as watched:
        model = (await until(watched, lambda frame: bool(frame.models)))[-1].models[0]
    of = {tier: readings["arrivals"].value for tier, readings in model.tiers.items()}
    assert of == {"pro": 1.0, "free": 6.0}
    assert {f: r["arrivals"].value for f, r in model.by_feature.items()} == {"chat": 3.0, "images": 4.0}
    cells = {(f, t): r["arrivals"].value for f, tiers in model.cells.items() for t, r in tiers.items()}
    assert cells == {("chat", "pro"): 1.0, ("chat", "free"): 2.0, ("images", "free"): 4.0}


async def test_unchanged_models_are_the_same_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between polls nothing is built again, so drawing can tell at a glance that nothing moved."""
    Clock(monkeypatch)
    once = Scripted(lambda: poll(time.time()))
    watched = Watch("t", Context(), [once], poll_s=60.0, tick_s=TICK_S)
    frames = [f for f in await until(watched, lambda f: f.tick > 6) if f.models]
    assert frames[0].models is frames[1].models


class Plane(ControlPlane):
    """A control plane that says one thing."""

    def __init__(self, *updates: PlaneUpdate) -> None:
        self._updates = updates

    def capabilities(self) -> Mapping[str, Ability]:
        return {}

    async def read(self) -> PlaneState:
        raise NotImplementedError

    async def updates(self) -> AsyncIterator[PlaneUpdate]:
        for update in self._updates:
            yield update

    async def aclose(self) -> None:
        pass


class Acted(Plane):
    """Its second word waits until something was done, which is asked of the operator of `watched`."""

    def __init__(self, *updates: PlaneUpdate) -> None:
        super().__init__(*updates)
        self.done = asyncio.Event()

    def operator(self) -> Operator:
        return Doing()

    async def act(self, watched: Watch) -> None:
        assert watched.operator is not None
        async for _ in watched.operator.carry_out([INTENT]):
            pass
        self.done.set()

    async def updates(self) -> AsyncIterator[PlaneUpdate]:
        yield self._updates[0]
        await self.done.wait()
        yield self._updates[1]
        await asyncio.sleep(WITHIN_S)


class Doing:
    """Applies whatever it is asked."""

    async def rehearse(self, intents: Sequence[Intent]) -> tuple[Rehearsal, ...]:
        return ()

    async def carry_out(self, intents: Sequence[Intent]) -> AsyncIterator[Outcome]:
        for intent in intents:
            yield Outcome(intent, OutcomeKind.APPLIED, time.time(), "done")

    async def own_actions(self, limit: int = 20) -> tuple[Logged, ...]:
        return ()


INTENT = Intent(
    "release.pause", Target("release", "r"), {}, {"candidate": "c"}, "*", "exercise", "key", "one"
)


def state(**changes: object) -> PlaneState:
    release = Release(
        id="r",
        title="",
        subject_kind="model",
        subject="Aurora-5",
        seq=1,
        etag="m",
        stable=None,
        candidate="c",
        stages=(Stage("pro@100", "pro", 1.0),),
        phase="paused",
        stage_index=0,
        exposure=(Exposure("pro", 1.0), Exposure("free", 0.0)),
    )
    whole = PlaneState(
        releases=(release,),
        throttles=(Throttle("chat", "free", 1, "t", 0.3), Throttle("chat", "pro", 1, "t", 1.0)),
        features=(Feature("chat", "Chat", ("aurora-5",)),),
        tiers=("pro", "free"),
        abilities={},
        actor="a",
        role="viewer",
        seq=1,
        at=time.time(),
        clock_offset_s=0.0,
        api_version="v1",
    )
    return replace(whole, **changes)  # type: ignore[arg-type]  # names are PlaneState's


async def test_a_released_model_is_on_the_screen_before_any_metric() -> None:
    """Its readings say what is missing; its throttle is the lowest among its features' cells (T5)."""
    health = SourceHealth("ctl", "plane", SourceState.OK, time.time())
    slow = Scripted(lambda: poll(time.time()))
    slow.gate.clear()
    plane = Plane(PlaneUpdate(state(), (), health))
    frame = (await until(watch(slow, plane), lambda f: bool(f.models)))[-1]
    model = frame.models[0]
    assert (model.name, model.throttle, model.features) == ("aurora-5", 0.3, ("chat",))
    assert model.reading("waiting").value is None
    assert model.reading("saturation_rho").quality is Quality.UNKNOWN
    assert [t.name for t in frame.tiers] == ["pro", "free"]


async def test_what_an_operator_did_does_not_wait_for_the_tick() -> None:
    """The plane's word on it makes a frame at once: the tick is a minute away, the test gives up before."""
    before, after = state(), state(releases=())
    health = SourceHealth("ctl", "plane", SourceState.OK)
    plane = Acted(PlaneUpdate(before, (), health), PlaneUpdate(after, (), health))
    watched = Watch("t", Context(), [], plane, tick_s=60.0)
    acting: list[asyncio.Task[None]] = []

    def is_told(frame: Frame) -> bool:
        if frame.releases and not acting:
            acting.append(asyncio.get_running_loop().create_task(plane.act(watched)))
        return bool(acting) and not frame.releases

    assert not (await until(watched, is_told))[-1].releases


async def test_names_of_plane_and_metrics_meet_in_one_row() -> None:
    """`Aurora-5` at the plane and `acme/Aurora-5` at the engine are one row."""
    health = SourceHealth("ctl", "plane", SourceState.OK, time.time())
    plane = Plane(PlaneUpdate(state(), (), health))
    frames = await until(watch(Scripted(lambda: poll(time.time())), plane), lambda f: running(f) is not None)
    assert [m.name for m in frames[-1].models] == ["aurora-5"]
    release = frames[-1].release_of("aurora-5")
    assert release is not None
    assert release.id == "r"


async def test_a_fault_over_one_source_leaves_the_others() -> None:
    """An exception nobody foresaw makes its source lost, in a sentence; the other one stays good."""

    def fault() -> Poll:
        raise OverflowError("cannot convert float infinity to integer")

    bad, good = Scripted(fault, name="bad"), Scripted(lambda: poll(time.time()))
    watched = Watch("t", Context(), [bad, good], Plane(), poll_s=TICK_S, tick_s=TICK_S)
    frame = (await until(watched, lambda f: running(f) == (7, Quality.GOOD) and f.tick > 5))[-1]
    assert frame.sources[0].state is SourceState.LOST
    assert "OverflowError" in frame.sources[0].error
    assert bad.asked > 1, "it is asked again"


async def test_the_heat_map_turns_stale_then_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A map nobody feeds is marked, then taken away: its shades never stand as if they were now (D10)."""
    monkeypatch.setattr("collectors.watch.lane.NODES_STALE_S", 0.2)
    monkeypatch.setattr("collectors.watch.lane.NODES_GONE_S", 0.6)
    row = Row({"Hostname": "n1", "gpu": "0", "UUID": "u"}, 0.9)
    heat = Definition("busy_ratio", "dcgm", "heat", "gauge", (Metric("m"),), (), lane="heat")
    clock = Clock(monkeypatch)
    first = poll(clock.time())
    first = replace(first, answers=(*first.answers, Answer(heat, (row,), first.at)))
    polls = iter([first])
    watched = watch(Scripted(lambda: next(polls, poll(clock.time(), state=SourceState.LOST))))
    seen: list[bytes] = []

    def holds(frame: Frame) -> bool:
        now = frame.nodes[0].busy if frame.nodes else b""
        if not seen or seen[-1] != now:
            seen.append(now)
        clock.count(frame)
        return len(seen) >= 4

    await until(watched, holds)
    assert seen == [b"", bytes([90]), bytes([STALE_CELL]), b""]


@pytest.mark.parametrize("turns", range(5))
async def test_a_cancel_that_comes_with_news_is_not_lost(turns: int) -> None:
    """Who waits for the end of what was cancelled would wait for ever."""
    watch = Watch("t", Context(), [], tick_s=60.0)

    async def follow() -> None:
        async for _ in watch.frames():
            pass

    following = asyncio.create_task(follow())
    await asyncio.sleep(0.02)
    watch._news.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    following.cancel()
    done, _ = await asyncio.wait({following}, timeout=5)
    await watch.aclose()
    assert done
