"""Frames as numbers and state, and back: nothing is lost, little is told twice, and no file can break it."""

import json
import math
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest

from collectors.fleet import (
    Alert,
    Exposure,
    Feature,
    Frame,
    Model,
    Node,
    Severity,
    SourceHealth,
    SourceState,
    Throttle,
    Tier,
)
from collectors.intents import PlaneFacts
from collectors.readings import NO_REASON, Interval, Quality, Reading, Reason, reading
from collectors.recording.built import Builder
from collectors.recording.codec import CLAMP, NO_EXCEPTIONS, Exceptions
from collectors.recording.layout import BadRecord
from collectors.recording.readings import (
    ABSENT,
    NO_VALUE,
    States,
    estimate_steps,
    scale_of,
    steps,
    value_of,
)
from collectors.recording.schema import Axis, Block, Column, Schema
from collectors.recording.state import Parts, applied, in_order
from tests.frames import (
    AT,
    bare_frame,
    big_frame,
    demo_frame,
    following,
    healthy_frame,
    lost,
    model,
    release,
    stale,
    worst_frame,
)
from tests.operated_frames import operated_frame, worst_operated_frame
from tests.recorded_frames import T0_US, Round, as_replayed, replayed

KINDS = {
    "demo": demo_frame,
    "healthy": healthy_frame,
    "bare": bare_frame,
    "worst": worst_frame,
    "operated": operated_frame,
    "worst operated": worst_operated_frame,
}
EMPTY = Frame(AT, 0, "empty", (), ())


def only(signal: str, one: Reading) -> Frame:
    """A frame of one model with one reading."""
    return replace(EMPTY, models=(Model("m", {signal: one}, {}),))


@pytest.mark.parametrize("kind", KINDS)
def test_a_frame_comes_back_as_it_was(kind: str) -> None:
    """Every reading, bound, reason, release, throttle, alert, source, node and note; also after others."""
    frame = KINDS[kind]()
    assert replayed([frame]) == [as_replayed(frame)]
    assert replayed([EMPTY, demo_frame(), frame])[-1] == as_replayed(frame)


def test_any_frame_may_follow_any_other() -> None:
    """Models, tiers, features, releases and sources come and go; what is gone is not left behind."""
    frames = [KINDS[kind](AT + n) for n, kind in enumerate([*KINDS, *reversed(KINDS)])]
    assert replayed(frames) == [as_replayed(frame) for frame in frames]


def test_a_large_fleet_keeps_its_schema() -> None:
    """What only moves makes no schema and tells no state, though bounds and rows are many."""
    path, frame = Round(), big_frame(60, 5, 800)
    assert path.frame(frame) == as_replayed(frame)
    moved = replace(frame, models=tuple(reversed(frame.models[:-1])), at=AT + 1)
    assert path.frame(moved) == as_replayed(moved)
    assert path.schemas == 1
    late = replace(frame, models=tuple(stale(one) for one in frame.models))
    assert path.frame(late) == as_replayed(late)
    assert path.schemas == 1


def test_unchanged_parts_are_the_same_objects() -> None:
    """Screens tell by identity what to draw anew: one model moves, and nothing else is another object."""
    path, frame = Round(), operated_frame()
    first = path.frame(frame)
    again = path.frame(replace(frame, at=AT + 1))
    for name in (
        "models",
        "totals",
        "releases",
        "throttles",
        "features",
        "nodes",
        "alerts",
        "sources",
        "plane",
    ):
        assert getattr(again, name) is getattr(first, name), name
    one = frame.models[0]
    other = replace(one, readings={**one.readings, "waiting": reading("waiting", 77, AT + 2)})
    node = replace(frame.nodes[3], busy=bytes([7] * 8))
    third = path.frame(
        replace(
            frame,
            models=(other, *frame.models[1:]),
            nodes=(*frame.nodes[:3], node, *frame.nodes[4:]),
        )
    )
    assert [a is b for a, b in zip(third.models, first.models, strict=True)] == [
        False,
        *[True] * (len(frame.models) - 1),
    ]
    assert third.models[0].tiers["pro"] is first.models[0].tiers["pro"]
    assert [n for n, (a, b) in enumerate(zip(third.nodes, first.nodes, strict=True)) if a is not b] == [3]
    assert third.releases is first.releases


