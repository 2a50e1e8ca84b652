"""Which keys count: what was typed ahead is dropped, what was pasted presses nothing, `y` stands alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.guards import BURST_KEYS, BURST_S, HELD, HOLD_S, HURRIED, REPEAT_S, SETTLE_S, KeyGuard


def typed(guard: KeyGuard, text: str, start: float = 10.0, apart_s: float = 0.001) -> float:
    """Note each character; when the last one came."""
    for place, key in enumerate(text):
        guard.note(key, True, start + place * apart_s)
    return start + (len(text) - 1) * apart_s


@pytest.mark.parametrize(
    ("after_s", "is_early"), [(-1.0, True), (0.0, True), (0.399, True), (0.4, False), (9.0, False)]
)
def test_keys_are_early_for_a_while(after_s: float, is_early: bool) -> None:
    """S4: 400 ms from what changed; a key typed before that, but read later, is early as well."""
    guard = KeyGuard()
    assert not guard.is_early(100.0)
    guard.restart(100.0)
    assert guard.is_early(100.0 + after_s) is is_early


def test_a_later_change_holds_longer_and_none_holds_less() -> None:
    """The last change counts."""
    guard = KeyGuard()
    guard.restart(100.0)
    guard.restart(100.3)
    guard.restart(100.1)
    assert guard.is_early(100.69)
    assert not guard.is_early(100.71)


@pytest.mark.parametrize(
    ("text", "apart_s", "is_paste"),
    [
        ("yes, do it now", 0.001, True),
        ("abcdefgh", 0.99 * BURST_S / (BURST_KEYS - 1), True),
        ("abcdefgh", BURST_S / (BURST_KEYS - 1) + 0.001, False),
        ("abcdefg", 0.001, False),
        ("jjjjjjjjjjjjjjjj", 0.001, False),
        ("jkjkjkjkjkjkjkjk", 0.001, False),
        ("jkljkljkl", 0.001, True),
        ("a person types this", 0.06, False),
    ],
    ids=["at once", "just fast", "just slow", "seven", "one key", "two keys", "three keys", "a person"],
)
def test_a_burst_is_a_paste(text: str, apart_s: float, is_paste: bool) -> None:
    """S5: 8 printable keys, 3 of them different, within 50 ms; a key that is held down is none."""
    guard = KeyGuard()
    typed(guard, text, apart_s=apart_s)
    assert guard.is_pasting is is_paste


def test_a_paste_ends_with_quiet() -> None:
    """Its keys are swallowed until 400 ms without any."""
    guard = KeyGuard()
    last = typed(guard, "pasted text")
    guard.note("y", True, last + SETTLE_S - 0.01)
    assert guard.is_pasting
    guard.note("y", True, last + 2 * SETTLE_S)
    assert not guard.is_pasting


def test_keys_without_a_character_are_no_part_of_a_burst_but_break_the_quiet() -> None:
    """Arrows held down are no paste; but `y` right behind one is not calm."""
    guard = KeyGuard()
    for place in range(20):
        guard.note(("up", "down", "left")[place % 3], False, 10 + place * 0.001)
    assert not guard.is_pasting
    guard.note("y", True, 10.1)
    assert guard.haste == HURRIED


@given(st.text(alphabet="abcy", min_size=2, max_size=40), st.floats(0.0, SETTLE_S - 0.01))
def test_no_character_of_a_paste_but_the_first_is_calm(text: str, apart_s: float) -> None:
    """However slow a paste comes: only its first key has quiet before it, and that waits for the second."""
    guard = KeyGuard()
    calm = []
    for place, key in enumerate(text):
        guard.note(key, True, 10 + place * apart_s)
        calm.append(not guard.haste)
    assert calm == [True] + [False] * (len(text) - 1)


@pytest.mark.parametrize("delay_s", [0.2, 0.5, 0.66, 1.0])
def test_a_key_held_down_is_calm_once(delay_s: float) -> None:
    """A `y` that repeats itself never fires when the dialog gets ready under it, however late it begins."""
    guard = KeyGuard()
    guard.note("y", True, 10.0)
    assert not guard.haste
    for place in range(100):
        guard.note("y", True, 10.0 + delay_s + place * 0.03)
        assert guard.haste


def test_a_y_behind_another_key_waits_no_longer_than_the_quiet() -> None:
    """The usual way, `1` for a reason and `y`, stays quick; `y` behind `y` is pressed again later."""
    guard = KeyGuard()
    guard.note("1", True, 10.0)
    guard.note("y", True, 11.0)
    assert not guard.haste
    guard.note("y", True, 11.7)
    assert guard.haste == HELD
    guard.note("y", True, 11.7 + REPEAT_S + 0.1)
    assert not guard.haste


def test_waiting_fits_the_budget() -> None:
    """`y` to the first byte is 20 ms at most: half of that is left for the way."""
    assert HOLD_S <= 0.01
