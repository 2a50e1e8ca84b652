"""How names from different exporters come to mean one model, tier and feature.

No exporter knows them all: an engine knows its model's path, the endpoint picker a short name, an
accelerator only the pod that holds it. Rules from the configuration go first, then what the series
themselves tell: an engine's page carries both its model and its pod, which joins accelerators to models.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import NamedTuple

from collectors.config import Identity, Pool
from collectors.regex import compiled
from collectors.signals.catalogue import Answer, Row
from collectors.text import clean

WORKLOAD = re.compile(r"^(.+?)(-[bcdfghjklmnpqrstvwxz2456789]{8,10})?-([a-z0-9]{5}|[0-9]+)$")
"""A pod's name as Deployments, DaemonSets and StatefulSets make it; group 1 is the workload."""

_MODEL_LABELS = ("target_model_name", "model_name", "model")
_STAND_INS = ("exported_workload", "workload", "job")


class Workload(NamedTuple):
    """What holds an accelerator: the workload of a pod, in a namespace of a cluster (each may be empty)."""

    namespace: str
    name: str
    cluster: str = ""


class Explained(NamedTuple):
    """A name, and the rule that gave it, in words; None and "" where nothing gives one."""

    name: str | None
    rule: str


def workload_of_pod(pod: str) -> str:
    """The pod's workload; the pod's own name where it does not look generated."""
    found = WORKLOAD.match(pod)
    return found[1] if found else pod


def workload(labels: Mapping[str, str], *, exported: bool) -> Workload:
    """The workload a series belongs to.

    exported: some series of this kind carry `exported_pod`, so the plain `pod` is the exporter's own
    """
    if exported:
        name = labels.get("exported_workload") or workload_of_pod(labels.get("exported_pod", ""))
        return Workload(labels.get("exported_namespace", ""), name)
    name = labels.get("workload") or workload_of_pod(labels.get("pod", ""))
    # A page may tell both, and its target only a namespace: then that one alone was renamed.
    return Workload(labels.get("exported_namespace") or labels.get("namespace", ""), name)


def has_exported(rows: Iterable[Row]) -> bool:
    """True if any row says its pod under an `exported_` name."""
    return any(r.labels.get("exported_workload") or r.labels.get("exported_pod") for r in rows)


@lru_cache(maxsize=8192)
def short_name(name: str) -> str:
    """What is left of a path-like model name: `acme/Aurora-5` is `aurora-5`."""
    return clean(name.rstrip("/").rsplit("/", 1)[-1].lower()) or clean(name)


