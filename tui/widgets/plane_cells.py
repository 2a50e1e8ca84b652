"""What the control plane says, as cells of the fleet table: stages, weight, the lowest throttle."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from collectors.fleet import Frame, Model, Release, Throttle, Tier
from tui.format import Glyphs, fit, level, width_of
from tui.widgets.fleet_columns import Column, stage_codes
from tui.widgets.lines import Cell
from tui.widgets.stage_track import stage_glyphs, stage_track, staged_tiers, weight


def is_staged(frame: Frame) -> bool:
    """True where something tells stages: a release, or a control plane that may tell one any moment."""
    return bool(frame.releases) or _has_plane(frame)


def is_throttled(frame: Frame) -> bool:
    """True where something tells throttles, if only that nothing is throttled."""
    return bool(frame.throttles) or _has_plane(frame) or any(m.throttle is not None for m in frame.models)


def _has_plane(frame: Frame) -> bool:
    return any(one.kind == "plane" for one in frame.sources)


def stage_cells(
    release: Release | None, tiers: tuple[Tier, ...], column: Column, glyphs: Glyphs, untold: bool = False
) -> list[Cell]:
    """The stage, on a track with names where the column is one, else as glyphs alone."""
    role = "stale" if untold and release is not None else "text"
    if column.id == "track":
        return [Cell(fit(stage_track(release, tiers, glyphs), column.width, glyphs), role)]
    made, codes = stage_glyphs(release, staged_tiers(tiers), glyphs), stage_codes(tiers)
    if codes:
        text = "".join(fit(glyph, width_of(code)) for glyph, code in zip(made, codes, strict=True))
    else:
        text = (" " if column.width >= 2 * len(made) else "").join(made)
    return [Cell(fit(text, column.width, glyphs), role)]


def weight_cells(
    release: Release | None, tiers: tuple[Tier, ...], column: Column, glyphs: Glyphs, untold: bool = False
) -> list[Cell]:
    """The weight of the farthest stage, in percent; `~` before it where the plane no longer says so."""
    share = weight(release, tiers)
    if share is None:
        return [Cell(fit(glyphs.dash, column.width, glyphs, right=True))]
    text = f"{glyphs.no_data if untold else ''}{round(share * 100)}"
    return [Cell(fit(text, column.width, glyphs, right=True), "stale" if untold else "text")]


def throttle_cells(
    share: float | None,
    column: Column,
    glyphs: Glyphs,
    untold: bool = False,
    ramping: bool = False,
    parted: bool = False,
) -> list[Cell]:
    """A throttle level; `~` before it where the plane no longer says so, a mark behind it while it ramps, and
    `≠` where what was set, what is in force and what is seen have parted."""
    if share is None:
        return [Cell(fit(level(share, glyphs), column.width), "unknown")]
    before = glyphs.no_data if untold else ""
    behind = "" if untold else glyphs.differs if parted else glyphs.ramping if ramping else ""
    told = level(share, glyphs)
    if before or behind:
        # The sign matters more than that of percent.
        whole = f"{before}{told}{behind}"
        told = whole if width_of(whole) <= column.width else f"{before}{told.removesuffix('%')}{behind}"
    role = "stale" if untold else "suspect" if parted else "pending" if ramping else "text"
    return [Cell(fit(told, column.width, glyphs), role)]


class Lowest(NamedTuple):
    """The lowest level in force among the cells of a feature, and whether that one is ramping.

    share: 1 where nothing throttles it; None where some cell is not known
    """

    share: float | None
    ramping: bool


def lowest_levels(throttles: Iterable[Throttle]) -> dict[str, Lowest]:
    """Of every feature that has cells."""
    found: dict[str, Lowest] = {}
    for one in throttles:
        here, before = one.in_force, found.get(one.feature)
        if before is not None and before.share is None:
            continue
        if here is None or before is None or before.share is None or here < before.share:
            found[one.feature] = Lowest(here, one.state == "ramping")
        elif here == before.share and one.state == "ramping":
            found[one.feature] = Lowest(here, True)
    return found


def is_ramping(model: Model, lowest: Mapping[str, Lowest]) -> bool:
    """Whether the throttle that the model's row shows is on its way."""
    found = [one for feature in model.features if (one := lowest.get(feature)) is not None]
    return any(one.ramping and one.share == model.throttle for one in found)
