"""The throttle dialog's form: features, tiers, level, ramp, time; what it would do, and what it says. Pure.

It acts on cells (feature, tier), fleet-wide: a model is only the way to the features that it serves.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from collectors.fleet import Feature, Frame, Severity, Throttle
from collectors.intending import clear_throttle, set_throttle
from collectors.intents import Ability, Intent
from collectors.text import clean
from tui.dialogs.form import Choice, Entry, Field, Level, Option, Plan
from tui.dialogs.throttle_facts import fact_lines
from tui.dialogs.throttle_flow import forecast_lines
from tui.dialogs.throttle_subject import Subject, hits, paragraph, title
from tui.dialogs.throttle_time import TIMES, Timing
from tui.dialogs.throttle_words import summary, way_back, wrong_level
from tui.format import GLYPHS, PRESETS, counted
from tui.throttles import (
    AT_ONCE,
    RAMPS,
    SLOWLY,
    Change,
    Move,
    admits,
    alike,
    by_privilege,
    changed,
    in_force,
    minutes,
    named_level,
    percentage,
    preset,
    read_percent,
    span,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from collectors.intents import Rehearsal
    from tui.widgets.lines import Line

ALL = "*"
"""Stands for all features: no id can be it."""

PREVIOUS, OPEN = "previous", "open"
SET, CLEAR = "set", "clear"
EXACT, HELD = "exact", "held"
TYPED_MOST = 24

NONE_CHOSEN = "choose a feature first: left or right in the row Feature"
NO_ANSWER = "no control plane answers, so nothing can be asked of it"
_NO_LEVEL = "a clear takes no level and no time: choose Set below"
_WORST = (Severity.P1, Severity.P2)


@dataclass(frozen=True, slots=True)
class ThrottleForm:
    """Some cells and what is asked of them; see `Form`. Made by `throttle_form` and its kin.

    frame: the newest one; offered: ids of the features to choose from
    feature: id of the chosen one, ALL, or "" as long as none is chosen; why: why it was chosen, or none was
    tiers: names of those ticked
    level: chosen, a share; None as long as nobody chose: then the level that is set stays
    typed: an exact percentage as typed, which wins over `level`
    ramp: id of RAMPS; "" as long as nobody chose: at once to tighten, slowly to loosen
    time: id of TIMES or one of the other times; "" as long as nobody chose: then it ends nothing sooner
    rest_until: the time that REST stands for, seconds since the epoch
    adds: the time is added to the end that is set, instead of counting from now
    story: sentences above all facts, such as what is being undone
    unchosen: what `why` says of a newer frame as long as none is chosen
    """

    frame: Frame
    offered: tuple[str, ...]
    feature: str
    tiers: tuple[str, ...]
    why: str = ""
    level: float | None = None
    typed: str = ""
    ramp: str = ""
    time: str = ""
    rest_until: float | None = None
    adds: bool = False
    back: str = PREVIOUS
    does: str = SET
    story: tuple[str, ...] = ()
    unchosen: "Callable[[Frame], str] | None" = None

    @property
    def key(self) -> str:
        """By the feature."""
        return f"throttle {'all' if self.feature == ALL else self.feature}".rstrip()

    @property
    def title(self) -> str:
        """Feature, and how many models it hits."""
        if not self.feature:
            return "Throttle · no feature chosen"
        features = self._features()
        what = f"all {counted(str(len(features)), 'feature')}" if self.feature == ALL else self.feature
        return f"Throttle · {what} · {counted(str(hits(self.frame, features).number), 'model')}"

    @property
    def revision(self) -> str:
        """The etags of all the cells, folded where they are many."""
        etags = [cell.etag for cell in self._cells()]
        if len(etags) <= 4:
            return f"rev {' '.join(etags)}" if etags else ""
        from zlib import crc32

        return f"rev of {len(etags)} cells {crc32(chr(10).join(etags).encode()):08x}"

    @property
    def main(self) -> str:
        """The level."""
        return "admit"

    @property
    def fields(self) -> Sequence[Field]:
        """Feature, tiers, level, ramp, time, what comes after; and set or clear, where something is set."""
        moves = self._moves()
        clears = self._does(moves) == CLEAR
        rows: list[Field] = [self._feature_row(), self._tier_row(), self._admit_row(moves)]
        rows += [] if clears else [self._exact_row()]
        rows += [
            self._ramp_row(moves),
            self._timing().row(_NO_LEVEL if clears else ""),
            self._back_row(moves),
        ]
        if any(in_force(move.cell) for move in moves):
            ability = self._ability("throttle.clear")
            why = "" if ability.is_open else ability.why or "it may not be cleared from here"
            options = (Option(SET, "Set"), Option(CLEAR, "Clear", why))
            rows.append(Choice("do", "Do", options, (self._does(moves),)))
        return rows

    def with_choice(self, field: str, chosen: tuple[str, ...]) -> "ThrottleForm":
        """With other options chosen; ones that may not be, or are not there, are left out."""
        row = next((row for row in self.fields if row.id == field and isinstance(row, Choice)), None)
        if row is None:
            return self
        kept = tuple(option.id for option in row.options if option.id in chosen and not option.why)
        if row.many:
            return replace(self, tiers=kept)
        if not kept:
            return self
        one = kept[0]
        if field == "feature":
            return self if one == self.feature else replace(self, feature=one, why="", does=SET)
        if field == "admit" and one == HELD:
            # What it is at this moment, as it was read: it stays so while the ramp goes on.
            return replace(self, level=_held(self._moves()), typed="")
        if field == "admit":
            share = next((share for share, name in PRESETS.items() if name == one), None)
            return self if share is None else replace(self, level=share, typed="")
        match field:
            case "ramp":
                return replace(self, ramp=one)
            case "for":
                return replace(self, time=one)
            case "then":
                return replace(self, back=one)
        return replace(self, does=one)

    def with_text(self, field: str, text: str) -> "ThrottleForm":
        """With another exact percentage; what was typed stays, right or wrong."""
        return replace(self, typed=clean(text, TYPED_MOST)) if field == EXACT else self

    def seen(self, frame: Frame) -> "ThrottleForm":
        """The same choices on a newer frame. Where no feature was chosen none is; why not is told anew."""
        why = self.why if self.feature or self.unchosen is None else self.unchosen(frame)
        return replace(self, frame=frame, why=why)

    def plan(self) -> Plan:
        """One intent for each cell that would change, in the order they are to be sent."""
        moves = self._moves()
        changing = by_privilege(self._changing(moves), self._plane_tiers())
        if problem := self._problem(moves, changing):
            return Plan(problem=problem)
        is_brake = not any(move.rises for move in changing)
        level, phrase = (Level.ONE, "") if is_brake else self._guard(changing)
        return Plan(
            intents=tuple(self._intent(move) for move in changing),
            summary=self._summary(moves, changing),
            level=level,
            is_brake=is_brake,
            phrase=phrase,
        )

    def facts(self, width: int, glyphs: str) -> Sequence["Line"]:
        """Every model hit, what is set now, who waits, what is turned away."""
        if not self.feature:
            return [*paragraph("Note", self.why or NONE_CHOSEN, width, GLYPHS[glyphs])]
        return fact_lines(self._subject(), self.story, width, GLYPHS[glyphs])

    def forecast(self, rehearsals: "Mapping[str, Rehearsal]", width: int, glyphs: str) -> Sequence["Line"]:
        """Unknown without a capacity model, but for plain arithmetic."""
        return forecast_lines(self._subject(), width, GLYPHS[glyphs])

    def _subject(self) -> Subject:
        moves = self._moves()
        return Subject(self.frame, self._features(), self.tiers, moves, self._changing(moves))

    def _features(self) -> tuple[Feature, ...]:
        return tuple(one for one in self.frame.features if self.feature in (ALL, one.id))

    def _plane_tiers(self) -> tuple[str, ...]:
        return self.frame.plane.tiers if self.frame.plane is not None else ()

    def _ability(self, operation: str) -> Ability:
        plane = self.frame.plane
        return Ability(False, False, NO_ANSWER) if plane is None else plane.ability(operation)

    def _wanted(self) -> list[tuple[str, str]]:
        tiers = [tier for tier in self._plane_tiers() if tier in self.tiers]
        return [(feature.id, tier) for feature in self._features() for tier in tiers]

    def _cells(self) -> list[Throttle]:
        told = self._told()
        return [told[at] for at in self._wanted() if at in told]

    def _told(self) -> dict[tuple[str, str], Throttle]:
        """The cells of the chosen features that the plane tells of."""
        return {
            (cell.feature, cell.tier): cell
            for cell in self.frame.throttles
            if self.feature in (ALL, cell.feature)
        }

    def _level(self, cells: Sequence[Throttle]) -> float | None:
        """What is asked for; as long as nobody chose, the level that all the cells have, if they have one."""
        if self.typed.strip():
            found = read_percent(self.typed)
            return found if isinstance(found, float) else None
        if self.level is not None or not cells:
            return self.level
        return cells[0].level if all(alike(cell.level, cells[0].level) for cell in cells) else None

    def _does(self, moves: Sequence[Move]) -> str:
        return self.does if any(in_force(move.cell) for move in moves) else SET

    def _timing(self) -> Timing:
        longest = self.frame.plane.ttl_max_s if self.frame.plane is not None else TIMES[-1][1]
        ends = {cell.expires_at for cell in self._cells()} if self.adds else set()
        end = ends.pop() if len(ends) == 1 else None
        base = end if end is not None and end > self.frame.at else None
        return Timing(self.frame.at, longest, self.time, self.rest_until, base)

    def _moves(self) -> tuple[Move, ...]:
        """Every chosen cell that is told, with what would become of it."""
        cells = self._cells()
        clears = self.does == CLEAR and any(map(in_force, cells))
        change = Change(clears, self._level(cells), self._timing().ends_at, self.back == OPEN)
        return tuple(changed(cell, change, self.frame.at) for cell in cells)

    def _changing(self, moves: Sequence[Move]) -> tuple[Move, ...]:
        if self._does(moves) == CLEAR:
            return tuple(move for move in moves if in_force(move.cell))
        if any(move.level is None for move in moves):
            return ()
        is_longer = all(move.stays for move in moves)
        return tuple(move for move in moves if self._is_change(move, is_longer))

    def _is_change(self, move: Move, is_longer: bool) -> bool:
        """Whether a cell is to be written. One that has the level already only gets more time, never less,
        unless time is all that it is about (`is_longer`), and was chosen."""
        if not move.stays:
            return True
        if move.rises and not (is_longer and (self.time or self.ramp)):
            return False
        if move.cell.state == "ramping" and self.ramp:
            return True
        return in_force(move.cell) and not (self._timing().seconds is None and move.cell.expires_at is None)

    def _ramp_of(self, move: Move) -> float | None:
        """Share a minute; None at once. A level that stays has no way to go, unless it is being ramped to."""
        if not self._ability("throttle.ramp").is_open:
            return None
        if move.stays and move.cell.state != "ramping":
            return None
        chosen = self.ramp or (SLOWLY if move.rises else AT_ONCE)
        return next(per_min for id, _, per_min in RAMPS if id == chosen)

    def _intent(self, move: Move) -> Intent:
        if self._does((move,)) == CLEAR:
            return clear_throttle(move.cell, revert_to=self.back)
        timing = self._timing()
        intent = set_throttle(
            move.cell,
            level=move.level,
            ttl_s=None if timing.by_clock else timing.seconds,
            ramp_per_min=self._ramp_of(move),
            revert_to=self.back,
        )
        if not timing.by_clock:
            return intent
        return replace(intent, arguments={**intent.arguments, "expires_at": timing.by_clock})

    def _guard(self, changing: Sequence[Move]) -> tuple[Level, str]:
        """What loosening asks for: more for several cells, during an alert, and for all of something."""
        frame, tiers = self.frame, self._plane_tiers()
        all_features = self.feature == ALL and len(frame.features) > 1
        if all_features or (len(tiers) > 1 and set(tiers) <= set(self.tiers)):
            return Level.THREE, f"throttle {len(changing)} {frame.context.lower()}"
        models = hits(frame, self._features()).models
        names = {name for model in models for name in (model.name, model.subject)}
        names |= {name for feature in self._features() for name in feature.models}
        fires = any(alert.model in names for alert in frame.alerts if alert.severity in _WORST)
        return (Level.TWO, self.feature) if fires or len(changing) > 1 else (Level.ONE, "")

    def _problem(self, moves: Sequence[Move], changing: Sequence[Move]) -> str:
        """Why nothing can be done as it stands, the first reason that there is; "" if something can."""
        does = self._does(moves)
        ability = self._ability(f"throttle.{does}")
        if not ability.is_open:
            return ability.why or f"throttle.{does} cannot be done from here"
        if not self.feature:
            return NONE_CHOSEN
        if not self._features():
            return f"the control plane no longer names the feature {self.feature}: esc, and choose another"
        if gone := [tier for tier in self.tiers if tier not in self._plane_tiers()]:
            return f"the control plane no longer names the tier {', '.join(gone)}: tick another"
        if not self.tiers:
            return "no tier is ticked: tick one"
        told = {(move.cell.feature, move.cell.tier) for move in moves}
        if missing := [
            f"{feature}/{tier}" for feature, tier in self._wanted() if (feature, tier) not in told
        ]:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            return f"what is set for {missing[0]}{more} is not told, and nothing is changed unseen"
        if does == SET and (wrong := wrong_level(moves, self.typed) or self._timing().wrong):
            return wrong
        if not changing:
            if does == CLEAR:
                return "nothing would change: nothing is set here"
            said = f"nothing would change: {self._named(moves)} {span(m.cell.level for m in moves)} already"
            is_sooner = not self.time and any(move.rises and in_force(move.cell) for move in moves)
            return f"{said}, for longer: choose a time to end it sooner" if is_sooner else said
        return ""

    def _named(self, moves: Sequence[Move]) -> str:
        """The cells in words: `images/free`, `images for Team, Free`, `all 4 features for Free`."""
        if len(moves) == 1:
            return f"{moves[0].cell.feature}/{moves[0].cell.tier}"
        features = self._features()
        what = f"all {len(features)} features" if self.feature == ALL else self.feature
        return f"{what} for {', '.join(title(self.frame, tier) for tier in self.tiers)}"

    def _summary(self, moves: Sequence[Move], changing: Sequence[Move]) -> str:
        timing = self._timing()
        return summary(
            self._named(changing if len(changing) == 1 else moves),
            changing,
            clears=self._does(moves) == CLEAR,
            ramps=[self._ramp_of(move) for move in changing],
            seconds=timing.seconds,
            until=timing.ends_at if timing.by_clock else None,
            left_out=len(moves) - len(changing),
        )

    def _feature_row(self) -> Choice:
        known = {feature.id for feature in self.frame.features}
        gone = "the control plane no longer names it"
        options = [Option(id, id, "" if id in known else gone) for id in self.offered]
        if len(known) > 1 or self.feature == ALL:
            options.append(Option(ALL, "all features"))
        return Choice(
            "feature", "Feature", tuple(options), (self.feature,) if self.feature else (), note=self.why
        )

    def _tier_row(self) -> Choice:
        tiers = self._plane_tiers()
        options = [Option(tier, title(self.frame, tier)) for tier in tiers]
        gone = "the control plane no longer names it"
        options += [Option(tier, tier, gone) for tier in self.tiers if tier not in tiers]
        return Choice("tier", "Tier", tuple(options), self.tiers, many=True)

    def _admit_row(self, moves: Sequence[Move]) -> Choice:
        clears = self._does(moves) == CLEAR
        why = _NO_LEVEL if clears else ""
        options = [
            (share, Option(name, f"{name} {percentage(share)}%", why)) for share, name in PRESETS.items()
        ]
        if clears:
            note = f"cleared: {span(move.level for move in self._changing(moves))}"
            return Choice("admit", "Admit", tuple(option for _, option in options), (), note=note)
        level = self._level([move.cell for move in moves])
        held = _held(moves)
        if held is not None and not preset(held) and not alike(held, level):
            options.append((held, Option(HELD, f"hold {percentage(held)}%")))
        chosen = preset(level)
        if level is not None and not chosen:
            # Between its neighbours, so that the arrows lead from it to them.
            options.append((level, Option(EXACT, f"{percentage(level)}%")))
            chosen = EXACT
        options.sort(key=lambda pair: -pair[0])
        rows = tuple(option for _, option in options)
        return Choice("admit", "Admit", rows, (chosen,) if chosen else (), note=self._now(moves))

    def _now(self, moves: Sequence[Move]) -> str:
        if not moves:
            return ""
        if len(moves) > 1:
            return f"now {span(move.cell.level for move in moves)}"
        cell = moves[0].cell
        note = f"now {named_level(cell.level)}"
        if cell.state == "ramping":
            return f"in force {admits(cell.effective_level)}, ramping to {admits(cell.level)}"
        if cell.level is not None and not preset(cell.level):
            note += ", no preset"
        return note

    def _exact_row(self) -> Entry:
        wrong = read_percent(self.typed) if self.typed.strip() else ""
        hint = "percent, such as 12.5; empty: the level above"
        return Entry(EXACT, "Exact", self.typed, hint, wrong if isinstance(wrong, str) else "")

    def _ramp_row(self, moves: Sequence[Move]) -> Choice:
        ability, changing = self._ability("throttle.ramp"), self._changing(moves)
        rising = [m for m in changing if m.rises and not (m.stays and m.cell.state != "ramping")]
        chosen = self.ramp or (SLOWLY if rising else AT_ONCE)
        note = ""
        if not ability.is_open:
            chosen, note = AT_ONCE, ability.why
        elif self._does(moves) == CLEAR:
            note = way_back(changing)
        elif not self.ramp and rising and len(rising) < len(changing):
            note = "what tightens: at once"
        elif ways := [way for move in changing if (way := self._way(move))]:
            note = f"{admits(changing[0].level)} in {minutes(max(ways))}"
            if (seconds := self._timing().seconds) is not None and max(ways) > seconds:
                note += f": longer than the {minutes(seconds)} it is set for"
        options = []
        for id, label, per_min in RAMPS:
            why = "" if per_min is None or ability.is_open else ability.why or "no ramps here"
            options.append(Option(id, label, _NO_LEVEL if self._does(moves) == CLEAR else why))
        return Choice("ramp", "Ramp", tuple(options), (chosen,), note=note)

    def _way(self, move: Move) -> float:
        """Seconds until the level is in force; 0 at once."""
        per_min, cell = self._ramp_of(move), move.cell
        start = cell.in_force
        if per_min is None or start is None or move.level is None:
            return 0.0
        return round(abs(move.level - start) / per_min * 60)

    def _back_row(self, moves: Sequence[Move]) -> Choice:
        """What it goes back to when its time is up, or now, by a clear."""
        changing = self._changing(moves) or tuple(moves)
        clears = self._does(moves) == CLEAR
        why = ""
        if not clears and changing and all(move.stays for move in changing):
            why = "the level stays, so what it goes back to stays too: clear it to open it"
        label = "the setting before" if len(changing) < 2 else "the setting before of each"
        options = (Option(PREVIOUS, label), Option(OPEN, f"open ({admits(1.0)})", why))
        note = ""
        if clears:
            note = f"now: {span(move.level for move in changing)}"
        elif changing and (later := [move.course[1].level for move in changing if len(move.course) > 1]):
            note = f"then {span(later)}"
        elif changing:
            note = "when it is cleared"
        return Choice("then", "Then", options, (PREVIOUS if why else self.back,), note=note)


def _held(moves: Sequence[Move]) -> float | None:
    """What a ramp lets in at this moment, as a plane compares it; None where no single cell ramps."""
    cell = moves[0].cell if len(moves) == 1 else None
    if cell is None or cell.state != "ramping" or cell.effective_level is None:
        return None
    return round(cell.effective_level, 4)