@dataclass(frozen=True)
class Names:
    """Identity rules, compiled, with what was learned from the series so far.

    joined: workload -> models whose engine runs in it; known: models named by engines, routers, releases
    cluster: that all series belong to, where their source watches one of several
    cluster_label: the label that tells clusters apart, where one store holds several
    A model of a cluster is called `model@cluster`.
    """

    identity: Identity
    pools: tuple[Pool, ...] = ()
    joined: Mapping[Workload, str] = field(default_factory=dict)
    known: frozenset[str] = frozenset()
    cluster: str = ""
    cluster_label: str = ""

    def within(self, cluster: str) -> "Names":
        """The same rules for the series of one cluster."""
        return self if cluster == self.cluster else replace(self, cluster=cluster)

    def learned(self, answers: Sequence[Answer], subjects: Iterable[str] = ()) -> "Names":
        """The same rules, with joins and names from one poll and from the control plane's subjects."""
        joined, known = dict(self.joined), set(self.known)
        known.update(map(self.subject, subjects))
        nameless: dict[Workload, str | None] = {}
        for answer in answers:
            if answer.definition.role not in {"engine", "router", "gateway"}:
                continue
            exported = has_exported(answer.rows)
            for row in answer.rows:
                where = self._where(row.labels, exported=exported)
                is_engine = answer.definition.role == "engine"
                if (model := self._named(row.labels)[0]) is not None:
                    known.add(model)
                    if is_engine and where.name:
                        joined[where] = model
                elif is_engine:
                    nameless[where] = self._first(row.labels, _STAND_INS)[0]
        # Only after all that name their model: an engine may name it in some of its series and not in others.
        for where, stand_in in nameless.items():
            if stand_in is not None and where not in joined:
                known.add(stand_in)
                if where.name:
                    joined[where] = stand_in
        if joined == self.joined and known == self.known:
            return self
        return replace(self, joined=joined, known=frozenset(known))

    def model(self, labels: Mapping[str, str]) -> str | None:
        """The model that labels name; None if they name none."""
        return self.placed(self._named(labels)[0], labels)

    def model_of_row(self, row: Row, role: str) -> str | None:
        """The model a serving stack's row belongs to; an engine that names none is called as its workload or
        job is."""
        found = self._engine(row.labels) if role == "engine" else self._named(row.labels)
        return self.placed(found[0], row.labels)

    def model_of_accelerator(self, labels: Mapping[str, str], *, exported: bool) -> str | None:
        """The model whose pod holds an accelerator; None if no rule, join or name says."""
        return self.placed(self._holding(labels, exported=exported)[0], labels)

    def model_of_target(self, labels: Mapping[str, str]) -> str | None:
        """The model whose engine runs in a target's pod; None where none is known to."""
        return self.placed(self.joined.get(self._where(labels, exported=False)), labels)

    def model_of_pool(self, pool: str, labels: Mapping[str, str]) -> str | None:
        """Pool-wide series name no model: the pool's own name, less a `-pool` ending, may be one."""
        for name in (pool, pool.removesuffix("-pool")):
            if alias := self._aliases.get(name):
                return self.placed(alias, labels)
            if name in self.known:
                return self.placed(name, labels)
        return None

    def placed(self, model: str | None, labels: Mapping[str, str]) -> str | None:
        """The model under the name that tells its cluster, where there are several."""
        cluster = self.cluster_of(labels)
        return f"{model}@{cluster}" if model is not None and cluster else model

    def cluster_of(self, labels: Mapping[str, str]) -> str:
        """The cluster a series belongs to; "" where nothing tells."""
        return self.cluster or (clean(labels.get(self.cluster_label, ""), 40) if self.cluster_label else "")

    def explained_model(self, labels: Mapping[str, str]) -> Explained:
        """As `model_of_row` of an engine, with the rule that says so."""
        name, *how = self._engine(labels)
        return Explained(self.placed(name, labels), _worded(how))

    def explained_accelerator(self, labels: Mapping[str, str], *, exported: bool) -> Explained:
        """As `model_of_accelerator`, with the rule that says so."""
        name, *how = self._holding(labels, exported=exported)
        return Explained(self.placed(name, labels), _worded(how))

    def subject(self, name: str) -> str:
        """The model a release's subject means."""
        return self.identity.releases.get(name) or self._aliased(name)

    def tier(self, labels: Mapping[str, str]) -> str | None:
        """The tier a series belongs to; an unmapped priority is its own tier, shown as it is."""
        return self.explained_tier(labels).name

    def explained_tier(self, labels: Mapping[str, str]) -> Explained:
        """As `tier`, with the rule that says so."""
        for number, rule in enumerate(self.identity.tiers):
            if (found := _expanded(rule.regex, labels.get(rule.label, ""), rule.tier)) is not None:
                return Explained(found, f'identity.tiers[{number}]: {rule.label}=~"{rule.regex}"')
        priority = labels.get("priority", "")
        if priority in _NOTHING:
            return Explained(None, "")
        if (mapped := self.identity.priority.get(priority)) is not None:
            return Explained(mapped, f"identity.priority: {priority}")
        return Explained(clean(priority), "label priority, as it is")

    def feature(self, labels: Mapping[str, str]) -> str | None:
        """The feature a series belongs to, by the configured rules alone: no exporter knows features."""
        return self.explained_feature(labels).name

    def explained_feature(self, labels: Mapping[str, str]) -> Explained:
        """As `feature`, with the rule that says so."""
        for number, rule in enumerate(self.identity.features):
            if (found := _expanded(rule.regex, labels.get(rule.label, ""), rule.feature)) is not None:
                return Explained(found, f'identity.features[{number}]: {rule.label}=~"{rule.regex}"')
        return Explained(None, "")

    def pool(self, labels: Mapping[str, str], *, exported: bool) -> Pool | None:
        """The configured pool an accelerator's row belongs to."""
        if not self.pools:
            return None
        where = workload(labels, exported=exported)
        seen = {**labels, "workload": where.name, "namespace": where.namespace}
        return next((p for p in self.pools if all(seen.get(k) == v for k, v in p.match.items())), None)

    def _where(self, labels: Mapping[str, str], *, exported: bool) -> Workload:
        return workload(labels, exported=exported)._replace(cluster=self.cluster_of(labels))

    def _named(self, labels: Mapping[str, str]) -> "_Found":
        """(model without its cluster, kind of rule, what it read)"""
        if (ruled := self._ruled(labels)) is not None:
            return ruled
        return self._first(labels, _MODEL_LABELS)

    def _engine(self, labels: Mapping[str, str]) -> "_Found":
        found = self._named(labels)
        if found[0] is not None:
            return found
        where = self._where(labels, exported=bool(labels.get("exported_workload")))
        if where.name and (model := self.joined.get(where)) is not None:
            return model, "join", "/".join(filter(None, where[:2]))
        return self._first(labels, _STAND_INS)

    def _first(self, labels: Mapping[str, str], those: Sequence[str]) -> "_Found":
        for label in those:
            if (name := labels.get(label, "")) not in _NOTHING:
                return self._by_label(name, label)
        return None, "", ""

    def _holding(self, labels: Mapping[str, str], *, exported: bool) -> "_Found":
        if (ruled := self._ruled(labels)) is not None:
            return ruled
        where = self._where(labels, exported=exported)
        if not where.name:
            return None, "", ""
        if (model := self.joined.get(where)) is not None:
            return model, "join", "/".join(filter(None, where[:2]))
        if (alias := self._aliases.get(where.name)) is not None:
            return alias, "alias", where.name
        name = short_name(where.name)
        # Where an engine runs in a workload of this name, another namespace's is another one.
        if name in self.known and not (where.namespace and where.name in self._joined_names):
            return name, "workload", where.name
        return None, "", ""

    @cached_property
    def _joined_names(self) -> frozenset[str]:
        """Workloads, by name, of which it is known in which namespace an engine runs in them."""
        return frozenset(where.name for where in self.joined if where.namespace)

    def _ruled(self, labels: Mapping[str, str]) -> "_Found | None":
        for number, rule in enumerate(self.identity.models):
            if (found := _expanded(rule.regex, labels.get(rule.label, ""), rule.model)) is not None:
                return found, "rule", f'[{number}]: {rule.label}=~"{rule.regex}"'
        return None

    def _by_label(self, name: str, label: str) -> "_Found":
        aliases, short = self._aliases, short_name(name)
        for known in (name, short):
            if known in aliases:
                return aliases[known], "alias", known
        return short, "label", label

    @cached_property
    def _aliases(self) -> Mapping[str, str]:
        """Name -> the model at the end of its chain: what an alias names may be one itself."""
        given, ends = self.identity.aliases, {}
        for name in given:
            end, passed = given[name], {name}
            while end in given and end not in passed:
                passed.add(end)
                end = given[end]
            ends[name] = end
        return ends

    def _aliased(self, name: str) -> str:
        return self._by_label(name, "")[0] or name


