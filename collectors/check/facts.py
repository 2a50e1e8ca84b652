"""What was found out by asking every source of a context: the ground for findings, explanations and a first
configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from collectors.config import Context
from collectors.control.interface import PlaneState
from collectors.fleet import Release, SourceHealth, SourceState
from collectors.signals.assemble import Observed, observed
from collectors.signals.catalogue import Answer, Detected, Poll, Preset
from collectors.signals.identity import Names
from collectors.signals.recent import Recent

TIER_LABELS = ("team_alias", "service_tier")
FEATURE_LABELS = ("route", "fairness_id")
"""Labels of gateways and routers that no preset keeps, and that may tell tiers, or features."""

MOST_VALUES = 12
"""Values of such a label that are asked for."""


@dataclass(frozen=True, slots=True)
class Present:
    """What a Prometheus has, where it has none of the stacks.

    names: of all its metrics; jobs: of its targets -> (up, known); error: why these are not known, a sentence
    """

    names: frozenset[str] = frozenset()
    jobs: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, slots=True)
class Beside:
    """What else a Prometheus has that is worth a word; all is empty where that could not be asked.

    down: of its targets that do not answer, how many by job
    ruled: stacks whose recording rules of ours it evaluates, of this or another version
    labels: (title of a stack, label that no preset keeps) -> its values
    """

    down: Mapping[str, int] = field(default_factory=dict)
    ruled: frozenset[str] = frozenset()
    labels: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """One source, and what it said.

    place: its address, without credentials and query; "" where it has none
    clock_offset_s: its clock less ours; None where it tells no time
    poll: of a metrics source, the newest answer to each definition in one poll; None if none came
    present: of a Prometheus without any known stack; beside: of one that has some
    firing: of a source of alerts, how many it has
    """

    health: SourceHealth
    place: str = ""
    clock_offset_s: float | None = None
    poll: Poll | None = None
    present: Present | None = None
    beside: Beside = Beside()
    firing: int | None = None

    @property
    def answers(self) -> bool:
        """True if it can be reached and says something."""
        return self.health.state in {SourceState.OK, SourceState.PARTIAL}


@dataclass(frozen=True)
class Facts:
    """Everything that a context's sources said.

    name: of the context; presets: all that are known; plane: what the control plane said, None without one
    """

    name: str
    context: Context
    presets: tuple[Preset, ...]
    sources: tuple[Asked, ...]
    plane: PlaneState | None = None

    @cached_property
    def polls(self) -> tuple[Poll, ...]:
        """Of every metrics source that answered."""
        return tuple(one.poll for one in self.sources if one.poll is not None)

    @cached_property
    def names(self) -> Names:
        """The identity rules, with what these polls taught."""
        subjects = [r.subject for r in self.plane.releases if r.subject_kind == "model"] if self.plane else []
        names = Names(self.context.identity, self.context.pools).learned((), subjects)
        for poll in self.polls:
            names = self.naming(poll, names).learned(poll.answers)
        return names

    def naming(self, poll: Poll, names: Names | None = None) -> Names:
        """The identity rules as they hold for the rows of one poll."""
        return (self.names if names is None else names).within(poll.cluster)

    @cached_property
    def observed(self) -> tuple[Observed, ...]:
        """What each poll says of models and tiers, in the order of `polls`."""
        # One window is all that is known: with few observations in it the screen judges no better.
        return tuple(observed(poll, self.naming(poll), Recent()) for poll in self.polls)

    @cached_property
    def detected(self) -> tuple[tuple[str, Detected], ...]:
        """(name of the source, a stack it has), in order of source and stack.

        A source that only names its stacks is taken at its word.
        """
        presets = {preset.stack: preset for preset in self.presets}
        found = []
        for poll in self.polls:
            explained = {one.stack: one for one in poll.detected}
            for stack in dict.fromkeys((*poll.stacks, *explained)):
                if (one := explained.get(stack)) is not None:
                    found.append((poll.source, one))
                elif (preset := presets.get(stack)) is not None:
                    found.append((poll.source, Detected(stack, preset.title, preset.role, ())))
        return tuple(found)

    @cached_property
    def models(self) -> tuple[str, ...]:
        """Every model that some series names, in order of name."""
        return tuple(sorted({model for one in self.observed for model in one.models}))

    @cached_property
    def releases(self) -> tuple[Release, ...]:
        """The control plane's releases, then those that only metrics tell of."""
        seen = [release for one in self.observed for release in one.releases]
        return (*(self.plane.releases if self.plane else ()), *seen)

    @cached_property
    def tiers(self) -> frozenset[str]:
        """Every tier that some series names."""
        return frozenset(tier for one in self.observed for tier in one.tiers)


def latest(before: Poll | None, poll: Poll) -> Poll:
    """`poll`, with the answers of the one before to definitions that it did not ask."""
    if before is None:
        return poll
    answers = {_asked(one): one for one in before.answers}
    answers.update({_asked(one): one for one in poll.answers})
    return replace(
        poll,
        answers=tuple(answers.values()),
        targets=poll.targets or before.targets,
        detected=poll.detected or before.detected,
        stacks=poll.stacks or before.stacks,
    )


def _asked(answer: Answer) -> tuple[str, str, str]:
    return answer.definition.stack, answer.definition.signal, answer.definition.role
