"""Which answers came from recording rules, and which could have. Pure."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from collectors.check.facts import Asked
from collectors.config import PrometheusServer
from collectors.signals.catalogue import Answer, Matcher, Poll, window_s
from collectors.signals.presets import read_matcher
from collectors.signals.recording import is_recorded


class Ruled(NamedTuple):
    """used, could: answers that a rule gave, and that one could give.

    misfits: stacks whose rules are evaluated while some of their answers fit none of them
    """

    used: int
    could: int
    misfits: tuple[str, ...]


def ruled(asked: Asked, servers: Iterable[PrometheusServer]) -> Ruled | None:
    """What rules do for a source; None where none could do anything."""
    poll = asked.poll
    if poll is None:
        return None
    selector = [
        read_matcher(one) for server in servers if server.cluster == poll.cluster for one in server.select
    ]
    could = [one for one in poll.answers if one.recorded or _could(one, poll, selector)]
    # Evaluated, and yet not asked: they were made by another version, or for other labels.
    misfits = {one.definition.stack for one in could if not one.recorded} & asked.beside.ruled
    return (
        Ruled(sum(bool(one.recorded) for one in could), len(could), tuple(sorted(misfits))) if could else None
    )


def _could(one: Answer, poll: Poll, selector: Sequence[Matcher]) -> bool:
    """True if a rule that fits would have been asked: not of what brought nothing, of a rate whose window is
    not full yet, of native histograms, nor past a filter that what is recorded does not keep."""
    definition = one.definition
    if not (one.rows and one.query and is_recorded(definition)):
        return False
    if definition.kind == "histogram" and any(
        d.stack == definition.stack and d.native for d in poll.detected
    ):
        return False
    full_s = window_s(poll.intervals.get(definition.stack, poll.interval_s))
    if definition.needs_rate and one.window_s < full_s:
        return False
    return all(matcher.label in definition.keep for matcher in selector)