def test_what_did_not_change_is_not_told_again() -> None:
    """The same frame a second later: no state, no reason, no schema, the same numbers."""
    path, frame = Round(), operated_frame()
    first = path.shaped(frame)
    again = path.shaped(replace(frame, at=AT + 1, tick=9))
    assert again.changed == {} and not again.reasons and not again.is_new_schema
    assert np.array_equal(first.values, again.values)


def test_numbers_that_move_are_no_state() -> None:
    """Exposure, levels, seq, latency, counts of reasons and the plane's clock move in blocks of numbers."""
    path, frame = Round(), operated_frame()
    path.shaped(frame)
    release = replace(
        frame.releases[0], seq=8, exposure=(Exposure("pro", 0.3, 0.29), *frame.releases[0].exposure[1:])
    )
    throttle = replace(frame.throttles[2], effective_level=0.47, seq=12)
    health = replace(frame.sources[0], latency_s=0.777, at=AT + 3, queries=3, received_bytes=999, skipped=1)
    aged = replace(
        frame.models[0], readings={"waiting": Reading(3.0, AT, Quality.STALE, Reason("stale", (31, 10)))}
    )
    moved = replace(
        frame,
        releases=(release, *frame.releases[1:]),
        throttles=(*frame.throttles[:2], throttle, *frame.throttles[3:]),
        sources=(health, *frame.sources[1:]),
        models=(aged, *frame.models[1:]),
        plane=replace(frame.plane or PlaneFacts(), clock_offset_s=-0.25),
    )
    shaped = path.shaped(moved)
    assert shaped.changed == {}
    assert [reason for _, reason in shaped.reasons] == [Reason("stale")]
    later = replace(aged, readings={"waiting": Reading(3.0, AT, Quality.STALE, Reason("stale", (32, 10)))})
    last = replace(moved, models=(later, *frame.models[1:]))
    assert path.frame(last) == as_replayed(last)
    assert not path.shaped(replace(last, models=(aged, *frame.models[1:]))).reasons


@pytest.mark.parametrize("value", [0.0, 0.05, 0.03, 4e-7, 1e-300, 0.1, 0.2, 123.4, 107_374_182.4])
def test_small_rates_are_not_none(value: float) -> None:
    """A rate below its quantum keeps one digit, as on the screen."""
    frame = only("arrivals", reading("arrivals", value, AT))
    (again,) = replayed([frame])
    assert again.models[0].readings["arrivals"].value == value
    assert again == as_replayed(frame)


@pytest.mark.parametrize(
    "value",
    [
        Interval(0.3, 0.5, 0.4),
        Interval(0.0, 0.3, 0.0),
        Interval(7680.0, math.inf, 7680.0),
        Interval(0.00015000000000000001, 0.00022500000000000002, 0.00018),
        Interval(0.0123456, 0.0124, 0.0123456),
        Interval(0.0122, 0.0123456, 0.0123456),
        Interval(1.23456, 1.23456, 1.23456),
        Interval(-2.0, -2.0, -2.0),
        4.321,
    ],
)
def test_bounds_are_exact(value: Interval | float) -> None:
    """The bounds come back to the last bit, and so does an estimate that rounding would put outside."""
    one = reading("queue_wait_p99", value, AT)
    if one.value is None:
        one = Reading(value, AT)
    frame = only("queue_wait_p99", one)
    assert replayed([frame]) == [as_replayed(frame)]


def test_an_interval_may_come_where_none_was() -> None:
    """A signal that is no quantile by its name gets bounds when it needs them; a quantile may be a number."""
    frames = [
        only("token_gap_p99", reading("token_gap_p99", 0.5, AT)),
        only("queue_wait_mean", reading("queue_wait_mean", 0.5, AT)),
        only("queue_wait_mean", reading("queue_wait_mean", Interval(0.2, 0.7, 0.5), AT)),
        only("token_gap_p99", reading("token_gap_p99", Interval(0.2, 0.7, 0.5), AT)),
    ]
    assert replayed(frames) == [as_replayed(frame) for frame in frames]


