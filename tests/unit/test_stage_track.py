"""How far a release has come."""

from dataclasses import replace

from collectors.fleet import Exposure, Tier
from tests.frames import TIERS, release
from tui.format import ASCII
from tui.widgets.stage_track import stage_glyphs, stage_track, staged_tiers, weight


def test_each_share_has_a_glyph() -> None:
    """Released, partial, closed; a tier the release does not name is a dash."""
    half = release("m", (1, 0.25, 0, 0))
    assert stage_glyphs(half, TIERS) == ("●", "◐", "○", "○")
    assert stage_glyphs(replace(half, exposure=half.exposure[:2]), TIERS) == ("●", "◐", "–", "–")
    assert stage_glyphs(None, TIERS) == ("–",) * 4


def test_only_an_operators_pause_is_shown_as_one() -> None:
    """A release that waits at its gate is where it should be."""
    paused = replace(release("m", (1, 0.25, 0, 0), phase="paused"), pause_reason="operator")
    assert stage_glyphs(paused, TIERS, ASCII) == ("#", "-", ".", ".")
    assert stage_glyphs(replace(paused, pause_reason="gate"), TIERS)[1] == "◐"
    everyone = replace(paused, stages=(paused.stages[0]._replace(tier="*"),), stage_index=0)
    assert stage_glyphs(everyone, TIERS) == ("◇",) * 4
    assert stage_glyphs(replace(paused, stage_index=99), TIERS)[1] == "◐"


def test_the_track_names_the_tiers() -> None:
    """As on wide screens."""
    assert stage_track(release("m", (1, 1, 0.25, 0)), TIERS) == "●Pro─●Plus─◐Team─○Free"


def test_a_share_of_everyone_is_that_of_each_tier() -> None:
    """Flagger tells one weight for all; Argo Rollouts tells none, which is not 0."""
    flagger = replace(release("m", (0, 0, 0, 0)), exposure=(Exposure("*", 0.3),))
    assert stage_glyphs(flagger, TIERS) == ("◐",) * 4
    assert weight(flagger, TIERS) == 0.3
    assert weight(replace(flagger, exposure=()), TIERS) is None


def test_whole_waits_are_no_stage() -> None:
    """The column of waits that no tier tells is opened by nothing, unless it is all there is."""
    everyone = Tier("all", "All")
    assert staged_tiers((*TIERS, everyone)) == TIERS
    assert staged_tiers((everyone,)) == (everyone,)
    assert stage_track(release("m", (1, 1, 0.25, 0)), (*TIERS, everyone)) == "●Pro─●Plus─◐Team─○Free"


def test_the_weight_is_that_of_the_farthest_stage() -> None:
    """Never a mean over tiers (D5)."""
    assert weight(release("m", (1, 1, 0.25, 0)), TIERS) == 0.25
    assert weight(release("m", (1, 1, 1, 1)), TIERS) == 1
    assert weight(release("m", (0, 0, 0, 0)), TIERS) == 0
    assert weight(None, TIERS) is None
