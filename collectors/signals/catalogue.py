"""Signal definitions: one description from which a query is rendered and a page is evaluated.

A definition is data (`presets/*.toml`), validated on load. `promql.py` renders it for a Prometheus;
`scrape/` evaluates the same thing on pages. Both answer with the types below.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from collectors.fleet import SourceHealth


class Matcher(NamedTuple):
    """One label filter. `op` as in PromQL; regexes are anchored, RE2 syntax."""

    label: str
    op: Literal["=", "!=", "=~", "!~"]
    value: str


class Derive(NamedTuple):
    """A label made from another before aggregating, as `label_replace` does: `target` becomes `replacement`
    ($1 ... are groups) where `regex`, anchored, matches `source`; otherwise it keeps what it was."""

    target: str
    source: str
    regex: str
    replacement: str


@dataclass(frozen=True, slots=True)
class Metric:
    """One way to measure a signal.

    name: of the gauge or counter; of a histogram without `_bucket`
    factor: multiplies the value, to get the signal's unit
    rung: what this way really measures, shown where it is not the first choice
    """

    name: str
    where: tuple[Matcher, ...] = ()
    factor: float = 1.0
    rung: str = ""


Kind = Literal["gauge", "counter", "histogram", "ratio"]
Role = Literal["engine", "router", "gateway", "accelerator", "heat", "cluster", "rollout", "override"]
"""What a stack is. cluster: what the orchestrator says of nodes and pods; rollout: of staged releases;
override: an operator's own query, which wins over every other."""


@dataclass(frozen=True, slots=True)
class Definition:
    """How one stack exports one signal.

    signal: id in `fleet.SIGNALS`; of a histogram, the family ("queue_wait"), from which the quantiles
        in `quantiles` become signals of their own ("queue_wait_p99")
    kind: gauge: values; counter: rate over the window; histogram: rates of merged buckets; ratio: the sum of
        `metrics` over the sum of `over` (both gauges, or both counters if `of_rates`)
    metrics: alternatives, in order: the first that answers for a group is used for that group, never two
        together; of a ratio, all are added up
    keep: labels that stay on the answer; identity turns them into model, tier and pool
    derive: labels made before aggregating
    aggregate: sum, avg, max or count over what shares the kept labels
    distinct: labels that name one thing (an accelerator): `max by (distinct, keep)` before aggregating, so
        that shared or duplicated series count once
    lane: "fast" every poll; "heat" for the per-accelerator map, polled seldom and bounded
    source: where upstream says so (file or page), for `check --explain`
    needs: what brings the signal where the stack is there and this is not: a setting, in one sentence
    promql: of role override: the operator's own query, asked as it is; `metrics` is then empty
    either_by: labels of `keep` by which an alternative gives way; () for all of them. Fewer where one
        exporter tells parts (by priority) and another, or itself, the total: never both
    """

    signal: str
    stack: str
    role: Role
    kind: Kind
    metrics: tuple[Metric, ...]
    keep: tuple[str, ...]
    aggregate: Literal["sum", "avg", "max", "count"] = "sum"
    derive: tuple[Derive, ...] = ()
    distinct: tuple[str, ...] = ()
    over: tuple[Metric, ...] = ()
    of_rates: bool = False
    quantiles: tuple[float, ...] = ()
    lane: Literal["fast", "heat"] = "fast"
    source: str = ""
    needs: str = ""
    promql: str = ""
    either_by: tuple[str, ...] = ()

    @property
    def needs_rate(self) -> bool:
        """True if one scrape is not enough to answer."""
        return self.kind in {"counter", "histogram"} or self.of_rates


class Generation(NamedTuple):
    """One set of names that releases of a stack exported. `proof`: names that only this one has."""

    name: str
    proof: tuple[str, ...]


class Probe(NamedTuple):
    """A question about a stack that is there: has it a series of `metric` that passes `where`?

    or_metrics: other names of the same, as other releases write it
    present, absent: what either answer means and what to do about it, in one sentence; "" for nothing to say
    """

    id: str
    metric: str
    where: tuple[Matcher, ...]
    present: str
    absent: str
    or_metrics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Preset:
    """The definitions of one stack.

    proof: metric names, any of which shows that the stack is there; where: filters that the proof must pass
    generations: the newest first; the first whose proof is there is what the stack is
    never: signal (of a histogram, the family) -> why this stack can not export it, and what does
    """

    stack: str
    title: str
    role: Role
    proof: tuple[str, ...]
    definitions: tuple[Definition, ...]
    where: tuple[Matcher, ...] = ()
    generations: tuple[Generation, ...] = ()
    probes: tuple[Probe, ...] = ()
    never: Mapping[str, str] = field(default_factory=dict)