def test_too_many_bounds_begin_anew() -> None:
    """Bounds that nobody else has, each time others: the table does not grow without end, nothing is lost."""
    path = Round()
    for n, frame in enumerate(islice(following(big_frame(40, 4, 8), share=1.0), 14)):
        assert path.frame(frame) == as_replayed(frame), n
    columns = path.schema.block_of["readings"].columns
    assert max(len(column.bounds) for column in columns) <= 2048


def test_what_is_too_large_is_flagged() -> None:
    """Beyond 2**30 quanta a value is clamped, and no longer said to be good."""
    frame = only("waiting", reading("waiting", 2.0**31, AT))
    (again,) = replayed([frame])
    one = again.models[0].readings["waiting"]
    assert (one.value, one.quality, one.reason) == (float(CLAMP), Quality.SUSPECT, Reason("clamped"))
    (old,) = replayed([only("waiting", reading("waiting", 2, AT - 3e7))])
    assert old.models[0].readings["waiting"].quality is Quality.SUSPECT


@pytest.mark.parametrize(
    "one",
    [
        Reading(None, None, Quality.MISSING, Reason("never")),
        Reading(None, None, Quality.MISSING, Reason("not-open")),
        Reading(None, AT, Quality.MISSING, Reason("source-lost", ("prom",))),
        Reading(None, AT, Quality.MISSING),
        Reading(None, AT, Quality.GOOD, Reason("idle")),
        Reading(None, None),
        Reading(3.0, None),
        Reading(None, AT - 90, Quality.MISSING, Reason("removed", (90,)), (1, 4)),
        Reading(3.0, AT - 31, Quality.STALE, Reason("stale", (31, 10))),
        Reading(3.0, AT, Quality.SUSPECT, Reason("impossible", (-0.25,)), (0, 0)),
        Reading(3.0, AT, Quality.UNKNOWN, Reason("drifting")),
        Reading(3.0, AT, Quality.GOOD, Reason("few", (3, 60, 20))),
        Reading(3.0, AT, Quality.GOOD, Reason("few", (3, 60, 20, 1))),
        Reading(3.0, AT, Quality.GOOD, Reason("few", (-3, 2**40, 0))),
        Reading(3.0, AT, Quality.GOOD, Reason("newer", ("x", 1, 2.5))),
        Reading(3.0, AT, Quality.GOOD, Reason("first-bucket", (1.0,))),
        Reading(3.0, AT, Quality.MISSING, Reason("never")),
    ],
)
def test_every_reason_comes_back(one: Reading) -> None:
    """Quality, time, coverage and the reason with its parameters, also after another reading at its place."""
    other = reading("waiting", 8, AT, Quality.GOOD, Reason("longer", (60, 3)), (4, 4))
    frames = [
        only("waiting", one),
        only("waiting", other),
        only("waiting", one),
        EMPTY,
        only("waiting", one),
        only("waiting", other),
        EMPTY,
        only("waiting", one),
    ]
    again = replayed(frames)
    assert again == [as_replayed(frame) for frame in frames]
    kinds = [
        tuple(map(type, each.models[0].readings["waiting"].reason.parameters))
        for each in again
        if each.models
    ]
    assert kinds[0] == tuple(map(type, one.reason.parameters))


def test_absent_is_told_of_every_place() -> None:
    """A reader of numbers alone sees what a frame does not have: no 0 stands for it."""
    path = Round()
    path.shaped(demo_frame())
    gone = path.shaped(EMPTY)
    readings = gone.schema.block_of["readings"]
    firsts = [
        n
        for n, column in enumerate(readings.columns)
        if not column.id.endswith((".hi",))
        and (column.id.endswith(".lo") or f"{column.id}.lo" not in readings.column_of)
    ]
    marked = dict(zip(gone.exceptions.places.tolist(), gone.exceptions.states.tolist(), strict=True))
    start, width = gone.schema.starts["readings"], len(readings.columns)
    assert all(
        marked.get(start + row * width + first) == ABSENT for row in range(readings.rows) for first in firsts
    )


