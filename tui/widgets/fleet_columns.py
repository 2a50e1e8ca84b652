"""Which columns the fleet table has at a width, and how wide each is (T1).

Columns come in the order of T1 while they fit and so drop from its right; waiting, KV cache and pool
saturation, which T1 does not name, come after the spark. What is left widens names, bars and sparks.
"""

from functools import lru_cache
from typing import NamedTuple

from collectors.fleet import Tier
from tui.format import fit, tier_codes, width_of

LEAD = 3
"""Cells for the cursor, the mark and a space."""

NAME_LEAST, NAME_USUAL, NAME_MOST = 8, 14, 40
NAME_CLUSTERED, NAME_CLUSTERED_ROOMY = 18, 24
"""Usual width of a name that ends in its cluster's, below ROOMY cells and from there on."""

ROOMY = 120
WIDE = 200
"""From this width on, quantiles show their bucket (D18)."""

WORST = 14
"""`Te  ≈3.8/3.0`: tier, value, objective."""

TIER, TIER_ROOMY = 7, 8
"""`▲ ≈14.9`: mark and value."""

TIER_WIDE = 26
"""`│≈1.2 ▲ 3.8 (3.2-4.0) ▆▇██`: p50, mark, p99, bucket, spark."""

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
def fleet_columns(width: int, tiers: tuple[Tier, ...], longest_name: int, clustered: bool = False) -> Columns:
    """The columns for a line of `width` cells, >= 1.

    longest_name: cells of the longest model name; clustered: whether names end in that of their cluster
    """
    return _Choice(width, tiers, longest_name, clustered).columns()


class _Choice:
    """Spends the width, column by column."""

    def __init__(self, width: int, tiers: tuple[Tier, ...], longest_name: int, clustered: bool) -> None:
        roomy = NAME_CLUSTERED_ROOMY if width >= ROOMY else NAME_CLUSTERED
        self.usual = min(roomy, longest_name) if clustered else NAME_USUAL
        self.width, self.tiers, self.longest_name = width, tiers, longest_name
        self.room = width - LEAD - NAME_LEAST
        self.name = NAME_LEAST
        self.got: dict[str, int] = {}
        self.tier_width = 0
        self.shown_tiers = 0
        self.codes = len(tiers) <= 4
        self.short_stage = max(2 * len(tiers) if self.codes else len(tiers), 5)

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
        first = (("worst", WORST), ("stage", self.short_stage), ("throttle", 3))
        then = (
            ("headroom", 4),
            ("weight", 4),
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
        freed = WORST + 1
        wide_room = self.room + freed + self.got["spark"] + 1
        if self.width >= WIDE and number * (TIER_WIDE + 1) <= wide_room:
            del self.got["spark"]
            self._instead_of_worst(TIER_WIDE, wide_room)
        elif number * (TIER + 1) <= self.room + freed:
            self._instead_of_worst(TIER, self.room + freed)
            if self.room >= number:
                self.tier_width = TIER_ROOMY
                self.room -= number
        elif (some := (self.room - 4) // (TIER + 1)) > 0:
            self.tier_width, self.shown_tiers = TIER, some
            self.room -= some * (TIER + 1)
            self.take("more", 3)
            return
        else:
            return
        self.take("accelerators", 5)
        long_stage = sum(1 + width_of(tier.title) for tier in self.tiers) + number - 1
        self.take("stage", max(long_stage, self.got["stage"]))

    def _instead_of_worst(self, wide: int, room: int) -> None:
        del self.got["worst"]
        self.tier_width, self.shown_tiers = wide, len(self.tiers)
        self.room = room - len(self.tiers) * (wide + 1)

    def _in_order(self) -> list[Column]:
        has, codes = self.got, tier_codes(self.tiers)
        made = [Column("name", self.name, "MODEL")]
        if "stage" in has:
            if has["stage"] > self.short_stage:
                made.append(Column("track", has["stage"], "STAGE"))
            else:
                made.append(
                    Column(
                        "stage", has["stage"], "".join(codes) if self.codes and len(codes) > 2 else "STAGE"
                    )
                )
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
        for number in range(self.shown_tiers):
            title = self.tiers[number].title
            if self.tier_width == TIER_WIDE:
                made.append(
                    Column("tier-wide", TIER_WIDE, f"{codes[number]} p50 p99 (lo-hi)   10m", False, number)
                )
            else:
                long = f"{title} p99"
                title = long if width_of(long) <= self.tier_width else title
                made.append(
                    Column("tier", self.tier_width, fit(title, self.tier_width, right=True), True, number)
                )
        if "more" in has:
            made.append(Column("more", has["more"], f"+{len(self.tiers) - self.shown_tiers}"))
        if "spark" in has:
            made.append(Column("spark", has["spark"], "10m p99"))
        if "throttle" in has:
            made.append(Column("throttle", has["throttle"], "THR"))
        return made
