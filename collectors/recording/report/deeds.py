"""What was done: in sentences, and one card for each decision with what the screen showed then."""

from collections.abc import Iterable
from itertools import chain
from typing import TypeAlias

from collectors.intents import OutcomeKind
from collectors.recording.report import words
from collectors.recording.report.acts import Aim, Decision, Screen
from collectors.recording.report.document import Card, Cell, Column, Paragraph, Points, Section, Table, Tone
from collectors.recording.report.effect import effect
from collectors.recording.report.facts import Facts
from collectors.recording.report.left_open import became
from collectors.recording.report.taken import Share, Shift
from collectors.recording.report.words import clock, length, plural
from collectors.sessions import View

SENTENCES = 6
"""Decisions that are told in sentences, those of most consequence; all of them have a card."""

NOT_RECORDED = "Not recorded: a metrics history holds no actions."
NONE_BY_LOG = "Nothing, by the control plane's log that was given."
NONE = "No action from this cockpit is recorded, and no control plane told of one elsewhere."


def endings(found: Iterable[Decision]) -> str:
    """How decisions ended, counted: `2 applied, 1 refused`."""
    counts: dict[str, int] = {}
    for one in found:
        for kind in one.kinds:
            counts[kind] = counts.get(kind, 0) + 1
    return ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "none is recorded"


def in_sentences(facts: Facts) -> str:
    """Who did what, when, why, and to whom, of the few decisions of most consequence, in order of time."""
    found = facts.decisions
    if not found:
        return _none(facts)
    told = []
    changes = _Changes(facts)
    gravest = sorted(found, key=lambda one: (-changes.weight(one), one.number))[:SENTENCES]
    for one in sorted(gravest, key=lambda one: one.number):
        who = one.actor or "somebody (not recorded who)"
        what = "; ".join(_what(aim, one, changes) for aim in one.aims[:3])
        more = f" and {plural(len(one.aims) - 3, 'more target')}" if len(one.aims) > 3 else ""
        why = f"; reason given: “{one.reason}”." if one.reason else "; no reason is recorded."
        where = " elsewhere" if one.is_told and not facts.is_reconstructed else ""
        told.append(f"At {clock(one.at)} {who} {one.deed} {what}{more}{where}: {', '.join(one.kinds)}{why}")
    rest = len(found) - SENTENCES
    if rest > 0:
        told.append(f"{plural(rest, 'more action')} {'is' if rest == 1 else 'are'} listed below.")
    return " ".join(told)


_NOT_DONE = frozenset({OutcomeKind.REFUSED, OutcomeKind.CONFLICT})

_Key: TypeAlias = str | tuple[str, int]
"""What a change is known by: its id in the control plane's log, or its target and the second of its time."""


class _Changes:
    """What became of decisions, as frames show it: what releases open, and what still holds at the end."""

    def __init__(self, facts: Facts) -> None:
        self._shifts: dict[tuple[_Key, str], Shift] = {}
        for shift in chain.from_iterable(facts.ledger.shifts.found.values()):
            for key in _keys(shift.release, shift.audit_id, shift.at):
                self._shifts.setdefault((key, shift.release), shift)
        held = [(f"{cell.feature}/{cell.tier}", cell.last_change) for cell in facts.open_throttles()]
        held += [(release.id, release.last_change) for release in facts.halted_releases()]
        self._held = {key for name, by in held if by for key in _keys(name, by.audit_id, by.at)}

    def shares(self, aim: Aim, one: Decision) -> tuple[Share, ...]:
        """Which tiers got more or less by one target of a decision, where that is a release."""
        found = (self._shifts.get((key, aim.name)) for key in _known_by(one))
        return next((shift.shares for shift in found if shift is not None), ())

    def weight(self, one: Decision) -> int:
        """2 for what took something from users, or holds at the end; 1 for what else changed for them."""
        if all(aim.last is not None and aim.last.kind in _NOT_DONE for aim in one.aims):
            return 0
        shares = [share for aim in one.aims for share in self.shares(aim, one)]
        took = any(aim.takes for aim in one.aims) or any(share.after < share.before for share in shares)
        if took or not self._held.isdisjoint(_known_by(one)):
            return 2
        return 1 if shares or one.operation.startswith("throttle") else 0


