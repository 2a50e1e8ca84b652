"""What a Prometheus has: which stacks, of which generation, under which names, in which jobs, and how that is
known. Questions and what their answers mean; pure but for `explained`, which asks them in order.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from collectors.prometheus.wire import Refused, Sample, Vector
from collectors.signals.catalogue import Detected, Matcher, Preset, Probe, Probed
from collectors.signals.promql import any_of, braces, native_base, native_name, quoted, series_name
from collectors.text import clean

EXPORTED = Probe(
    "exported-labels",
    "",
    (),
    present="The scrape sets labels of its own (honor_labels is off), so those of the workload arrive as "
    "exported_pod and exported_namespace: both forms are read.",
    absent="",
)
"""Asked of every stack, by a metric that proves it."""

_TAG = "tidegate_asked"

Jobs = Mapping[str, frozenset[str]]
"""By name of a series, or by stack: the jobs that have it."""

Ask = Callable[[str, float], Awaitable[Vector]]


@dataclass(frozen=True, slots=True)
class Found:
    """present: names of series that exist; of a histogram the name without `_bucket` if it is a native one
    jobs: of each stack whose proof was seen, in order of stack; detected: the same, explained
    """

    present: frozenset[str] = frozenset()
    jobs: Jobs = field(default_factory=dict)
    detected: tuple[Detected, ...] = ()

    @property
    def stacks(self) -> tuple[str, ...]:
        """The stacks that are there."""
        return tuple(self.jobs)


def question(presets: Sequence[Preset], selector: Sequence[Matcher]) -> str:
    """One query for everything: how many series of each name each job has."""
    names = {name for preset in presets for name in _proofs(preset)} | _histograms(presets)
    for preset in presets:
        for definition in preset.definitions:
            names |= {series_name(definition, one) for one in (*definition.metrics, *definition.over)}
    # One bucket of a histogram proves them all, at a seventeenth of the cost.
    either = Matcher("le", "=~", r"|\+Inf")
    return f"count by (__name__, job) ({braces((_named(names), either, *selector))})"


def jobs_by_name(samples: Iterable[Sample]) -> Jobs:
    """The answer to `question`, read."""
    jobs: dict[str, set[str]] = defaultdict(set)
    for sample in samples:
        jobs[sample.metric.get("__name__", "")].add(sample.metric.get("job", ""))
    return {name: frozenset(its) for name, its in jobs.items()}


def series_by_name(samples: Iterable[Sample]) -> dict[str, float]:
    """The answer to `question`, read: how many series of each name, of a histogram how many histograms."""
    found: dict[str, float] = defaultdict(float)
    for sample in samples:
        if sample.value is not None:
            found[sample.metric.get("__name__", "")] += sample.number
    return found


async def explained(
    ask: Ask, presets: Sequence[Preset], names: Jobs, selector: Sequence[Matcher], at: float
) -> Found:
    """What there is, from the names that there are; `ask` sends a query. raises: Refused

    Asked are: each proof that must pass filters; the histograms that may be native ones, where their names
    are there; and once for all, what the stacks that are there are probed for. Without an answer to the last
    two nothing is native, and nothing is said of the probes.
    """
    native = await _natives(ask, _histograms(presets) & names.keys(), selector, at)
    passed: dict[str, Jobs] = {}
    for preset in sorted(presets, key=lambda preset: preset.stack):
        seen_as = {name: series for name in _proofs(preset) if (series := _series(name, names, native))}
        jobs: Jobs = names
        if preset.where and seen_as:
            filtered = braces((_named(seen_as.values()), *preset.where, *selector))
            jobs = jobs_by_name((await ask(f"count by (__name__, job) ({filtered})", at)).samples)
        there = {name: jobs[series] for name, series in seen_as.items() if series in jobs}
        if any(name in there for name in preset.proof):
            passed[preset.stack] = there
    those = [preset for preset in presets if preset.stack in passed]
    answers = await _probed(ask, those, passed, names, selector, at)
    plain = {series_name(d, m) for p in presets for d in p.definitions for m in (*d.metrics, *d.over)}
    return Found(
        present=frozenset(names) - (_histograms(presets) - native - plain),
        jobs={preset.stack: _jobs(preset, passed[preset.stack]) for preset in those},
        detected=tuple(_detected(preset, passed[preset.stack], answers, native) for preset in those),
    )


def _series(name: str, names: Container[str], native: Container[str]) -> str:
    """The name under which a proof is there, its own or that of a native histogram; "" if it is not."""
    base = native_base(name)
    return name if name in names else base if base in native else ""


def _detected(
    preset: Preset, there: Jobs, answers: Mapping[tuple[str, str], bool] | None, native: frozenset[str]
) -> Detected:
    generation = next((g.name for g in preset.generations if any(name in there for name in g.proof)), "")
    probed = []
    for probe in (*preset.probes, *_generic(preset)):
        if answers is not None:
            yes = answers.get((preset.stack, probe.id), False)
            probed.append(Probed(probe.id, yes, probe.present if yes else probe.absent))
    return Detected(
        stack=preset.stack,
        title=preset.title,
        role=preset.role,
        proof=tuple(name for name in preset.proof if name in there),
        jobs=tuple(clean(job) for job in sorted(_jobs(preset, there))),
        generation=generation,
        probes=tuple(probed),
        native=bool(native & _histograms([preset])),
    )


async def _natives(ask: Ask, names: Iterable[str], selector: Sequence[Matcher], at: float) -> frozenset[str]:
    """Those of the names that are native histograms, and not the quantiles of a summary."""
    series = {name: name + braces(tuple(selector)) for name in sorted(names)}
    return (
        await _asked_together(
            ask, {name: f"count(histogram_count({one}))" for name, one in series.items()}, at
        )
        or frozenset()
    )


async def _probed(
    ask: Ask,
    presets: Sequence[Preset],
    passed: Mapping[str, Jobs],
    names: Container[str],
    selector: Sequence[Matcher],
    at: float,
) -> dict[tuple[str, str], bool] | None:
    """The answer to each probe, by stack and probe; None if they could not be asked."""
    questions: dict[str, str] = {}
    keys: dict[str, tuple[str, str]] = {}
    for preset in presets:
        seen = next(name for name in preset.proof if name in passed[preset.stack])
        proof = seen if seen in names else native_base(seen)
        pods, spaces = (
            proof + braces((*preset.where, Matcher(label, "!=", ""), *selector))
            for label in ("exported_pod", "exported_namespace")
        )
        asked = {
            probe.id: " or ".join(
                name + braces((*probe.where, *selector)) for name in (probe.metric, *probe.or_metrics)
            )
            for probe in preset.probes
        }
        asked |= {probe.id: f"{pods} or {spaces}" for probe in _generic(preset)}
        for name, series in asked.items():
            tag = str(len(keys))
            keys[tag] = preset.stack, name
            questions[tag] = f"group({series})"
    found = await _asked_together(ask, questions, at)
    return None if found is None else {key: tag in found for tag, key in keys.items()}


async def _asked_together(ask: Ask, questions: Mapping[str, str], at: float) -> frozenset[str] | None:
    """The keys of those questions, each of one element or none, that have an answer; None where refused.

    raises: Refused if nobody answers at all
    """
    if not questions:
        return frozenset()
    tagged = (f'label_replace({one}, "{_TAG}", {quoted(key)}, "", "")' for key, one in questions.items())
    try:
        vector = await ask(" or ".join(tagged), at)
    except Refused as refused:
        if refused.unreachable or refused.wait_s is not None:
            raise
        return None
    return frozenset(sample.metric.get(_TAG, "") for sample in vector.samples)


def _generic(preset: Preset) -> tuple[Probe, ...]:
    """What is asked of every stack that does not ask it itself."""
    own = any(one.label.startswith("exported_") for probe in preset.probes for one in probe.where)
    return () if own else (EXPORTED,)


def _jobs(preset: Preset, there: Jobs) -> frozenset[str]:
    return frozenset(job for name in preset.proof for job in there.get(name, ()))


def _proofs(preset: Preset) -> list[str]:
    """Names that prove the stack, or one generation of it."""
    return [*preset.proof, *(name for one in preset.generations for name in one.proof)]


def _histograms(presets: Iterable[Preset]) -> frozenset[str]:
    """Names of what may be a native histogram."""
    names = {
        native_name(d, metric) for p in presets for d in p.definitions for metric in (*d.metrics, *d.over)
    }
    return frozenset(names | {native_base(name) for p in presets for name in _proofs(p)}) - {""}


def _named(names: Iterable[str]) -> Matcher:
    return Matcher("__name__", "=~", any_of(sorted(names)))
