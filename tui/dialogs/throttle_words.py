"""What a throttle's change does, or why it cannot be, in one line of plain words. Pure."""

from collections.abc import Sequence

from tui.format import counted
from tui.throttles import Move, afterwards, alike, minutes, moment, percentage, read_percent, span


def summary(
    named: str,
    changing: Sequence[Move],
    *,
    clears: bool,
    ramps: Sequence[float | None],
    seconds: int | None,
    until: float | None,
    left_out: int,
) -> str:
    """`images/free: admit 50% → admit 30% for 30 min, then back to admit 50%`.

    named: the cells in words; changing: those that change, at least one; left_out: how many do not
    ramps: of each, share a minute; seconds: None without an end; until: a time that is said instead of them
    """
    if clears:
        text = f"clear {named}: {_before(changing)} → {_after(changing)}"
    elif all(move.stays for move in changing):
        text = _longer(named, changing, seconds)
    else:
        text = f"{named}: {_before(changing)} → {_after(changing)}{_by(ramps)}{_time(seconds, until)}"
    text += _afterwards(changing)
    if len(changing) > 1:
        text += f" ({counted(str(len(changing)), 'cell')})"
    return f"{text}; {left_out} already so" if left_out else text


def _before(changing: Sequence[Move]) -> str:
    return span(move.cell.level for move in changing)


def _after(changing: Sequence[Move]) -> str:
    return span(move.level for move in changing)


def _by(ramps: Sequence[float | None]) -> str:
    paces = {pace for pace in ramps if pace is not None}
    if not paces:
        return ""
    some = " where it loosens," if None in ramps else ""
    return f" by {percentage(max(paces))} %/min{some}"


def _time(seconds: int | None, until: float | None) -> str:
    if seconds is None:
        return " until cleared"
    return f" for {minutes(seconds)}" if until is None else f" until {moment(until)}"


def _longer(named: str, changing: Sequence[Move], seconds: int | None) -> str:
    """The level stays: what happens to its time."""
    level, until = _after(changing), changing[0].course[0].until
    befores = {move.cell.expires_at for move in changing}
    if seconds is None:
        return f"{named}: {level} stays until cleared"
    if len(befores) > 1:
        return f"{named}: {level} stays for {minutes(seconds)} from now"
    before = befores.pop()
    if before is None:
        return f"{named}: {level} gets an end, {minutes(seconds)} from now"
    verb = "extend" if until >= before else "shorten"
    by = abs(until - before) // 60 * 60
    return f"{verb} {named}, {level}, by {minutes(by) if by else 'less than 1 min'}, to {moment(until)}"


def _afterwards(changing: Sequence[Move]) -> str:
    if len(changing) == 1:
        later = afterwards(changing[0].course, changing[0].cell.level)
        return f", {later}" if later else ""
    if not any(len(move.course) > 1 for move in changing):
        return ""
    nexts = [move.course[1].level if len(move.course) > 1 else move.course[0].level for move in changing]
    if all(alike(level, move.cell.level) for level, move in zip(nexts, changing, strict=True)):
        return ", then each back to what it was"
    return f", then {span(nexts)}"


def wrong_level(moves: Sequence[Move], typed: str) -> str:
    """Why no level can be set, a sentence; "" if one can. `typed`: an exact percentage, as typed."""
    if typed.strip() and isinstance(wrong := read_percent(typed), str):
        return f"Exact: {wrong}"
    for move in moves:
        cell = move.cell
        if cell.level is None:
            where = f"{cell.feature}/{cell.tier}"
            if cell.unit != "share":
                return f"{where} cannot be set by share: no baseline says how much {cell.unit} is all of it"
            return f"what is set for {where} is unknown, and nothing is changed unseen"
    if any(move.level is None for move in moves):
        return f"they differ, {_before(moves)}: choose what to admit"
    return ""


def way_back(changing: Sequence[Move]) -> str:
    """How fast cells go back when they are cleared, where they tell it and agree."""
    paces = {move.cell.return_ramp_per_min for move in changing}
    if len(paces) != 1 or (pace := paces.pop()) is None:
        return ""
    return f"back by {percentage(pace)} %/min"
