"""How far a release has come: one glyph a tier, alone or on a track with the tiers' names."""

from collections.abc import Sequence

from collectors.fleet import Release, Tier
from tui.format import UNICODE, Glyphs


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
        glyphs.paused if paused in (tier.name, "*") else _glyph(desired.get(tier.name), glyphs)
        for tier in tiers
    )


def stage_track(release: Release | None, tiers: Sequence[Tier], glyphs: Glyphs = UNICODE) -> str:
    """The glyphs with the tiers' titles on one track: `●Pro─●Plus─◐Team─○Free`."""
    made = stage_glyphs(release, tiers, glyphs)
    return glyphs.rule.join(glyph + tier.title for glyph, tier in zip(made, tiers, strict=True))


def weight(release: Release | None, tiers: Sequence[Tier]) -> float | None:
    """Share of the farthest tier the release has reached; 0 before the first, None without a release."""
    if release is None:
        return None
    desired = {one.tier: one.desired for one in release.exposure}
    reached = [share for tier in tiers if (share := desired.get(tier.name))]
    return reached[-1] if reached else 0.0


def _current_tier(release: Release) -> str | None:
    if release.stage_index is None or not 0 <= release.stage_index < len(release.stages):
        return None
    return release.stages[release.stage_index].tier


def _glyph(share: float | None, glyphs: Glyphs) -> str:
    if share is None:
        return glyphs.dash
    return glyphs.released if share >= 1 else glyphs.partial if share > 0 else glyphs.closed
