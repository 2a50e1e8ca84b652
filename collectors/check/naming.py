"""Tiers and features: which there are, where their names come from, and what may tell them. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from collectors.check.facts import FEATURE_LABELS, Facts
from collectors.check.proposals import Proposal, key_text
from collectors.signals.catalogue import Answer, Poll
from collectors.signals.identity import ordered_tiers
from collectors.text import clean

_MOST_TIERS = 12
_TIER_LABELS = ("namespace", "exported_namespace", "inference_pool", "service_tier", "team_alias", "team")


@dataclass(frozen=True, slots=True)
class Named:
    """Tiers, or features: which there are, where their names come from, what to do where there are none."""

    names: tuple[str, ...]
    origins: tuple[str, ...]
    why: tuple[str, ...]


def tiers_of(facts: Facts) -> Named:
    """Tiers that series name."""
    origins: dict[str, None] = {}
    for poll, answer, labels in _serving(facts):
        tier, rule = facts.naming(poll).explained_tier(labels)
        if tier:
            origins[f"{rule} ({_title(facts, answer)})"] = None
    if facts.tiers:
        plane = facts.plane.tiers if facts.plane else ()
        seen = [t for t in ordered_tiers(facts.context.tiers, plane, facts.tiers) if t in facts.tiers]
        unseen = [t for t in facts.context.tiers if t not in facts.tiers]
        why = tuple(f"tier {t} is configured, and no series names it" for t in unseen)
        return Named(tuple(seen), tuple(origins), why)
    return Named((), (), tuple(_no_tiers(facts)) if facts.models else ())


def features_of(facts: Facts) -> Named:
    """Features that series or the control plane name."""
    origins: dict[str, None] = {}
    names: set[str] = set()
    for poll, answer, labels in _serving(facts):
        feature, rule = facts.naming(poll).explained_feature(labels)
        if feature:
            names.add(feature)
            origins[f"{rule} ({_title(facts, answer)})"] = None
    from_plane = [feature.id for feature in facts.plane.features] if facts.plane else []
    if from_plane:
        origins["the control plane"] = None
    why: tuple[str, ...] = ()
    if facts.models and not names:
        rules = bool(facts.context.identity.features)
        telling = told_labels(facts, FEATURE_LABELS)
        said = "no label matches a rule" if rules else "there is no rule"
        why = (
            f"readings are not told apart by feature: {said} in "
            f"[[contexts.{key_text(facts.name)}.identity.features]]",
            *(
                f"{title} has the label {label} ({', '.join(values[:4])}): a rule can make features of it"
                for title, label, values in telling
            ),
        )
    return Named((*sorted(names), *(f for f in from_plane if f not in names)), tuple(origins), why)


def tier_rules(facts: Facts) -> list[Proposal]:
    """Labels that may tell tiers apart, as rules: those with a few values on one model's series."""
    values: dict[str, dict[str, set[str]]] = {label: {} for label in _TIER_LABELS}
    for poll in facts.polls:
        names = facts.naming(poll)
        for answer in poll.answers:
            if answer.definition.role not in {"engine", "router", "gateway"}:
                continue
            for row in answer.rows:
                model = names.model_of_row(row, answer.definition.role) or ""
                for label in _TIER_LABELS:
                    if value := row.labels.get(label):
                        values[label].setdefault(model, set()).add(clean(value, 40))
    found = []
    for label, of_models in values.items():
        if any(2 <= len(seen) <= _MOST_TIERS for seen in of_models.values()):
            rule = f'[{{ label = "{label}", regex = "(.+)", tier = "$1" }}]'
            examples = ", ".join(sorted(set().union(*of_models.values()))[:4])
            found.append(Proposal("identity", "tiers", rule, sure=False, note=examples))
    return found


def told_labels(facts: Facts, wanted: Sequence[str]) -> list[tuple[str, str, tuple[str, ...]]]:
    """(title of a stack, label, its values) of labels that no rule reads yet, each label once."""
    found: dict[str, tuple[str, str, tuple[str, ...]]] = {}
    for asked in facts.sources:
        for (title, label), values in asked.beside.labels.items():
            if label in wanted:
                _, _, before = found.get(label, ("", "", ()))
                every = sorted({*before, *(clean(one, 40) for one in values)})
                found[label] = (title, label, tuple(every))
    return list(found.values())


def _no_tiers(facts: Facts) -> Iterable[str]:
    detected = {one.stack for _, one in facts.detected}
    telling = [p for p in facts.presets if any("priority" in d.keep for d in p.definitions)]
    there = [p.title for p in telling if p.stack in detected]
    if there:
        yield f"{', '.join(there)}: can tell priorities apart, and no series of it names one"
        for _, one in facts.detected:
            yield from (f"{one.title}: {probed.sentence}" for probed in one.probes if probed.sentence)
    else:
        titles = ", ".join(p.title for p in telling)
        yield f"no stack that is there tells tiers apart; with priorities these do: {titles}"
    yield (
        f"any label can: write a rule to [[contexts.{key_text(facts.name)}.identity.tiers]] with "
        "label, regex, tier; until then there is one column, all"
    )


def _serving(facts: Facts) -> Iterable[tuple[Poll, Answer, Mapping[str, str]]]:
    for poll in facts.polls:
        for answer in poll.answers:
            if answer.definition.role in {"engine", "router", "gateway", "override"}:
                for row in answer.rows:
                    yield poll, answer, row.labels


def _title(facts: Facts, answer: Answer) -> str:
    stack = answer.definition.stack
    return next((preset.title for preset in facts.presets if preset.stack == stack), stack)
