"""The banner of throttles that are about to end: five minutes before, with the way to extend them (S12)."""

from collections.abc import Iterable, Sequence

from collectors.fleet import Frame, Throttle
from tui.format import UNICODE, Glyphs, admit, duration, fit, percent, said, width_of
from tui.three_states import WARN_S, by_ramp, is_overdue, is_untold, left_s, returns_to
from tui.widgets.lines import Cell, Line

MARK = "T"
"""As on the timeline: a throttle."""


def ending_soon(throttles: Iterable[Throttle], now: float) -> list[Throttle]:
    """Those that end within five minutes, or should have ended by now, the soonest first."""
    timed = [(left, one) for one in throttles if (left := left_s(one, now)) is not None and left <= WARN_S]
    return [one for _, one in sorted(timed, key=lambda pair: (pair[0], pair[1].feature, pair[1].tier))]


def ending_lines(
    frame: Frame, now: float, width: int, glyphs: Glyphs = UNICODE, keys: Sequence[str] = ("u", "t")
) -> tuple[Line, ...]:
    """One line of `width` cells for the throttle that ends soonest, with a count of the others; none if none.

    now: by the plane's clock; keys: that extend one
    """
    ending = ending_soon(frame.throttles, now)
    if not ending:
        return ()
    texts = [said(text, glyphs) for text in _worded(ending, now, keys)]
    lead = f" {glyphs.no_data if is_untold(frame) else MARK} "
    room = width - width_of(lead)
    text = next((text for text in texts if width_of(text) <= room), texts[-1])
    return (Line((Cell(fit(lead + text, width, glyphs), "pending"),)),)


def _worded(ending: Sequence[Throttle], now: float, keys: Sequence[str]) -> Iterable[str]:
    """From all there is to say to what always fits."""
    first = ending[0]
    cell, left = f"{first.feature}/{first.tier}", left_s(first, now) or 0.0
    level = "?" if first.level is None else percent(first.level)
    overdue = is_overdue(first, now)
    ends = f"should have ended {duration(-left)} ago" if overdue else f"ends in {duration(left)}"
    short = f"{duration(-left)} overdue" if overdue else f"ends {duration(left)}"
    then = f", then {admit(returns_to(first))}"
    more = f"  +{len(ending) - 1} more" if len(ending) > 1 else ""
    few = f" +{len(ending) - 1}" if len(ending) > 1 else ""
    extends = f" · {' or '.join(keys)} extends" if keys else ""
    yield f"{cell}: {admit(first.level)} {ends}{then} {by_ramp(first.return_ramp_per_min)}{extends}{more}"
    yield f"{cell}: {admit(first.level)} {ends}{then}{extends}{more}"
    yield f"{cell}: {admit(first.level)} {ends}{extends}{few}"
    yield f"{cell}: {admit(first.level)} {ends}{few}"
    yield f"{cell} {level} {short}{few}"
    yield f"{short}{few} {cell}"