class Probed(NamedTuple):
    """A probe's answer. `sentence`: what it means; may be empty."""

    id: str
    found: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class Detected:
    """A stack that a source has, and how that is known.

    generation: its name, "" where the stack has only one; proof: the metric names that were seen
    jobs: whose targets carry it; native: histograms of it are native ones
    """

    stack: str
    title: str
    role: Role
    proof: tuple[str, ...]
    jobs: tuple[str, ...] = ()
    generation: str = ""
    probes: tuple[Probed, ...] = ()
    native: bool = False


@dataclass(frozen=True, slots=True)
class Buckets:
    """Merged cumulative buckets: `rates[i]` observations a second at or below `bounds[i]`; the last bound is
    infinite. Bounds ascend; rates are made non-decreasing, as Prometheus does, before they get here."""

    bounds: tuple[float, ...]
    rates: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One group of an answer: its kept labels (absent ones left out, values cleaned), its value, and the rung
    used where it was not the first. A value may be NaN, as exporters and quotients send it."""

    labels: Mapping[str, str]
    value: float | Buckets
    rung: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one source said to one definition in one poll.

    at: when the values were true: the oldest scrape among the live targets of the stack; None if unknown
    collecting: for rates, (scrapes seen, scrapes needed) while there are too few; rows are then empty
    error: a sentence when this signal's query failed; other signals are not affected
    window_s: of rates; 0 for others
    query: what was asked of a Prometheus, "" for pages; recorded: name of the recording rule that answered
    """

    definition: Definition
    rows: tuple[Row, ...]
    at: float | None
    collecting: tuple[int, int] | None = None
    error: str = ""
    window_s: float = 0.0
    query: str = ""
    recorded: str = ""


@dataclass(frozen=True, slots=True)
class ScrapeTarget:
    """One scraped page, by its target labels (job, instance, and what service discovery added).

    stacks: of the presets whose proof it carries, as far as known; at: time of its last scrape
    carries: of a page read directly, the labels of its own that may name a model, one for each set of them
    """

    labels: Mapping[str, str]
    up: bool
    at: float | None
    stacks: frozenset[str] = field(default_factory=frozenset)
    carries: tuple[Mapping[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class PastAnswer:
    """What a definition would have answered before the watch began: rows by time, oldest first."""

    definition: Definition
    moments: tuple[tuple[float, tuple[Row, ...]], ...]


@dataclass(frozen=True, slots=True)
class Poll:
    """Everything one metrics source brought in one poll.

    at: evaluation time, by the source's clock; interval_s: between scrapes of the fastest target it asked
    intervals: seconds between two answers of a stack, where that is slower than `interval_s`
    answers: one for each definition that was asked; a definition not asked this time is left out
    stacks: presets whose proof was seen; empty before detection
    detected: the same, explained
    cluster: that every row belongs to, where the source is one of several; "" where its rows or nobody says
    past: of the first poll that has it: what was kept of before, by the labels of its rows
    """

    source: str
    at: float
    interval_s: float
    answers: tuple[Answer, ...]
    targets: tuple[ScrapeTarget, ...]
    stacks: tuple[str, ...]
    health: SourceHealth
    intervals: Mapping[str, float] = field(default_factory=dict)
    detected: tuple[Detected, ...] = ()
    cluster: str = ""
    past: tuple["PastAnswer", ...] = ()


RATE_SCRAPES = 4
"""A rate needs this many scrapes in its window, or it is not shown."""


MAX_ROWS = 25_000
"""Most rows of one answer, more than a large fleet has accelerators: all that follows waits for them."""


def window_s(interval_s: float) -> float:
    """Rate window: four scrape intervals, at least 20 s, so that one lost scrape does not end it."""
    return max(20.0, RATE_SCRAPES * interval_s)
