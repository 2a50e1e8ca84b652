"""How far a release has come: one glyph a tier, alone or on a track with the tiers' names."""

from collections.abc import Sequence

from collectors.fleet import ALL_TIERS, Release, Tier
from tui.format import UNICODE, Glyphs

EVERYONE = "*"
"""The tier of a stage or an exposure that tells none apart."""


def staged_tiers(tiers: Sequence[Tier]) -> tuple[Tier, ...]:
    """Tiers that a release can open one by one: that of whole waits is none, unless it is all there is."""
    return tuple(tier for tier in tiers if tier.name != ALL_TIERS) or tuple(tiers)


def stage_glyphs(release: Release | None, tiers: Sequence[Tier], glyphs: Glyphs = UNICODE) -> tuple[str, ...]:
    """One glyph a tier: released, partial, paused by an operator, not released; a dash where none tells.

    It follows what is asked for (the desired exposure), not what a metric sees.
    """
    if release is None:
        return (glyphs.dash,) * len(tiers)
    desired = {one.tier: one.desired for one in release.exposure}
    by_operator = release.phase == "paused" and release.pause_reason == "operator"
    paused = _current_tier(release) if by_operator else None
    return tuple(
        glyphs.paused
        if paused in (tier.name, EVERYONE)
        else _glyph(desired.get(tier.name, desired.get(EVERYONE)), glyphs)
        for tier in tiers
    )


def stage_track(release: Release | None, tiers: Sequence[Tier], glyphs: Glyphs = UNICODE) -> str:
    """The glyphs with the tiers' titles on one track: `●Pro─●Plus─◐Team─○Free`."""
    shown = staged_tiers(tiers)
    made = stage_glyphs(release, shown, glyphs)
    return glyphs.rule.join(glyph + tier.title for glyph, tier in zip(made, shown, strict=True))


def weight(release: Release | None, tiers: Sequence[Tier]) -> float | None:
    """Share of the farthest tier the release has reached; 0 before the first, None where nobody tells."""
    if release is None or not release.exposure:
        return None
    desired = {one.tier: one.desired for one in release.exposure}
    everyone = desired.get(EVERYONE)
    reached = [share for tier in tiers if (share := desired.get(tier.name, everyone))]
    return reached[-1] if reached else 0.0


def _current_tier(release: Release) -> str | None:
    if release.stage_index is None or not 0 <= release.stage_index < len(release.stages):
        return None
    return release.stages[release.stage_index].tier


def _glyph(share: float | None, glyphs: Glyphs) -> str:
    if share is None:
        return glyphs.dash
    return glyphs.released if share >= 1 else glyphs.partial if share > 0 else glyphs.closed
