"""Which columns the fleet table has at a width, and how wide each is (T1).

Columns come in the order of T1 while they fit and so drop from its right; waiting, KV cache and pool
saturation, which T1 does not name, come after the spark. What is left widens names, bars and sparks.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from collectors.fleet import Tier
from tui.format import fit, width_of
from tui.widgets.stage_track import staged_tiers
from tui.widgets.tier_names import short_titles, tier_codes

LEAD = 3
"""Cells for the cursor, the mark and a space."""

NAME_LEAST, NAME_USUAL, NAME_MOST = 8, 14, 40
NAME_CLUSTERED, NAME_CLUSTERED_ROOMY = 18, 24
"""Usual width of a name that ends in its cluster's, below ROOMY cells and from there on."""

ROOMY = 120
WIDE = 200
"""From this width on, quantiles show their bucket (D18)."""

WORST = 12
"""` ≈3.8/3.0`: value and objective, behind the tier's code."""

TIER, TIER_ROOMY = 7, 8
"""`▲ ≈14.9`: mark and value."""

TIER_WIDE = 26
"""`│≈1.2 ▲ 3.8 (3.2-4.0) ▆▇██`: p50, mark, p99, bucket, spark."""

TIER_TITLE = 14
"""Most cells for the sake of a tier's whole title."""

STAGES = 16
"""Most cells of a code for each tier; past that, the stage has a heading of its own."""

SPARK_WIDTHS = (8, 10, 12, 15, 20)
"""Each divides the steps that history keeps."""


class Column(NamedTuple):
    """One column: what it shows, cells without the space before it, its heading, and the tier's number."""

    id: str
    width: int
    title: str = ""
    right: bool = False
    tier: int = -1


class Columns(NamedTuple):
    """The columns from left to right. `hidden_tiers` have none, only their turn as the worst."""

    all: tuple[Column, ...]
    hidden_tiers: int

    @property
    def width(self) -> int:
        """Cells of a full line."""
        return LEAD + sum(column.width + 1 for column in self.all) - 1


@lru_cache(maxsize=64)
def fleet_columns(
    width: int,
    tiers: tuple[Tier, ...],
    longest_name: int,
    clustered: bool = False,
    staged: bool = True,
    throttled: bool = True,
) -> Columns:
    """The columns for a line of `width` cells, >= 1.

    longest_name: cells of the longest name; past the usual width it takes no column's room, so a name that
    appears in mid-incident moves no column away
    clustered: whether names end in that of their cluster, and so are usually longer
    staged, throttled: whether anything can tell stages and throttles; columns of dashes are left out
    """
    return _Choice(width, tiers, longest_name, clustered, staged, throttled).columns()


def stage_codes(tiers: tuple[Tier, ...]) -> tuple[str, ...]:
    """What stands above each tier's stage, with the space behind it; empty where each has one cell alone."""
    shown = staged_tiers(tiers)
    codes = tier_codes(shown)
    if all(width_of(code) == 2 for code in codes):
        return codes if len(codes) <= 4 else ()
    spaced = (*(f"{code} " for code in codes[:-1]), *codes[-1:])
    return spaced if sum(map(len, spaced)) <= STAGES else ()