_Found = tuple[str | None, str, str]
_NOTHING = frozenset({"", "None"})
"""What exporters write that have no value: LiteLLM writes Python's None."""

_RULES = {
    "rule": "identity.models{}",
    "alias": "identity.aliases: {}",
    "label": "label {}",
    "join": "workload {} runs an engine of it",
    "workload": "workload {} is called like it",
}


def _worded(how: Sequence[str]) -> str:
    kind, read = how
    return clean(_RULES[kind].format(read), 200) if kind else ""


@lru_cache(maxsize=16_384)
def _expanded(regex: str, value: str, template: str) -> str | None:
    """`template` with $1 ... filled, where `regex` matches the whole value; None elsewhere."""
    if value in _NOTHING or (found := compiled(regex).fullmatch(value)) is None:
        return None
    groups = ("", *(g or "" for g in found.groups()))
    filled = re.sub(r"\$(\d)", lambda m: groups[int(m[1])] if int(m[1]) < len(groups) else "", template)
    return clean(filled) or None


def ordered_tiers(
    configured: Sequence[str], from_plane: Sequence[str], seen: Iterable[str]
) -> tuple[str, ...]:
    """Tiers by priority: the configured order, else the plane's, then what else was seen.

    Bare priorities sort as numbers, highest first: negative ones are shed first.
    """
    order = list(configured or from_plane)
    rest = sorted(set(seen) - set(order), key=lambda t: (-float(t) if re.fullmatch(r"-?\d+", t) else 0.0, t))
    return (*order, *rest)
