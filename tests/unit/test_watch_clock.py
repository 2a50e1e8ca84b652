"""The watched clock between two polls: a simulated fleet that fell behind takes no time back."""

from contextlib import aclosing
from dataclasses import dataclass

import pytest

from collectors.config import Context
from collectors.fleet import SourceHealth, SourceState
from collectors.signals.catalogue import Answer, Definition, Metric, Poll, Row
from collectors.watch import loop
from collectors.watch.lane import SIMULATED_STACK
from collectors.watch.loop import HELD_S, Watch
from tests.frames import AT

SPEED, TICK_S = 20.0, 0.02
WAITING = Definition("waiting", "vllm", "engine", "gauge", (Metric("m"),), ())


@dataclass
class Machine:
    """Our own clock and the source's, in seconds since both began: they move only when they are told to."""

    own: float = 0.0
    source: float = 0.0
    stacks: tuple[str, ...] = ("vllm", SIMULATED_STACK)
    name: str = "p"
    asked: int = 0
    latency_s: float = 0.0

    def monotonic(self) -> float:
        return self.own

    def time(self) -> float:
        return AT - 1e7 + self.own

    def pass_by(self, own: float, source: float) -> None:
        """Time passes, for the source perhaps less of it than it should be."""
        self.own, self.source = self.own + own, self.source + source

    async def poll(self) -> Poll:
        self.asked += 1
        at = AT + self.source
        answers = (Answer(WAITING, (Row({"model_name": "m"}, 7.0),), at),)
        health = SourceHealth(self.name, "scrape", SourceState.OK, at, self.latency_s)
        return Poll(self.name, at, 5.0, answers, (), self.stacks, health)

    async def aclose(self) -> None:
        pass


async def told(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, speed: float, *moves: tuple[float, float]
) -> list[float]:
    """Seconds since the beginning that frames tell once a poll was read: the first, and one after each move.

    moves: as `Machine.pass_by`
    """
    monkeypatch.setattr(loop, "time", machine)
    watch = Watch("t", Context(), [machine], speed=speed, poll_s=TICK_S, tick_s=TICK_S)
    found: list[float] = []
    left, asked = list(moves), 0
    try:
        async with aclosing(watch.frames()) as frames:  # type: ignore[type-var]  # an async generator
            async for frame in frames:
                # What was asked for after the move has been read before the next poll is asked for.
                if machine.asked < asked + 2:
                    continue
                found.append(round(frame.at - AT, 3))
                if not left:
                    break
                machine.pass_by(*left.pop(0))
                asked = machine.asked
    finally:
        await watch.aclose()
    return found


async def test_a_simulated_fleet_that_fell_behind_takes_no_time_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """It lost three seconds of five: the clock, which ran on meanwhile, stands until it has caught up."""
    found = await told(Machine(), monkeypatch, SPEED, (5, 40), (2, 40), (1, 20), (5, 100))
    assert found == [0, 100, 100, 100, 200]


async def test_a_simulated_fleet_that_leaps_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forwards a correction takes nothing away."""
    assert await told(Machine(), monkeypatch, SPEED, (5, 140), (5, 100)) == [0, 140, 240]


async def test_a_simulated_fleet_that_began_anew_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own clock went back, by however little."""
    assert await told(Machine(), monkeypatch, SPEED, (5, 100), (1, -40)) == [0, 100, 60]


async def test_a_simulated_fleet_that_stood_for_long_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was stopped for minutes: a clock that stands as long again would be of no use."""
    found = await told(Machine(), monkeypatch, SPEED, (HELD_S + 5, 60))
    assert found == [0, 60]


async def test_a_real_clock_that_was_set_back_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is what its server says, and the recording tells that it was set."""
    found = await told(Machine(stacks=("vllm",)), monkeypatch, 1.0, (5, 5), (5, 2))
    assert found == [0, 5, 7]


async def test_a_source_that_answers_slowly_sets_no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says when it was asked: an answer that took three seconds is of three seconds ago."""
    machine = Machine(stacks=("vllm",), latency_s=3.0)
    found = await told(machine, monkeypatch, 1.0, (8, 5), (5, 8), (6, 4))
    assert found == [0, 8, 13, 19]


async def test_a_source_whose_first_answer_was_slow_is_caught_up_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Time leaps forward once, by what that answer took."""
    machine = Machine(stacks=("vllm",), latency_s=0.1)
    assert await told(machine, monkeypatch, 1.0, (5, 8), (5, 5)) == [0, 8, 13]
