"""What the servers kept of a span, looked at before it is asked for: from when, how often, how much."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from collectors.config import Context, PrometheusServer
from collectors.prometheus.wire import Refused
from collectors.reconstruct.plan import Cost, Grid, PlanError, cost
from collectors.reconstruct.poller import PastPoller
from collectors.reconstruct.ranges import Ranges, Unanswered
from collectors.signals.assemble import observed
from collectors.signals.catalogue import Matcher, Preset
from collectors.signals.identity import Names
from collectors.signals.presets import read_matcher
from collectors.signals.promql import any_of, braces

LOOK_STEP_S = 300.0
"""Every sample is within so much of some look: the look-back of a server."""

_PROBED_STEPS = 16


class Kept(NamedTuple):
    """first, last: seconds since the epoch between which there is something, within the span asked for"""

    first: float
    last: float


async def kept(server: PrometheusServer, presets: Sequence[Preset], start: float, end: float) -> Kept | None:
    """From when to when a server has series of the stacks that are known; None where it has none.

    raises: Refused, Unanswered
    """
    names = {name for p in presets for name in p.proof} | {
        n for p in presets for g in p.generations for n in g.proof
    }
    selector: list[Matcher] = [read_matcher(one) for one in server.select]
    query = f"count({braces((Matcher('__name__', '=~', any_of(sorted(names))), *selector))})"
    ranges = Ranges(server, lambda step: 0.0, LOOK_STEP_S)
    try:
        found = await _seen(ranges, query, start, end, LOOK_STEP_S)
        if found is None:
            return None
        first = found.first
        if first > start:
            finer = await _seen(ranges, query, max(start, first - LOOK_STEP_S), first, 1.0)
            first = finer.first if finer is not None else first
        return Kept(first, found.last)
    finally:
        ranges.close()


async def _seen(ranges: Ranges, query: str, start: float, end: float, step_s: float) -> Kept | None:
    times = [
        start + (piece.first + int(column)) * step_s
        for piece in await ranges.several(query, start, end, step_s)
        for column in np.flatnonzero(piece.there.any(axis=0))
    ]
    return Kept(times[0], times[-1]) if times else None


class Pace(NamedTuple):
    """interval_s: between scrapes, of the fastest; series: readings; seconds: that one moment takes"""

    interval_s: float
    series: int
    seconds: float


async def pace(server: PrometheusServer, context: Context, presets: Sequence[Preset], at: float) -> Pace:
    """How a server answers about a moment. raises: Unanswered"""
    grid = Grid.between(at - 3600, at, 15.0)
    ranges = Ranges(server, grid.time_of, grid.step_s)
    try:
        ranges.begin(grid.last + _PROBED_STEPS)
        poller = PastPoller(server, ranges, presets=presets, overrides=context.signals)
        step = grid.last - 1
        began = time.monotonic()
        poll = await poller.poll_at(step)
        fetched_s = (time.monotonic() - began) / _PROBED_STEPS
        again = time.monotonic()
        names = Names(context.identity, context.pools, cluster_label=server.cluster_label)
        learned = names.within(poll.cluster).learned(poll.answers).within("")
        seen = observed(poll, learned)
        await poller.poll_at(step + 1)
        # The frame and its bytes take about as long again.
        return Pace(poll.interval_s, len(seen.readings), fetched_s + 1.5 * (time.monotonic() - again))
    finally:
        ranges.close()


async def surveyed(
    context: Context, presets: Sequence[Preset], start: float, end: float, step_s: float | None
) -> tuple[Grid, Cost, float]:
    """The grid that there is something for, what it will cost, and from when there is data.

    raises: Unanswered; PlanError where nothing was kept of the span
    """
    spans, paces = [], []
    for server in context.prometheus:
        try:
            found = await kept(server, presets, start, end)
        except Refused as refused:
            raise Unanswered(refused) from None
        if found is None and context.signals:
            # Nobody knows what an operator's own queries need.
            found = Kept(start, end)
        if found is not None:
            spans.append(found)
            paces.append(await pace(server, context, presets, found.last))
    if not spans:
        raise PlanError(
            "nothing is kept of that span: no series of any stack that is known. `tidegate check` says what "
            "there is now"
        )
    first = min(span.first for span in spans)
    step_s = step_s or min(one.interval_s for one in paces)
    grid = Grid.between(max(first, start), end, max(step_s, 1.0))
    total = cost(grid.frames, sum(one.series for one in paces), sum(one.seconds for one in paces))
    return grid, total, first