def _keys(target: str, audit_id: str, at: float) -> list[_Key]:
    return [*filter(None, [audit_id]), (target, round(at))]


def _known_by(one: Decision) -> list[_Key]:
    """What the changes that a decision made are known by: only what has no id is looked for by its time."""
    own = {answer.audit_id for aim in one.aims for answer in aim.answers if answer.audit_id}
    return [*sorted(own)] or [(target, round(one.at)) for target in sorted(one.targets)]


def _what(aim: Aim, one: Decision, changes: _Changes) -> str:
    """A target with what was asked for, and which tiers got more or less by it."""
    opened = [text for share in changes.shares(aim, one) if (text := str(share)) not in aim.more]
    more = ", ".join(filter(None, [aim.more, *opened]))
    return f"{aim.name} ({more})" if more else aim.name


def _none(facts: Facts) -> str:
    if facts.is_reconstructed:
        return NONE_BY_LOG if facts.has_log else NOT_RECORDED
    return NONE


def done(facts: Facts) -> Section:
    """A card for each decision."""
    cards = tuple(_card(one, facts) for one in facts.decisions)
    return Section("What was done, and what the screen showed then", cards or (Paragraph(_none(facts)),))


def _card(one: Decision, facts: Facts) -> Card:
    who = one.actor or "Somebody, not recorded who"
    names = words.listed([aim.name for aim in one.aims], 3)
    title = f"{one.number}. {clock(one.at)}: {who} {one.deed} {names}"
    ticket = f" Ticket {one.ticket}." if one.ticket else ""
    reason = f"Reason given: “{one.reason}”.{ticket}" if one.reason else f"No reason is recorded.{ticket}"
    rows = []
    for aim in one.aims:
        last = aim.last
        if last is None:
            outcome, when = Cell("no answer recorded", "warn"), Cell("–", "muted")
        else:
            outcome = Cell(became(last, facts), _tone(last.kind.value))
            when = Cell(f"+{length(last.at - one.at)}" if last.at - one.at >= 0.5 else "at once")
        rows.append((Cell(aim.name), Cell(aim.asked), outcome, when))
    columns = (Column("Target"), Column("Asked for"), Column("What became of it"), Column("After"))
    blocks: list[Paragraph | Points | Table] = [Table(columns, tuple(rows))]
    if one.is_told:
        blocks.append(
            Paragraph(
                "Told by the control plane's log; not done from this cockpit, or not recorded by it.",
                tone="muted",
            )
        )
    if one.screen is not None:
        blocks += _shown(one.screen, facts)
    followed = effect(one, facts)
    if followed:
        blocks.append(Paragraph(followed, "What followed."))
    return Card(title, reason, tuple(blocks))


def _tone(kind: str) -> Tone:
    return "good" if kind == "applied" else "warn" if kind == "pending" else "bad"


def _shown(shown: Screen, facts: Facts) -> list[Paragraph | Points | Table]:
    waits = [f"{w.model} {w.tier}, {w.text}" + (", above" if w.is_breach else "") for w in shown.waits]
    items = [f"The worst waits: {'; '.join(waits)}." if waits else "No wait was known."]
    items += [f"The release {gate}." for gate in shown.gates]
    if shown.alert_count:
        more = shown.alert_count - len(shown.alerts)
        items.append(f"Alerts: {'; '.join(shown.alerts)}" + (f"; and {more} more." if more else "."))
    else:
        items.append("No alert was open.")
    if shown.lost:
        items.append(f"Not answering: {words.listed(shown.lost)}.")
    items.append(_looked(shown.looked, facts.operator or "The operator"))
    lead = "On the screen then," if facts.is_watched else "There would have been on a screen,"
    if shown.is_older:
        lead = "On the screen before; that of the moment itself is not recorded,"
    return [Paragraph(f"as of {clock(shown.at)}:", lead), Points(tuple(items))]


def _looked(view: View | None, who: str) -> str:
    if view is None:
        return "What the operator looked at is not recorded."
    told = f"{who} was on the {view.screen} screen"
    told += f" of {view.subject}" if view.subject else ""
    told += f", with the dialog “{view.dialog}” open" if view.dialog else ""
    told += f", filtered by “{view.filter}”" if view.filter else ""
    told += ", its picture frozen" if view.is_frozen else ""
    return told + (f", at {view.width} by {view.height} characters." if view.width and view.height else ".")
