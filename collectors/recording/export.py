"""A recording, written in a form for other programs: read once, in order, however long it is."""

import bisect
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from collectors.intents import Intent, Outcome
from collectors.recording.draft import draft
from collectors.recording.exports.database import write_database
from collectors.recording.exports.lines import write_lines
from collectors.recording.exports.openmetrics import write_openmetrics
from collectors.recording.exports.readings import Changes, Choice, Row
from collectors.recording.exports.table import write_csv
from collectors.recording.exports.told import Told
from collectors.recording.layout import HAPPENED, SLIGHT_S, Kind, RecordingError, Tag
from collectors.recording.noted import Noted
from collectors.recording.notes import event_from, intent_from, outcome_from
from collectors.recording.redact import Redaction
from collectors.recording.rewriting import Progress, no_progress, numbers
from collectors.recording.state_json import time
from collectors.recording.times import counted, stamp
from collectors.text import clean

if TYPE_CHECKING:
    from collectors.recording.reader import Recording

SHORT_S = 1.5
"""Frames that follow one another sooner have no gap between them."""

INSTANT_S = 0.001
"""A reading stood at its frame's time: it ends so much later where frames break off."""

Form: TypeAlias = Literal["csv", "jsonl", "openmetrics", "sqlite"]


class Export(NamedTuple):
    """What is asked for: the form, from when to when (seconds), and which readings."""

    form: Form
    start: float
    end: float
    choice: Choice = Choice()


class NoSuchModel(RecordingError):
    """A model that the recording has not, by name; known: those it has."""

    def __init__(self, model: str, known: Sequence[str]) -> None:
        self.model, self.known = model, known
        super().__init__(f"no model {model!r} in that time")


