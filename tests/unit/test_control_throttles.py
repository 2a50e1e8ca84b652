"""Writes to throttles: settings, what they remember, their ends and their ramps."""

import msgspec
import pytest

from collectors.control import wire
from collectors.control.server.store import Store
from tests.control_commands import (
    CLEAR,
    IMAGES,
    NOW,
    SET,
    VOICE,
    cell,
    command,
    log,
    refusal,
    seeded,
)


@pytest.fixture
def store() -> Store:
    """The example seed in memory."""
    return seeded()


def test_a_level_is_set_for_a_time(store: Store) -> None:
    """At once, with its end by the plane's clock; the setting before is remembered with its own end."""
    after = cell(store, SET, IMAGES, level=0.1, ttl_s=1800)
    assert (after.level, after.effective_level, after.state) == (0.1, 0.1, "applied")
    assert (after.expires_at, after.return_ramp_per_min) == (wire.render_time(NOW + 1800), 0.1)
    assert after.revert_to == wire.Revert(0.3, wire.render_time(NOW + 7200))
    longer = cell(store, SET, IMAGES, level=0.1, expires_at=wire.render_time(NOW + 3600.5), revert_to="open")
    assert (longer.expires_at, longer.revert_to) == (wire.render_time(NOW + 3600.5), after.revert_to)
    assert longer.etag != after.etag
    third = cell(store, SET, IMAGES, level=0.05)
    assert (third.expires_at, third.revert_to) == (None, wire.Revert(0.1, longer.expires_at))
    assert log(store)[0].before == {"level": 0.1, "expires_at": longer.expires_at} | {
        "revert_to": {"level": 0.3, "expires_at": wire.render_time(NOW + 7200)}
    }


def test_open_forgets_what_was_before(store: Store) -> None:
    """A setting that goes back to open remembers nothing, and ends at level 1.0."""
    after = cell(store, SET, IMAGES, level=0.1, ttl_s=60, revert_to="open", return_ramp_per_min=None)
    assert after.revert_to is msgspec.UNSET
    store.tick(NOW + 60)
    ended = store.held.throttles["image-generation", "free"]
    assert (ended.level, ended.effective_level, ended.state, ended.expires_at) == (1.0, 1.0, "applied", None)


def test_clear_goes_back_to_what_was_before(store: Store) -> None:
    """For what is left of its own time, by the ramp of the way back; with `open` to no throttle at all."""
    cell(store, SET, IMAGES, level=0.1, ttl_s=1800)
    after = cell(store, CLEAR, IMAGES, now=NOW + 60)
    assert (after.level, after.effective_level, after.state) == (0.3, 0.1, "ramping")
    assert (after.expires_at, after.revert_to) == (wire.render_time(NOW + 7200), msgspec.UNSET)
    after = cell(store, CLEAR, IMAGES, now=NOW + 90, revert_to="open")
    assert (after.level, after.effective_level, after.state, after.expires_at) == (1.0, 0.15, "ramping", None)
    store.tick(NOW + 90 + 510)
    there = store.held.throttles["image-generation", "free"]
    assert (there.effective_level, there.state, there.etag) == (1.0, "applied", after.etag)


def test_what_was_before_has_run_out(store: Store) -> None:
    """Then the way back goes to level 1.0."""
    cell(store, SET, IMAGES, level=0.1)
    after = cell(store, CLEAR, IMAGES, now=NOW + 7200)
    assert (after.level, after.expires_at) == (1.0, None)


def test_a_ramp_moves_in_steps_and_arrives(store: Store) -> None:
    """By r a minute, at most 10 s apart, each with a seq of its own and the same etag, none in the log."""
    start = cell(store, SET, level=0.85, ramp_per_min=0.3)
    assert (start.level, start.effective_level, start.state, start.ramp_per_min) == (
        0.85,
        1.0,
        "ramping",
        0.3,
    )
    entries, seq = log(store), store.held.seq
    levels = []
    for second in range(1, 40):
        store.tick(NOW + second)
        now = store.held.throttles["voice", "free"]
        levels.append(now.effective_level)
        assert now.etag == start.etag
        assert now.last_change == start.last_change
    assert sorted(set(levels), reverse=True) == [1.0, 0.975, 0.95, 0.925, 0.9, 0.875, 0.85]
    assert levels.index(0.975) == 4
    assert levels.index(0.85) == 29
    assert (now.state, now.ramp_per_min, store.held.seq) == ("applied", 0.3, seq + 6)
    assert log(store) == entries
    assert [one.kind for one in store.events_after(seq)] == ["throttle"] * 6


