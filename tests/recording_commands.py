"""Recordings that commands are tried on, and the commands as the command line runs them."""

from collections.abc import Sequence
from pathlib import Path

from collectors.fleet import Event, EventKind, Frame, LastChange, Model, Throttle, Tier
from collectors.intents import Intent, Outcome, OutcomeKind, Target
from collectors.readings import reading
from collectors.recording.layout import Kind, Tag
from collectors.recording.notes import event_json, intent_json, mark_json, outcome_json, view_json
from collectors.recording.redact import Redaction
from collectors.recording.ring import RingLimits
from collectors.recording.stream import Stamp, Stream
from collectors.sessions import Mark, View
from tui import cli

AT = 1_795_269_600.0
"""2026-11-21T14:00:00Z."""

Note = tuple[float, Kind, Tag, dict[str, object]]


def frame(at: float, waiting: float, audit: str = "") -> Frame:
    change = LastChange(audit, "throttle.set", "ann", "it burns", at) if audit else None
    return Frame(
        at,
        0,
        "prod",
        (Tier("free", "Free"),),
        (Model("llama", {"waiting": reading("waiting", waiting, at - 2)}, {}),),
        throttles=(Throttle("chat", "free", 1, "t-1", 0.5, last_change=change),),
    )


def recorded(
    file: Path,
    frames: Sequence[Frame],
    notes: Sequence[Note] = (),
    host: str = "here",
    gap_s: float = 5.0,
    *,
    context: str = "prod",
    simulated: bool = False,
) -> Path:
    """A recording of these frames and notes; between frames that are further apart than `gap_s` is a gap."""
    facts = {"context": context, "host": host, "app": "test"}
    stream = Stream(None, file, RingLimits(), facts, Redaction(), simulated=simulated)
    stream.claim()
    first, before = frames[0].at, frames[0].at
    pending = sorted(notes, key=lambda note: note[0])
    for one in frames:
        stamp = Stamp(round(one.at * 1e6), round((one.at - first) * 1e6))
        while pending and pending[0][0] <= one.at:
            at, kind, tag, body = pending.pop(0)
            stream.note(kind, tag, body, Stamp(round(at * 1e6), round((at - first) * 1e6)))
        if one.at - before > gap_s:
            body = {"from": before, "to": one.at, "why": "test", "text": "not recorded: test"}
            stream.note(Kind.EVENT, Tag.GAP, body, stamp)
        stream.frame(one, stamp)
        before = one.at
    stream.close(stamp)
    return file


def happened(at: float, text: str, actor: str = "ctl", kind: EventKind = EventKind.NOTE) -> Note:
    return at, Kind.EVENT, Tag.HAPPENED, event_json(Event(at, kind, actor, "llama", text))


def acted(at: float, who: str, key: str, audit: str) -> tuple[Note, Note]:
    """An operator's intent and its result."""
    intent = Intent(
        "throttle.set", Target("throttle", "chat", "free"), {"level": 0.5}, {"level": 1.0}, "t-0",
        "it burns", key, f"d-{key}",
    )  # fmt: skip
    outcome = Outcome(intent, OutcomeKind.APPLIED, at + 0.2, "applied", audit_id=audit)
    return (
        (at, Kind.ACTION, Tag.INTENT, {**intent_json(intent), "actor": who}),
        (at + 0.2, Kind.ACTION, Tag.RESULT, {**outcome_json(outcome), "actor": who}),
    )


def a_minute(file: Path) -> Path:
    """A minute with an event, an action, a view and a mark."""
    frames = [frame(AT + n, n) for n in range(60)]
    notes = (
        happened(AT + 10, "something"),
        *acted(AT + 20, "ann", "k1", "a-1"),
        (AT + 5, Kind.EVENT, Tag.VIEW, view_json(View("model", "llama"))),
        (AT + 30, Kind.MARK, Tag.BOOKMARK, mark_json(Mark(AT + 30, "ann", "here"))),
    )
    return recorded(file, frames, notes)


def run(*argv: str | Path) -> int:
    """A command as the command line runs it. Returns the exit status, also of what its parser refuses."""
    try:
        return cli.main([str(one) for one in argv])
    except SystemExit as ended:
        return int(ended.code or 0)