def export(
    recording: "Recording",
    asked: Export,
    out: Path | None,
    *,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> tuple[str, ...]:
    """Write the export to `out`, whole or not at all; None: to standard output, as it comes.

    Returns sentences about what was written. raises: RecordingError if there is nothing of that time, or
    `out` cannot be written; NoSuchModel
    """
    if out is not None and out.name == "-":
        raise RecordingError("a file cannot be named -: leave --out away, and it goes to standard output")
    if out is None and asked.form == "sqlite":
        raise RecordingError("SQLite needs a file of its own: name one")
    reading = _Reading(recording, asked, numbers(recording, asked.start, asked.end), progress)
    reading.look_for_models()
    if out is None:
        told = _to_standard_output(reading)
    else:
        with draft(out, overwrite=overwrite, sources=recording.paths) as path:
            told = _to_file(reading, path)
    lost = [f"{counted(reading.lost, 'frame')} could not be read"] if reading.lost else []
    return (*told, *lost)


def _to_file(reading: "_Reading", path: Path) -> list[str]:
    form = reading.asked.form
    if form == "sqlite":
        count = write_database(path, _facts(reading.recording), reading.items())
        return [counted(count, "row")]
    if form == "openmetrics":
        with path.open("wb") as file:
            written = write_openmetrics(file, reading.rows(), str(path.parent), reading.progress)
        back = f"; {written.left_out} left out, for the clock had been set back" if written.left_out else ""
        return [f"{counted(written.samples, 'sample')}{back}"]
    with path.open("w", encoding="utf-8", newline="") as text:
        if form == "csv":
            return [counted(write_csv(text, reading.rows()), "row")]
        return [counted(write_lines(text, reading.items()), "line")]


def _to_standard_output(reading: "_Reading") -> list[str]:
    sys.stdout.reconfigure(encoding="utf-8", newline="")  # type: ignore[union-attr]  # a text stream
    form = reading.asked.form
    if form == "csv":
        write_csv(sys.stdout, reading.rows())
    elif form == "jsonl":
        write_lines(sys.stdout, reading.items())
    else:
        write_openmetrics(sys.stdout.buffer, reading.rows(), tempfile.gettempdir(), reading.progress)
    sys.stdout.flush()
    return []


class _Reading:
    """One pass over a recording. lost: frames that cannot be read; others stand in their place nowhere."""

    def __init__(
        self, recording: "Recording", asked: Export, numbers: Sequence[int], progress: Progress
    ) -> None:
        self.recording, self.asked = recording, asked
        self._numbers, self.progress = numbers, progress
        self._redaction = Redaction()
        self.changes = Changes(asked.choice)
        self.lost = 0
        self._shown_at: float | None = None

    def look_for_models(self) -> None:
        """See that every model that is asked for is in a frame, before the first line goes anywhere.

        raises: NoSuchModel
        """
        wanted, seen = self.asked.choice.models, set[str]()
        for place, number in enumerate(self._numbers):
            if wanted <= seen:
                return
            self.progress("frames", place, len(self._numbers))
            seen.update(model.name for model in self.recording.frame(number).models)
        if strange := sorted(wanted - seen):
            raise NoSuchModel(strange[0], sorted(seen))

    def rows(self) -> Iterator[Row]:
        """What is new in each frame, and where they break off."""
        for place in range(len(self._numbers)):
            yield from self._rows_of(place)

    def items(self) -> Iterator[Row | Told]:
        """The same, with events, actions and marks, each before the first frame that is later."""
        told = self._told()
        pending = next(told, None)
        for place, number in enumerate(self._numbers):
            at = self.recording.time_of(number)
            while pending is not None and _order(pending) <= at:
                yield pending
                pending = next(told, None)
            yield from self._rows_of(place)
        if pending is not None:
            yield pending
            yield from told

    def _rows_of(self, place: int) -> Iterator[Row]:
        self.progress("frames", place, len(self._numbers))
        number = self._numbers[place]
        at = self.recording.time_of(number)
        frame = self.recording.frame(number)
        if abs(frame.at - at) > SLIGHT_S:
            # It is damaged, and this is the one before it.
            self.lost += 1
            return
        before, self._shown_at = self._shown_at, at
        if before is not None and self._is_gap(before, at):
            yield from self.changes.broken_off(before + INSTANT_S)
        yield from self.changes.rows(frame)

    def _is_gap(self, start: float, end: float) -> bool:
        """Whether frames are missing between two that follow one another."""
        if end - start < SHORT_S:
            return False
        # Of a long recording gaps are known as far as it was read: they are asked for each time.
        gaps = self.recording.gaps
        place = bisect.bisect_left(gaps, (end - SLIGHT_S,))
        return any(gap.end > start + SLIGHT_S for gap in gaps[max(place - 4, 0) : place])

    def _told(self) -> Iterator[Told]:
        wanted = {*HAPPENED, Tag.INTENT, Tag.RESULT}
        marks = [Told(m.at, None, "mark", self._clean((m.actor, m.note))) for m in self.recording.marks()]
        marks = [mark for mark in marks if self.asked.start <= mark.at <= self.asked.end]
        kinds = {Kind.EVENT, Kind.ACTION}
        for one in self.recording.noted(self.asked.start, self.asked.end, kinds, wanted):
            while marks and marks[0].at <= one.at:
                yield marks.pop(0)
            if (found := self._of(one)) is not None:
                yield found
        yield from marks

    def _of(self, one: Noted) -> Told | None:
        if one.kind == Kind.EVENT:
            event = event_from(one.body)
            if event is None:
                return None
            fields = (event.kind.value, event.actor, event.subject, event.text)
            return Told(event.at, one.at, "event", self._clean(fields))
        own = time(one.body.get("at"))
        return Told(one.at if own is None else own, one.at, "action", self._acted(one))

    def _acted(self, one: Noted) -> tuple[str, ...]:
        """The fields of ACTION_FIELDS."""
        outcome = outcome_from(one.body) if one.tag == Tag.RESULT else None
        intent = outcome.intent if outcome is not None else intent_from(one.body)
        arguments, seen = (intent.arguments, intent.seen) if intent is not None else ({}, {})
        moved = [list(each) for each in outcome.moved] if outcome is not None else []
        told = map(self._json, (dict(arguments), dict(seen), moved))
        return *self._clean(_action(one, intent, outcome)), *told

    def _json(self, found: object) -> str:
        return json.dumps(self._redaction.value(found), ensure_ascii=False) if found else ""

    def _clean(self, fields: Sequence[str]) -> tuple[str, ...]:
        # Text of an old recording passes the rules of today.
        return tuple(self._redaction.text(field) for field in fields)


def _order(one: Told) -> float:
    return one.at if one.recorded_at is None else one.recorded_at


def _action(one: Noted, intent: Intent | None, outcome: Outcome | None) -> tuple[str, ...]:
    """The fields of ACTION_FIELDS but those of OF_JSON."""
    actor = _text(one.body.get("actor"))
    step = "result" if one.tag == Tag.RESULT else "intent"
    asked = ("", "", "", actor, "", "") if intent is None else (
        intent.operation, intent.target.id, intent.target.tier, actor, intent.reason, intent.ticket
    )  # fmt: skip
    became = ("", "", "") if outcome is None else (outcome.kind.value, outcome.text, outcome.code)
    ids = ("", "") if intent is None else (intent.decision_id, intent.key)
    return step, *asked, *became, *ids, outcome.audit_id if outcome is not None else ""


def _text(found: object) -> str:
    return clean(found) if isinstance(found, str) else ""


def _facts(recording: "Recording") -> Mapping[str, str]:
    """What the table `facts` holds."""
    header: Mapping[str, Any] = recording.header.facts
    names = ("app", "host", "zone", "context", "source", "redaction", "simulated", "poll_s")
    told = {name: clean(str(header[name]), 256) for name in names if name in header}
    return {
        "recording": recording.id,
        **told,
        "start": stamp(recording.start),
        "end": stamp(recording.end),
        "frames": str(recording.frames),
        "gaps": str(len(recording.gaps)),
    }
