"""Shares, durations and reasons as they are typed."""

import argparse

import pytest

from tui.runbook import amounts


@pytest.mark.parametrize(
    ("text", "share"),
    [("0.3", 0.3), ("30%", 0.3), ("0", 0.0), ("1", 1.0), ("100%", 1.0), ("12.345%", 0.1235)],
)
def test_shares(text: str, share: float) -> None:
    """As a share or in percent, to four decimals."""
    assert amounts.share(text) == share


@pytest.mark.parametrize(("text", "level"), [("T3", 0.3), ("t0", 1.0), ("T5", 0.0), ("30%", 0.3)])
def test_levels(text: str, level: float) -> None:
    """As a share, or by the name that the screens give it."""
    assert amounts.level(text) == level


@pytest.mark.parametrize("text", ["T6", "30", "T"])
def test_what_is_no_level(text: str) -> None:
    """Refused with the names that there are."""
    with pytest.raises(argparse.ArgumentTypeError, match=r"no share: .*; or a level by its name: T0 100%"):
        amounts.level(text)


@pytest.mark.parametrize("text", ["300%", "-0.1", "2", "nan", "inf", "", "a", "1e400", "0,3"])
def test_what_is_no_share(text: str) -> None:
    """Refused with what is allowed; a bare percent is guessed."""
    with pytest.raises(argparse.ArgumentTypeError, match="no share"):
        amounts.share(text)


def test_a_percent_without_its_sign_is_guessed() -> None:
    """30 is not taken for 30 %, which would be a guess about a write, but told."""
    with pytest.raises(argparse.ArgumentTypeError, match="did you mean 30%"):
        amounts.share("30")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("1h30m", 5400), ("2d", 172_800), ("7d", 604_800)]
)
def test_spans(text: str, seconds: int) -> None:
    """In days, hours, minutes and seconds."""
    assert amounts.time_to_live(text) == amounts.span(text) == seconds


@pytest.mark.parametrize("text", ["-5m", "5", "0s", "", "m", "5 m", "5m x", "1w", "8d", "1e3s"])
def test_what_is_no_time_to_live(text: str) -> None:
    """Negative, without a unit, zero, or over a week."""
    with pytest.raises(argparse.ArgumentTypeError, match=r"no duration|over 7 d"):
        amounts.time_to_live(text)


def test_until_cleared_has_no_end() -> None:
    """Said in words: it is never the default."""
    assert amounts.time_to_live("until-cleared") is None


@pytest.mark.parametrize("text", ["ab", "", "  a  ", "x" * 501, "tab\there", "esc\x1b[2J"])
def test_what_is_no_reason(text: str) -> None:
    """Too short, too long, or not printable."""
    with pytest.raises(argparse.ArgumentTypeError, match="3 to 500"):
        amounts.reason(text)
