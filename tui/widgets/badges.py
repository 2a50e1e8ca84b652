"""Badges in words, so that no colour is needed: whether writes are on, who we are, what we may do."""

import re

from collectors.fleet import Frame
from collectors.intents import PlaneFacts
from tui.format import Glyphs, age, fit, said, width_of
from tui.widgets.lines import Cell

CLOCK_S = 2.0
"""Seconds by which the plane's clock may differ from ours before it is said. Source: control contract, 12."""

CONTEXT_MOST = 24
"""Cells of the context's name on the page of a model."""

_TIME = re.compile(r"\b\d\d:\d\d\b")
_ABILITIES = (("throttle.set", "throttle"), ("release.abort", "abort"), ("release.advance", "advance"))


def writes_badge(text: str) -> Cell:
    """The badge in the role that its words have."""
    return Cell(text, "armed" if text.startswith(("[ARMED", "[WRITES ON")) else "read-only")


def shorter(text: str) -> tuple[str, ...]:
    """A badge that says whether writes are on, from whole to shortest: what it says is never lost."""
    if text.startswith("[ARMED"):
        left = _TIME.search(text)
        return (text, *((f"[ARMED {left[0]}]",) if left else ()), "[ARMED]")
    if text.startswith("[WRITES ON"):
        return text, "[WRITES ON]", "[RW]"
    head = text.partition(":")[0]
    return (text, *((f"{head}]",) if head != text else ()), "[RO]") if text else ("",)


def place(frame: Frame, name: str, glyphs: Glyphs) -> Cell:
    """The context; that of production says so, and has edges, for it must not look like any other (D15)."""
    if not frame.production:
        return Cell(name)
    return Cell(f"{glyphs.edge}PROD/{name}{glyphs.edge}", "production")


def page_badges(frame: Frame, writes: Cell, room: int, glyphs: Glyphs) -> list[Cell]:
    """Those of a page of its own, two cells before each; shorter where `room` wants it."""
    name = fit(frame.context, min(width_of(frame.context), CONTEXT_MOST), glyphs)
    made: list[Cell] = []
    for short, told in ((0, "SIMULATED"), (0, "SIM"), (1, "SIM"), (2, "SIM")):
        texts = shorter(writes.text)
        text = texts[min(short, len(texts) - 1)]
        made = [place(frame, name if short < 2 else fit(name, 4, glyphs), glyphs)]
        made += [Cell(text, writes.role)] if text else []
        made += [Cell(told, "simulated")] if frame.simulated else []
        if sum(width_of(cell.text) + 2 for cell in made) <= room:
            break
    return made


def clock_cell(frame: Frame) -> Cell | None:
    """How far the plane's clock is off, where it is far: countdowns go by it. None of a simulated fleet."""
    offset = frame.plane.clock_offset_s if frame.plane is not None else None
    if offset is None or abs(offset) <= CLOCK_S or frame.simulated:
        return None
    name = next((one.name for one in frame.sources if one.kind == "plane"), "ctl")
    return Cell(f"{name} clock {age(abs(offset))} {'ahead' if offset > 0 else 'behind'}", "suspect")


def operator_text(plane: PlaneFacts | None, room: int, glyphs: Glyphs) -> str:
    """Who the plane takes us for, and what that one may do: as much as fits `room`, "" for nothing.

    `you: alice (operator)  throttle ✔ abort ✔ advance ✖`
    """
    if plane is None or not (plane.actor or plane.role):
        return ""
    role = f" ({plane.role})" if plane.role else ""
    names = dict.fromkeys((plane.actor or "?", plane.actor.partition("@")[0] or "?"))
    may = " ".join(
        f"{word} {glyphs.passed if plane.ability(operation).is_open else glyphs.failed}"
        for operation, word in _ABILITIES
        if operation in plane.abilities
    )
    texts = [f"you: {name}{role}{tail}" for tail in (f"  {may}" if may else "", "") for name in names]
    texts += [f"you: {name}" for name in names]
    return next((text for one in texts if width_of(text := said(one, glyphs)) <= room), "")
