"""Names of tiers where there is little room."""

from collectors.fleet import ALL_TIERS, Tier
from tests.newcomer_frames import PRIORITIES
from tui.format import width_of
from tui.widgets.tier_names import short_titles, tier_codes

ALL = Tier(ALL_TIERS, "All")


def named(*titles: str) -> tuple[Tier, ...]:
    """Tiers of these titles."""
    return tuple(Tier(str(number), title) for number, title in enumerate(titles))


def test_tier_codes_all_differ() -> None:
    """T5: two cells a tier, whatever the titles are."""
    tiers = tuple(Tier(t, t) for t in ("Pro", "Plus", "Team", "Free"))
    assert tier_codes(tiers) == ("Pr", "Pl", "Te", "Fr")
    hostile = tuple(
        Tier(str(n), t) for n, t in enumerate(("Pro", "Prod", "Prop", "", "", "北京", "北海", "Pr"))
    )
    codes = tier_codes(hostile)
    assert len(set(codes)) == len(codes)
    assert {width_of(code) for code in codes} == {2}


def test_what_all_titles_begin_with_is_left_out() -> None:
    """Priorities as engines call them: `prio` four times tells nothing, and the minus stays."""
    assert short_titles(PRIORITIES) == tier_codes(PRIORITIES) == ("100", "10", "0", "-10")
    assert short_titles((*PRIORITIES, ALL)) == ("100", "10", "0", "-10", "All")
    assert tier_codes((PRIORITIES[2], ALL)) == ("0", "All")
    assert short_titles(named("tier-a", "tier-b", "Default")) == ("a", "b", "Default")


def test_titles_that_would_be_the_same_stay_whole() -> None:
    """Half a title that two tiers share is worse than a long one."""
    for titles in (("Pro EU", "Pro US", "Free EU", "Free US"), ("Team 1", "Pro 1"), ("Pro", "Plus")):
        assert short_titles(named(*titles)) == titles


def test_numbers_too_long_for_a_code_are_counted() -> None:
    """Priority classes of Kubernetes have ten digits: the first four of them may be the same."""
    assert tier_codes(named("prio 2000001000", "prio 2000000000", "prio 0")) == ("#1", "#2", "#3")