@pytest.mark.parametrize("less", [{"tiers": {}}, {"by_feature": {}}, {"cells": {}}, {"cells": {"f": {}}}])
def test_a_tier_that_is_gone_is_absent(less: dict[str, Any]) -> None:
    """Of a model that stays, rows of a tier, a feature and a cell that went keep no state of before."""
    path, found = Round(), {"waiting": reading("waiting", 3, AT)}
    one = Model("m", found, {"t": found}, by_feature={"f": found}, cells={"f": {"t": found}})
    before = path.shaped(replace(EMPTY, models=(one,)))
    after = path.shaped(replace(EMPTY, models=(replace(one, **less),)))
    assert len(before.exceptions.places) == 0
    assert after.exceptions.states.tolist() == [ABSENT]


def test_a_value_that_is_gone_repeats_its_number() -> None:
    """No sentinel: what has no value costs nothing in the next difference."""
    path = Round()
    one = demo_frame().models[0]
    frame = replace(EMPTY, models=(one,))
    before, after = path.shaped(frame), path.shaped(replace(frame, models=(lost(one),)))
    start = before.schema.starts["readings"]
    size = before.schema.block_of["readings"].size
    assert np.array_equal(before.values[start : start + size], after.values[start : start + size])
    assert (after.exceptions.states & NO_VALUE).all()


def test_a_snapshot_is_all_that_was_told() -> None:
    """A reader that begins at a snapshot builds the same frame; reasons not in use are told anew later."""
    path, reader = Round(), Builder()
    for frame in (demo_frame(), worst_frame(), operated_frame()):
        shaped = path.shaped(frame)
    told = json.loads(json.dumps(path.shaper.state()))
    state = applied({}, told)
    reasons = {number: Reason(code, tuple(parameters)) for number, code, parameters in told["reasons"]}
    built = reader.frame(
        path.schema, shaped.values, shaped.times, shaped.exceptions, reasons, state, AT, T0_US,
        operated_frame().events,
    )  # fmt: skip
    assert built == as_replayed(operated_frame())
    assert set(reasons) == set(shaped.exceptions.reasons.tolist()) - {0}
    later = worst_frame(AT + 1)
    assert path.frame(later) == as_replayed(later)
    news = dict(path.shaper.take(replace(later, models=operated_frame().models)).reasons)
    assert not set(news) & set(reasons)


def test_order_is_kept_through_changes() -> None:
    """Alerts and features stand as they stood, though they come back, go, and change places."""
    some = tuple(Feature(name, name, ()) for name in "abcdef")
    orders = ["abc", "cab", "b", "bca", "fa", "abcdef", "fedcba", "", "d"]
    frames = [replace(EMPTY, features=tuple(some[ord(c) - 97] for c in order)) for order in orders]
    assert replayed(frames) == [as_replayed(frame) for frame in frames]


def test_of_two_of_one_name_both_are_kept() -> None:
    """Names that became the same when they were cleaned are still two things."""
    frame = replace(
        EMPTY,
        tiers=(Tier("t", "T"), Tier("t", "U")),
        models=(model("m", [(1, 2, 1.5)] * 4), model("m", [None] * 4), model("", [None] * 4)),
        nodes=(Node("n", "p", b"\x01", "X"), Node("n", "p", b"\x02\x03", "  ")),
        releases=(release("m", (1, 0.5, 0, 0)), release("m", (1, 1, 1, 1))),
        throttles=(Throttle("f", "t", 1, "e", 0.3), Throttle("f", "t", 2, "e", 0.4)),
        alerts=tuple(Alert("a", Severity.P1, "m", tier, AT, "s") for tier in "xyz"),
        sources=(
            SourceHealth("s", "scrape", SourceState.OK, AT),
            SourceHealth("s", "scrape", SourceState.LOST),
        ),
    )
    assert replayed([frame]) == [as_replayed(frame)]


