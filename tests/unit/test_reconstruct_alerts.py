"""Alerts of the past from a server that answers for everything but them, or for nothing."""

import pytest

from collectors.config import PrometheusServer
from collectors.fleet import SourceState
from collectors.prometheus.wire import Refused, Vector
from collectors.reconstruct.alerts import PastAlerts
from collectors.reconstruct.ranges import Unanswered
from tests.unit.test_reconstruct import Scripted, firing, told_at

TOO_LARGE = Refused("sent more than 8 MB", "Keep fewer labels", too_large=True)
SILENT = Refused("did not answer within 10 s", "Later")
ABSURD = Refused("answered with what cannot be reckoned with", "Check")


class Selective(Scripted):
    """A server that answers plain questions while `is_alive`."""

    is_alive = True

    async def instant(self, query: str, at: float) -> Vector:
        if not self.is_alive:
            raise Unanswered(Refused("cannot be reached", "Start it"))
        return Vector([])


@pytest.mark.parametrize("refused", [TOO_LARGE, SILENT, ABSURD])
async def test_alerts_that_cannot_be_had_while_others_answer_cost_themselves_alone(refused: Refused) -> None:
    """Of one stretch, and no more: behind it they are told again. It is asked once a stretch, at most."""

    def answer(first: int, last: int) -> list[dict[str, object]]:
        if first <= 18 <= last:
            raise refused
        return [firing({"alertname": "Hot"}, first, last, 100.0)]

    ranges = Selective(answer)  # type: ignore[arg-type]  # called like it
    alerts = PastAlerts(PrometheusServer(url="http://p"), ranges)
    ranges.begin(64)
    polls = [await told_at(alerts, step) for step in range(64)]
    partial_at = [step for step, poll in enumerate(polls) if poll.health.state is SourceState.PARTIAL]
    assert partial_at in ([*range(16, 32)], [*range(18, 32)])
    errors = {polls[step].health.error for step in partial_at}
    assert errors == {f"asked for alerts, it {refused}. There are none of some minutes."}
    assert all(poll.told for step, poll in enumerate(polls) if step not in partial_at)


async def test_alerts_that_nobody_answers_for_are_not_waited_for_again_and_again() -> None:
    """After two stretches they are not asked for any more, in all of the run, and that is told."""

    def answer(first: int, last: int) -> list[dict[str, object]]:
        raise SILENT

    ranges = Selective(answer)  # type: ignore[arg-type]  # called like it
    for begin in (0, 500):
        alerts = PastAlerts(PrometheusServer(url="http://p"), ranges)
        ranges.begin(begin + 500)
        polls = [await told_at(alerts, step) for step in range(begin, begin + 500)]
        assert {poll.health.state for poll in polls} == {SourceState.PARTIAL}
    assert len(ranges.asked) <= 6, "halved to one step in the first stretch, and once more in the second"
    assert polls[-1].health.error == (
        "asked for alerts, it did not answer within 10 s. "
        "It was not asked again: from here on there are none."
    )


async def test_alerts_that_are_too_large_are_asked_for_in_each_stretch() -> None:
    """A storm ends, and costs no wait."""

    def answer(first: int, last: int) -> list[dict[str, object]]:
        if first < 80:
            raise TOO_LARGE
        return [firing({"alertname": "Hot"}, first, last, 100.0)]

    ranges = Selective(answer)  # type: ignore[arg-type]  # called like it
    alerts = PastAlerts(PrometheusServer(url="http://p"), ranges)
    ranges.begin(96)
    assert [bool((await told_at(alerts, step)).told) for step in range(96)] == [False] * 80 + [True] * 16


async def test_a_server_that_answers_nothing_at_all_ends_it() -> None:
    """What was done stays: it goes on from there."""

    def answer(first: int, last: int) -> list[dict[str, object]]:
        raise SILENT

    ranges = Selective(answer)  # type: ignore[arg-type]  # called like it
    ranges.is_alive = False
    ranges.begin(64)
    with pytest.raises(Unanswered, match=r"cannot be reached\. Start it"):
        await told_at(PastAlerts(PrometheusServer(url="http://p"), ranges), 3)
