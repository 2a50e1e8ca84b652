"""Reasons by digit: none changes its meaning between two openings of the same kind of dialog."""

from hypothesis import given
from hypothesis import strategies as st

from tui.dialogs.reasons import (
    LOOSENING,
    OFFERED,
    ONWARD,
    OVERRIDING,
    RESUMING,
    STOPPING,
    TIGHTENING,
    Reasons,
)

KINDS = (TIGHTENING, LOOSENING, ONWARD, RESUMING, STOPPING, OVERRIDING)


def test_a_reason_of_another_dialog_moves_none() -> None:
    """An advance for a planned step, a throttle for a launch spike: a pause still has its own at 1."""
    reasons = Reasons()
    reasons.used("throttle images", "launch spike")
    assert tuple(reasons.offered(STOPPING)) == STOPPING
    reasons.used("advance aurora", "planned step")
    assert tuple(reasons.offered(STOPPING)) == STOPPING
    assert tuple(reasons.offered(ONWARD)) == ONWARD
    reasons.used("pause aurora", STOPPING[3])
    assert tuple(reasons.offered(STOPPING)) == STOPPING


def test_own_ones_stand_behind_the_usual_ones_in_the_order_of_their_first_use() -> None:
    """At the next free digit, everywhere, and there they stay however often they are used."""
    reasons = Reasons()
    for reason in ("storm", "storm is over", "storm"):
        reasons.used("throttle images", reason)
    assert list(reasons.offered(TIGHTENING)) == [*TIGHTENING, "storm", "storm is over"]
    assert list(reasons.offered(OVERRIDING)) == [*OVERRIDING, "storm", "storm is over"]


@given(
    st.lists(
        st.sampled_from(KINDS).flatmap(st.sampled_from)
        | st.sampled_from([f"own reason {number}" for number in range(12)]),
        max_size=30,
    )
)
def test_a_digit_keeps_its_reason_as_long_as_the_session_lasts(said: list[str]) -> None:
    """Whatever is said in between: what a digit meant once in a kind of dialog, it means from then on."""
    reasons = Reasons()
    before = {kind: tuple(kind) for kind in KINDS}
    for reason in said:
        reasons.used("some dialog", reason)
        for kind, was in before.items():
            now = tuple(reasons.offered(kind))
            assert now[: len(was)] == was
            assert len(set(now)) == len(now) <= OFFERED
            before[kind] = now


def test_the_digits_1_to_5_are_there_from_the_start() -> None:
    """All but those of an override, which are four; there is room for own ones behind all of them."""
    assert {len(kind) for kind in KINDS} == {4, 5}
    assert OFFERED == 9, "a key is one digit, and 0 is none"
