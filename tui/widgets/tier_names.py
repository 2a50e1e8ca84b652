"""Names of tiers where there is little room: short titles, and codes of a few cells."""

import re
from collections.abc import Sequence
from functools import lru_cache

from rich.cells import set_cell_size

from collectors.fleet import ALL_TIERS, Tier
from tui.format import fit, width_of

_WORD_END = re.compile(r"(?<=\w)(?:\s+|[_/:.-])")
_NUMBER = re.compile(r"-?[0-9]+")
_CODE_MOST = 4


@lru_cache(maxsize=64)
def short_titles(tiers: tuple[Tier, ...]) -> tuple[str, ...]:
    """Titles without the words that others begin with too, for narrow columns: `prio 100` is `100`.

    A number alone tells a tier too. Where what is left would not tell tiers apart, titles stay whole.
    """
    titles = [tier.title for tier in tiers]
    short = tuple(
        tier.title if tier.name == ALL_TIERS else _ending(tier.title, titles[:n] + titles[n + 1 :])
        for n, tier in enumerate(tiers)
    )
    return short if len(set(short)) == len(set(titles)) == len(titles) else tuple(titles)


def _ending(title: str, others: Sequence[str]) -> str:
    ends = [found.end() for found in _WORD_END.finditer(title) if found.end() < len(title)]
    for end in reversed(ends):
        if _NUMBER.fullmatch(title[end:]) or any(other.startswith(title[:end]) for other in others):
            return title[end:]
    return title


@lru_cache(maxsize=64)
def tier_codes(tiers: tuple[Tier, ...]) -> tuple[str, ...]:
    """Short codes of the tiers, all different: two cells of words, `Pr Pl Te Fr` (T5).

    Bare numbers stay whole up to four cells, `100 10 0 -10`; with a longer one tiers are counted: `#1 #2`.
    """
    short = short_titles(tiers)
    numbers = {title for tier, title in zip(tiers, short, strict=True) if tier.name != ALL_TIERS}
    if numbers and all(map(_NUMBER.fullmatch, numbers)) and len(set(short)) == len(short):
        if max(map(len, numbers)) <= _CODE_MOST:
            return tuple(fit(title, min(width_of(title), _CODE_MOST)) for title in short)
        return tuple(f"#{number}" for number in range(1, len(tiers) + 1))
    made: list[str] = []
    for number, tier in enumerate(tiers):
        title = short[number] or tier.name or "?"
        tries = [
            title[:2],
            *(title[0] + letter for letter in title[2:]),
            *(f"{title[0]}{n}" for n in range(10)),
        ]
        code = next((t for one in tries if (t := fit(set_cell_size(one, 2), 2)) not in made), "")
        made.append(code or f"{number:02d}"[-2:])
    return tuple(made)