def test_clocks_months_apart() -> None:
    """In the demo the plane has the real clock and the fleet another: its time and offset are still exact."""
    plane = PlaneFacts(clock_offset_s=-20_865_568.125, ttl_max_s=60)
    for at in (AT + 21e6 + 0.37, AT - 3e7 - 0.11, None):
        frame = replace(EMPTY, plane=plane, sources=(SourceHealth("ctl", "plane", SourceState.OK, at),))
        assert replayed([frame, replace(frame, plane=None), frame])[::2] == [as_replayed(frame)] * 2


def test_large_numbers_of_a_plane() -> None:
    """A `seq` of 2**53, and a level with more digits than a share has, are exact."""
    frame = replace(
        EMPTY,
        releases=(replace(release("m", (1, 0, 0, 0)), seq=2**53),),
        throttles=(Throttle("f", "t", 2**53, "e", 1 / 3, effective_level=0.25),),
    )
    assert replayed([frame]) == [as_replayed(frame)]


def test_is_new() -> None:
    """Anything but the time and the number of the tick makes a frame new; events always do."""
    path, frame = Round(), replace(demo_frame(), events=())
    assert path.shaper.is_new(frame)
    path.shaped(frame)
    assert not path.shaper.is_new(frame)
    assert not path.shaper.is_new(replace(frame, at=AT + 1, tick=7, mode="LIVE"))
    assert not path.shaper.is_new(replace(demo_frame(AT), events=()))
    assert path.shaper.is_new(demo_frame())
    for name, value in (
        ("models", frame.models[:-1]),
        ("totals", {}),
        ("sources", frame.sources[:1]),
        ("production", False),
        ("notes", (Reason("no-plane"),)),
        ("nodes", (replace(frame.nodes[0], busy=b"\0" * 8), *frame.nodes[1:])),
    ):
        assert path.shaper.is_new(replace(frame, **{name: value})), name


def test_steps_are_whole() -> None:
    """A number of quanta, or the code of one digit; what cannot be told is out of range."""
    rate, wait = scale_of("arrivals"), scale_of("queue_wait_p99")
    assert (steps(0.05, rate), value_of(-25, rate)) == (-25, 0.05)
    assert (steps(12.3, rate), steps(-1.0, rate), steps(math.nan, wait)) == (123, 2 * CLAMP, 2 * CLAMP)
    assert value_of(70, scale_of("kv_ratio")) == 0.7 and value_of(7, scale_of("tokens_in")) == 70.0
    assert estimate_steps(Interval(0.0123456, 0.0124, 0.0123456), wait) == 12


def test_parts_tell_only_what_changed() -> None:
    """One item changes: one item is told; one goes: null; the order only where it cannot be told."""
    parts = Parts()
    parts.take("p", {"a": 1, "b": 2})
    assert parts.changes() == {"set": {"p": {"a": 1, "b": 2}}}
    parts.take("p", {"a": 1, "b": 3, "c": 4})
    assert parts.changes() == {"set": {"p": {"b": 3, "c": 4}}}
    parts.take("p", {"c": 4, "a": 1})
    assert parts.changes() == {"set": {"p": {"b": None}}, "order": {"p": ["c", "a"]}}
    parts.take("p", {"c": 4, "a": 1})
    assert parts.changes() == {}
    assert in_order(applied({}, parts.whole()), "p") == ["c", "a"]


ANYTHING: list[Any] = [
    None, 0, -1, 2**70, 1e308, math.inf, "", "x", "\x1b]0;evil\x07", [], [[]], {}, {"x": 1}, True,
    "y" * 99_999, ["a", None, {}, -1, "\x1b[2J"], {"\x1b[2J": {"\x1b": ["\x1b"]}}, [2**70] * 9, ["\x1b"] * 9,
]  # fmt: skip


