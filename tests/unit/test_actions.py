"""Every action can be done, or says why it cannot."""

from collectors.intents import OPERATIONS
from tui.actions import ACTIONS, CONFIRMING, DIALOG_KEYS, dead_key
from tui.keymap import DEFAULT_KEYS


def test_what_changes_the_fleet_is_named_as_the_contract_names_it() -> None:
    """S15: so that the plane's own word on it can be looked up."""
    for action in ("throttle.edit", "stage.advance", "stage.pause", "stage.back_out"):
        assert ACTIONS[action].operation in OPERATIONS
        assert ACTIONS[action].missing == ""


def test_what_is_missing_says_so() -> None:
    """D16: a key for a later feature answers in a sentence."""
    for action in ACTIONS.values():
        assert action.label
        assert not action.missing or "not in this version" in action.missing


def test_the_keys_of_later_features_are_taken() -> None:
    """They keep their meaning for good, so that no habit has to be unlearned."""
    for key in "xzH:":
        assert ACTIONS[DEFAULT_KEYS[key]].missing
    assert not any(ACTIONS[DEFAULT_KEYS[key]].missing for key in "tapBuWL[]{},.<>eE+-@bdmiV")
    assert not ACTIONS[DEFAULT_KEYS["space"]].missing


def test_no_replay_key_leads_to_a_write() -> None:
    """S14: in a replay there is nothing to write with; its keys only look."""
    for action in ACTIONS.values():
        assert not (action.in_replay and action.operation)


def test_a_key_of_two_meanings_names_an_action_for_both() -> None:
    """No letter changes meaning between modes, but the pair that pages live and steps in a replay."""
    assert {a.id: a.live for a in ACTIONS.values() if a.live} == {
        "replay.step": "heat.next",
        "replay.step_back": "heat.previous",
    }


def test_a_dialog_has_one_key_that_applies() -> None:
    """S2: it is no key of a screen, and help tells of it."""
    assert CONFIRMING not in DEFAULT_KEYS
    assert [key for key, words in DIALOG_KEYS if words.startswith("apply")] == [CONFIRMING]


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