class _Choice:
    """Spends the width, column by column."""

    def __init__(
        self,
        width: int,
        tiers: tuple[Tier, ...],
        longest_name: int,
        clustered: bool,
        staged: bool,
        throttled: bool,
    ) -> None:
        roomy = NAME_CLUSTERED_ROOMY if width >= ROOMY else NAME_CLUSTERED
        self.usual = min(roomy, longest_name) if clustered else NAME_USUAL
        self.width, self.tiers, self.longest_name = width, tiers, longest_name
        self.room = width - LEAD - NAME_LEAST
        self.name = NAME_LEAST
        self.got: dict[str, int] = {}
        self.tier_width = 0
        self.shown_tiers = 0
        self.staged, self.throttled = staged, throttled
        self.codes = tier_codes(tiers)
        self.stages = stage_codes(tiers)
        self.short_stage = max(sum(map(width_of, self.stages)), len(tiers), 5)
        self.worst = WORST + max(map(width_of, self.codes), default=2)

    def take(self, id: str, width: int) -> bool:
        """Have the column `id`, or have it `width` wide from now on; False if there is no room."""
        more = width - self.got[id] if id in self.got else width + 1
        if more > self.room:
            return False
        self.room -= more
        self.got[id] = width
        return True

    def widen_name(self, to: int) -> None:
        """Up to `to` cells, as far as there is room and a name that needs it."""
        more = max(0, min(to - self.name, self.room))
        self.name += more
        self.room -= more

    def columns(self) -> Columns:
        """Take in order of T1; the first column that does not fit ends the taking."""
        number = len(self.tiers)
        first = [("worst", self.worst)]
        first += [("stage", self.short_stage)] if self.staged else []
        first += [("throttle", 3)] if self.throttled else []
        then = (
            ("headroom", 4),
            ("weight", 4) if self.staged else ("accelerators", 5),
            ("busy", 4),
            ("bar", 6),
            ("spark", 8),
            ("waiting", 5),
            ("kv", 4),
            ("saturation", 4),
        )
        if all(self.take(id, wide) for id, wide in first):
            self.widen_name(max(self.usual, NAME_USUAL))
            if all(self.take(id, wide) for id, wide in then):
                self._take_tiers()
        self.widen_name(min(self.longest_name, NAME_MOST))
        if "bar" in self.got:
            self.take("bar", 8)
        for wide in SPARK_WIDTHS[1:]:
            if "spark" in self.got:
                self.take("spark", wide)
        return Columns(tuple(self._in_order()), number - self.shown_tiers)

    def _take_tiers(self) -> None:
        number = len(self.tiers)
        freed = self.worst + 1
        wide_room = self.room + freed + self.got["spark"] + 1
        if self.width >= WIDE and number * (TIER_WIDE + 1) <= wide_room:
            del self.got["spark"]
            self._instead_of_worst(TIER_WIDE, wide_room)
        elif number * (TIER + 1) <= self.room + freed:
            self._instead_of_worst(TIER, self.room + freed)
            if self.room >= number:
                self._widen_tiers(TIER_ROOMY)
            self.take("accelerators", 5)
            longest = max((width_of(tier.title) for tier in self.tiers), default=0)
            if longest > self.tier_width and longest <= TIER_TITLE:
                self._widen_tiers(longest)
        elif (some := (self.room - 4) // (TIER + 1)) > 0:
            self.tier_width, self.shown_tiers = TIER, some
            self.room -= some * (TIER + 1)
            self.take("more", 3)
            return
        else:
            return
        self.take("accelerators", 5)
        if self.staged:
            stages = staged_tiers(self.tiers)
            long_stage = sum(1 + width_of(tier.title) for tier in stages) + len(stages) - 1
            self.take("stage", max(long_stage, self.got["stage"]))

    def _widen_tiers(self, to: int) -> None:
        more = (to - self.tier_width) * len(self.tiers)
        if 0 < more <= self.room:
            self.tier_width = to
            self.room -= more

    def _instead_of_worst(self, wide: int, room: int) -> None:
        del self.got["worst"]
        self.tier_width, self.shown_tiers = wide, len(self.tiers)
        self.room = room - len(self.tiers) * (wide + 1)

    def _in_order(self) -> list[Column]:
        has = self.got
        made = [Column("name", self.name, "MODEL")]
        if "stage" in has:
            if has["stage"] > self.short_stage:
                made.append(Column("track", has["stage"], "STAGE"))
            else:
                codes = "".join(self.stages) if len(self.stages) > 2 else "STAGE"
                made.append(Column("stage", has["stage"], codes))
        plain = (
            ("weight", "WT%", True),
            ("accelerators", "GPUs", True),
            ("busy", "GPU%", True),
            ("bar", "", False),
            ("headroom", "HEAD", True),
            ("waiting", "WAIT", True),
            ("kv", "KV%", True),
            ("saturation", "SAT%", True),
            ("worst", "WORST p99/SLO", False),
        )
        made += [Column(id, has[id], title, right) for id, title, right in plain if id in has]
        wide = self.tier_width == TIER_WIDE
        for number, title in enumerate(self._wide_titles() if wide else self._titles()):
            made.append(Column("tier-wide" if wide else "tier", self.tier_width, title, not wide, number))
        if "more" in has:
            made.append(Column("more", has["more"], f"+{len(self.tiers) - self.shown_tiers}"))
        if "spark" in has:
            made.append(Column("spark", has["spark"], "10m p99"))
        if "throttle" in has:
            made.append(Column("throttle", has["throttle"], "THR"))
        return made

    def _titles(self) -> Iterator[str]:
        """Whole where all of them fit; a short one gets no `p99`, for `100 p99` would be a percentile."""
        width, shown = self.tier_width, self.tiers[: self.shown_tiers]
        are_whole = all(width_of(tier.title) <= width for tier in shown)
        for tier, short in zip(shown, short_titles(self.tiers), strict=False):
            title = tier.title if are_whole else short
            if are_whole and width_of(title) + 4 <= width:
                title += " p99"
            yield fit(title, width, right=True)

    def _wide_titles(self) -> Iterator[str]:
        """With all that a column holds where the titles leave room for it, else with less, but whole."""
        room = TIER_WIDE - 1
        longest = max((width_of(tier.title) for tier in self.tiers), default=0)
        between = " p50 p99 (lo-hi)"
        if longest + len(f"{between} 10m") > room:
            between = " p50 p99"
        titles = [tier.title for tier in self.tiers]
        if longest + len(f"{between} 10m") > room:
            titles = list(short_titles(self.tiers))
        for title in titles:
            name = fit(title, min(width_of(title), room - len(f"{between} 10m")))
            yield f"{fit(name + between, room - 4)} 10m"