@pytest.mark.parametrize("value", ANYTHING)
def test_no_state_can_break_a_frame(value: object) -> None:
    """Whatever stands in any part, at any member, is left out or cleaned: a frame comes all the same."""
    whole = operated_frame()
    small = replace(
        whole,
        models=tuple(replace(one, notes=(Reason("no-tiers", ("x",)),)) for one in whole.models[:1]),
        releases=(*whole.releases[:1], *whole.releases[-1:]),
        throttles=whole.throttles[:2],
        features=whole.features[:1],
        nodes=whole.nodes[:2],
        alerts=tuple(replace(one, labels={"a": "b"}) for one in whole.alerts[:1]),
        notes=(Reason("no-plane"),),
    )
    path, reader = Round(), Builder()
    shaped = path.shaped(small)
    states: list[dict[str, Any]] = []
    for part, items in path.state.items():
        states.append({**path.state, part: value})
        states.append({**path.state, part: dict.fromkeys(items, value)})
        states.append({**path.state, part: {**items, "\x1b[2Jx": value, "": value}})
        key = next(iter(items), "")
        one = items.get(key)
        if isinstance(one, dict):
            states += [{**path.state, part: {**items, key: {**one, member: value}}} for member in one]
    for state in states:
        frame = reader.frame(
            path.schema, shaped.values, shaped.times, shaped.exceptions, path.reasons, state, AT, T0_US
        )
        assert "\\x1b" not in repr(frame)


def hostile(columns: tuple[Column, ...], labels: tuple[str, ...] = ("m",)) -> Schema:
    axes = (Axis("model", labels), Axis("tier", ("",)))
    return Schema(1, (), (Block("readings", axes, columns),))


def built(schema: Schema, numbers: Any = 0, found: Exceptions = NO_EXCEPTIONS, **parts: Any) -> Frame:
    values = np.full(schema.size, numbers, np.int32)
    times = np.zeros(len(schema.sources), np.int32)
    return Builder().frame(schema, values, times, found, {}, {"models": {"m": {}}, **parts}, AT, T0_US)


def test_numbers_that_point_nowhere() -> None:
    """Indices past the bounds, bounds the wrong way round, scales that are none: plain numbers come."""
    bounds = (5.0, 1.0, -math.inf)
    three = (
        Column("queue_wait_p99.lo", "index", bounds=bounds),
        Column("queue_wait_p99.hi", "index", bounds=bounds),
        Column("queue_wait_p99", "s", 0.001),
    )
    for number in (-1, 0, 1, 2, 3, 2**31 - 1, -(2**31)):
        (one,) = built(hostile(three), number).models
        value = one.readings["queue_wait_p99"].value
        assert not isinstance(value, Interval) or (
            value.lo <= value.estimate <= value.hi and value.lo > -math.inf
        )
    odd = (Column("x", "1/s", 1e-300), Column("y", "s", 1e300), Column("a.lo"), Column("b.hi"), Column("a"))
    (one,) = built(hostile(odd), -(2**31)).models
    assert all(value.value is not None and abs(value.estimate or 0) < 1e12 for value in one.readings.values())


def test_only_what_is_said_to_be_there_is_shown() -> None:
    """A state that never has a value shows none; a state and a reason of a newer version are unknown."""
    schema = hostile((Column("waiting"),))

    def read(state: int, reason: int = 0) -> Reading:
        found = Exceptions(
            np.array([0], np.uint32), np.array([state], np.uint8), np.array([reason], np.uint16)
        )
        return built(schema, 7, found).models[0].readings["waiting"]

    assert read(States.NOT_RECORDED) == Reading(None, None, Quality.UNKNOWN, Reason("not-recorded"))
    assert read(States.REDACTED) == Reading(None, None, Quality.MISSING, Reason("redacted"))
    assert read(States.FAILED).value is None and read(States.NEVER | NO_VALUE).value is None
    assert read(33) == Reading(7.0, None, Quality.UNKNOWN, NO_REASON)
    assert read(0, 9).reason == Reason("not-recorded")
    assert built(schema, 7).models[0].readings["waiting"] == Reading(7.0, None)


