"""Every action can be done, or says why it cannot."""

from tui.actions import ACTIONS, dead_key
from tui.keymap import DEFAULT_KEYS


def test_what_changes_the_fleet_says_that_it_is_missing() -> None:
    """D16: a key for a later feature answers in a sentence."""
    for action in ACTIONS.values():
        assert action.label
        if action.operation is not None:
            assert "not in this version" in action.missing


def test_the_keys_of_later_features_are_taken() -> None:
    """They keep their meaning for good, so that no habit has to be unlearned."""
    for key in "tapBuWxzLH:":
        assert ACTIONS[DEFAULT_KEYS[key]].missing
    assert ACTIONS[DEFAULT_KEYS["space"]].missing


def test_alerts_are_listed_and_opened() -> None:
    """They only look, so nothing greys them, and no dead sentence about them is left."""
    for key in "A!":
        action = ACTIONS[DEFAULT_KEYS[key]]
        assert action.operation is None
        assert action.missing == ""


def test_a_dead_key_is_named_and_cleaned() -> None:
    """Whatever the terminal sends as a key name is drawn as plain text."""
    assert dead_key("y") == "y does nothing here; ? lists the keys"
    assert "\x1b" not in dead_key("\x1b[31m")