def test_a_new_setting_stops_a_ramp_where_it_is(store: Store) -> None:
    """It starts from what is in force; without a ramp of its own it applies at once."""
    cell(store, SET, level=0.5, ramp_per_min=0.1)
    turned = cell(store, SET, now=NOW + 62, level=0.8, ramp_per_min=0.2)
    assert (turned.level, turned.effective_level, turned.state) == (0.8, 0.9, "ramping")
    assert turned.revert_to == wire.Revert(0.5)
    store.tick(NOW + 62 + 30)
    assert store.held.throttles["voice", "free"].effective_level == 0.8
    cell(store, SET, now=NOW + 100, level=0.1, ramp_per_min=0.1)
    at_once = cell(store, SET, now=NOW + 130, level=0.1)
    assert (at_once.effective_level, at_once.state, at_once.ramp_per_min) == (0.1, "applied", None)
    assert store.held.next_due > NOW + 130 + 60


def test_nothing_is_due_between_the_steps(store: Store) -> None:
    """A tick costs nothing until the next step, end or gate."""
    cell(store, SET, level=0.5, ramp_per_min=0.1)
    for step in range(1, 60):
        assert store.held.next_due == pytest.approx(NOW + 5 * step)
        held = store.held
        store.tick(NOW + 5 * step - 0.1)
        assert store.held is held
        store.tick(NOW + 5 * step)
    store.tick(NOW + 300)
    assert store.held.throttles["voice", "free"].state == "applied"
    assert store.held.next_due == NOW + 900


def test_a_late_tick_finds_the_ramp_where_it_should_be(store: Store) -> None:
    """Nobody looked: an end and the ramp after it began at their times, not when somebody looks."""
    cell(store, SET, level=0.2, ttl_s=100)
    store.tick(NOW + 100 + 123)
    late = store.held.throttles["voice", "free"]
    assert (late.level, late.effective_level, late.state) == (1.0, 0.4, "ramping")
    store.tick(NOW + 100 + 480)
    assert store.held.throttles["voice", "free"].effective_level == 1.0


def test_two_ends_that_nobody_saw(store: Store) -> None:
    """Each happened at its time, and each is in the log."""
    cell(store, SET, IMAGES, level=0.1, ttl_s=1800, return_ramp_per_min=None)
    store.tick(NOW + 7200 + 61)
    after = store.held.throttles["image-generation", "free"]
    assert (after.level, after.effective_level, after.state) == (1.0, 0.4, "ramping")
    assert [one.actor for one in log(store)[:3]] == ["system:expiry", "system:expiry", "alice"]
    assert log(store)[1].after == {"level": 0.3, "expires_at": wire.render_time(NOW + 7200)} | {
        "return_ramp_per_min": 0.1,
        "revert_to": None,
    }


def test_a_clock_that_steps_back_takes_nothing_back(store: Store) -> None:
    """What is in force stays until the clock is there again."""
    cell(store, SET, level=0.5, ramp_per_min=0.1)
    store.tick(NOW + 60)
    cell(store, SET, "chat/pro", now=NOW - 3600, level=0.5)
    store.tick(NOW - 3000)
    assert store.held.throttles["voice", "free"].effective_level == 0.9
    store.tick(NOW + 120)
    assert store.held.throttles["voice", "free"].effective_level == 0.8


def test_units_without_a_baseline(store: Store) -> None:
    """A limit and a level say nothing of each other, and a ramp of no level is none: 422."""
    problem = refusal(store, command(store, SET, VOICE, limit=100))
    assert (problem.status, problem.code) == (422, "no-baseline")
    one = store.held.throttles["voice", "free"]
    store.put_throttle(
        msgspec.structs.replace(one, unit="rpm", level=None, effective_level=None, limit=100.0), now=NOW
    )
    seen = {"limit": 100}
    for given in ({"level": 0.5}, {"limit": 50}, {"limit": 50, "ramp_per_min": 0.1}):
        problem = refusal(store, command(store, SET, VOICE, seen=seen, **given))
        assert (problem.status, problem.code) == (422, "no-baseline")
    assert refusal(store, command(store, CLEAR, VOICE, seen=seen)).code == "no-baseline"
    assert refusal(store, command(store, CLEAR, VOICE, seen={"limit": 99})).code == "stale-level"
    assert refusal(store, command(store, CLEAR, VOICE, seen={"level": None})).status == 428


def test_units_with_a_baseline(store: Store) -> None:
    """Limit and level move together."""
    one = store.held.throttles["voice", "free"]
    store.put_throttle(msgspec.structs.replace(one, unit="rpm", limit=200.0, baseline=200.0), now=NOW)
    after = cell(store, SET, limit=50, ttl_s=60, return_ramp_per_min=None)
    assert (after.level, after.limit, after.effective_level) == (0.25, 50, 0.25)
    assert cell(store, SET, level=0.5).limit == 100
    assert refusal(store, command(store, SET, VOICE, limit=201)).status == 400
    assert cell(store, CLEAR, revert_to="open").limit == 200
