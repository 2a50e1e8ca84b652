"""What an operator did here, told on the events strip where the plane's own log cannot tell it."""

from collections.abc import AsyncIterator, Callable, Sequence

from collectors.fleet import Event, EventKind
from collectors.intents import Intent, Logged, Operator, Outcome, OutcomeKind, Rehearsal
from collectors.text import clean

_LINE = 256


class ToldOperator:
    """An operator whose every attempt becomes an event (S13): what was never sent, what is unknown.

    An outcome that the plane logged is told by its log, which all see; it is not told twice.
    """

    def __init__(
        self,
        operator: Operator,
        tell: Callable[[Event], None],
        now: Callable[[], float],
        acted: Callable[[], None] = lambda: None,
    ) -> None:
        """now: the watched clock, by which events are told; an outcome's own time is the real one.

        acted: called at each outcome
        """
        self._operator, self._tell, self._now, self._acted = operator, tell, now, acted

    async def rehearse(self, intents: Sequence[Intent]) -> tuple[Rehearsal, ...]:
        """As the operator does: a dry run is no attempt."""
        return await self._operator.rehearse(intents)

    async def carry_out(self, intents: Sequence[Intent]) -> AsyncIterator[Outcome]:
        """As the operator does, telling each outcome that no log tells.

        Of a reply that was lost: that it was, once, and how it ended; the steps between are the dialog's.
        """
        open_keys: set[str] = set()
        async for outcome in self._operator.carry_out(intents):
            key = outcome.intent.key
            is_told = not outcome.is_final and key in open_keys
            if not outcome.is_final:
                open_keys.add(key)
            if not is_told and (event := told(outcome, self._now())) is not None:
                self._tell(event)
            self._acted()
            yield outcome

    async def own_actions(self, limit: int = 20) -> tuple[Logged, ...]:
        """As the operator does."""
        return await self._operator.own_actions(limit)


def told(outcome: Outcome, at: float) -> Event | None:
    """The event of an outcome; None where the plane's log has it, or nothing has happened yet."""
    if outcome.kind in {OutcomeKind.APPLIED, OutcomeKind.PENDING} or outcome.audit_id:
        return None
    intent = outcome.intent
    reason = f", reason: {intent.reason}" if intent.reason else ""
    text = f"{intent.operation.partition('.')[2]} {outcome.kind.value}: {outcome.text}{reason}"
    return Event(at, EventKind.ACTION, "you", clean(str(intent.target)), clean(text, _LINE))