def test_frames_of_a_wrong_size_are_refused() -> None:
    """Numbers that are not those of the schema, and more than any fleet has, are a damaged frame."""
    schema = hostile((Column("waiting"),))
    with pytest.raises(BadRecord, match="2 numbers"):
        Builder().frame(
            schema, np.zeros(2, np.int32), np.zeros(0, np.int32), NO_EXCEPTIONS, {}, {}, AT, T0_US
        )
    with pytest.raises(BadRecord, match="columns"):
        built(hostile(tuple(Column(f"s{n}") for n in range(5_000))))
    labels = tuple(map(str, range(1_001)))
    wide = hostile(tuple(Column(f"s{n}") for n in range(300)), labels)
    with pytest.raises(BadRecord, match="300300 readings"):
        built(wide, models={label: {} for label in labels})
    with pytest.raises(BadRecord, match="rows"):
        built(hostile((Column("waiting"),), tuple(map(str, range(200_001)))))


def test_nodes_have_no_more_accelerators_than_there_are() -> None:
    """A node that claims a billion is damage, not a billion bytes; one that overlaps another too."""
    rows = Block(
        "accelerators",
        (Axis("accelerator", ("p\x1fn\x1f0", "p\x1fn\x1f1")),),
        (Column("busy"), Column("mark")),
    )
    schema = Schema(1, (), (rows,))
    assert built(schema, 300, nodes={"p\x1fn": [2, 1, "m"]}).nodes == (
        Node("n", "p", b"\xff\xff", " ", ("m",)),
    )
    for told in ({"p\x1fn": [10**9, 0]}, {"p\x1fn": [2, 2], "p\x1fo": [2, 2]}):
        with pytest.raises(BadRecord, match="accelerators"):
            built(schema, nodes=told)
    assert built(schema, nodes={"p\x1fn": [-5, "x"]}).nodes == (Node("n", "p", b"", ""),)


def test_a_reason_that_is_told_anew_is_shown() -> None:
    """The same id means another reason later: nothing of the frame before is kept in its place."""
    schema, reader = hostile((Column("waiting"),)), Builder()
    found = Exceptions(np.array([0], np.uint32), np.array([0], np.uint8), np.array([3], np.uint16))
    state, values = {"models": {"m": {}}}, np.zeros(1, np.int32)
    reasons: dict[int, Reason] = {}
    for told in (Reason("idle"), Reason("never"), Reason("idle")):
        reasons[3] = told
        frame = reader.frame(schema, values, np.zeros(0, np.int32), found, reasons, state, AT, T0_US)
        assert frame.models[0].readings["waiting"].reason == told


def test_numbers_changed_in_place_are_seen() -> None:
    """A reader may decode the next frame into the array of the one before."""
    schema, reader, values = hostile((Column("waiting"),)), Builder(), np.zeros(1, np.int32)
    for number in (1, 2, 1):
        values[0] = number
        frame = reader.frame(
            schema, values, np.zeros(0, np.int32), NO_EXCEPTIONS, {}, {"models": {"m": {}}}, AT, T0_US
        )
        assert frame.models[0].readings["waiting"].value == number


def test_a_fleet_past_any_schema_is_cut_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """More numbers than a reader takes: as many models as fit are recorded, and the frame says how many."""
    monkeypatch.setattr("collectors.recording.vector.VALUES_MOST", 4000)
    frame = replace(big_frame(40, 3, 8), releases=(), features=(), alerts=(), events=())
    (again,) = replayed([frame])
    kept = len(again.models)
    assert 0 < kept < 40 and again.models == frame.models[:kept]
    assert again.notes[-1] == Reason("models-cut", (kept, 40))


def test_a_schema_that_only_grew_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models that came and went leave rows behind; before there are too many, they are forgotten."""
    monkeypatch.setattr("collectors.recording.vector.VALUES_MOST", 3000)
    path, one = Round(), demo_frame().models[0]
    for number in range(30):
        frame = replace(EMPTY, models=(replace(one, name=f"m{number}"),))
        assert path.frame(frame) == as_replayed(frame)
        assert path.schema.size <= 3000
