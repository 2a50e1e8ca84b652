"""What a Prometheus has: which stacks, under which names, in which jobs. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from collectors.prometheus.wire import Sample
from collectors.signals.catalogue import Matcher, Preset
from collectors.signals.promql import any_of, braces, series_name


@dataclass(frozen=True, slots=True)
class Found:
    """present: names of series that exist; jobs: of each stack whose proof was seen, in order of stack."""

    present: frozenset[str] = frozenset()
    jobs: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def stacks(self) -> tuple[str, ...]:
        """The stacks that are there."""
        return tuple(self.jobs)

    def jobs_of(self, stacks: Iterable[str]) -> tuple[str, ...]:
        """Jobs of these stacks, in order of name."""
        return tuple(sorted({job for stack in stacks for job in self.jobs[stack]}))


def question(presets: Sequence[Preset], selector: Sequence[Matcher]) -> str:
    """One query for everything: how many series of each name each job has."""
    names = {name for preset in presets for name in preset.proof}
    for preset in presets:
        for definition in preset.definitions:
            names |= {series_name(definition, one) for one in (*definition.metrics, *definition.over)}
    wanted = Matcher("__name__", "=~", any_of(sorted(names)))
    # One bucket of a histogram proves them all, at a seventeenth of the cost.
    either = Matcher("le", "=~", r"|\+Inf")
    return f"count by (__name__, job) ({braces((wanted, either, *selector))})"


def found(presets: Sequence[Preset], samples: Iterable[Sample]) -> Found:
    """The answer to `question`, read."""
    jobs: dict[str, set[str]] = defaultdict(set)
    for sample in samples:
        jobs[sample.metric.get("__name__", "")].add(sample.metric.get("job", ""))
    proven = {
        preset.stack: frozenset(job for name in preset.proof for job in jobs.get(name, ()))
        for preset in presets
    }
    return Found(frozenset(jobs), {stack: its for stack, its in sorted(proven.items()) if its})
