"""How names from different exporters come to mean one model, tier and feature.

No exporter knows them all: an engine knows its model's path, the endpoint picker a short name, an
accelerator only the pod that holds it. Rules from the configuration go first, then what the series
themselves tell: an engine's page carries both its model and its pod, which joins accelerators to models.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from collectors.config import Identity, Pool
from collectors.fleet import clean
from collectors.signals.catalogue import Answer, Row

WORKLOAD = re.compile(r"^(.+?)(-[bcdfghjklmnpqrstvwxz2456789]{8,10})?-([a-z0-9]{5}|[0-9]+)$")
"""A pod's name as Deployments, DaemonSets and StatefulSets make it; group 1 is the workload."""

_MODEL_LABELS = ("target_model_name", "model_name", "model")


class Workload(NamedTuple):
    """What holds an accelerator: the workload of a pod, in a namespace (either may be empty)."""

    namespace: str
    name: str


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
    return Workload(labels.get("namespace", ""), name)


def has_exported(rows: Iterable[Row]) -> bool:
    """True if any row says its pod under an `exported_` name."""
    return any(r.labels.get("exported_workload") or r.labels.get("exported_pod") for r in rows)


def short_name(name: str) -> str:
    """What is left of a path-like model name: `acme/Aurora-5` is `aurora-5`."""
    return clean(name.rstrip("/").rsplit("/", 1)[-1].lower()) or clean(name)


@dataclass(frozen=True)
class Names:
    """Identity rules, compiled, with what was learned from the series so far.

    joined: workload -> models whose engine runs in it; known: models named by engines, routers, releases
    """

    identity: Identity
    pools: tuple[Pool, ...] = ()
    joined: Mapping[Workload, str] = field(default_factory=dict)
    known: frozenset[str] = frozenset()

    def learned(self, answers: Sequence[Answer], subjects: Iterable[str] = ()) -> "Names":
        """The same rules, with joins and names from one poll and from the control plane's subjects."""
        joined, known = dict(self.joined), set(self.known)
        known.update(map(self.subject, subjects))
        for answer in answers:
            if answer.definition.role not in {"engine", "router"}:
                continue
            exported = has_exported(answer.rows)
            for row in answer.rows:
                if (model := self.model(row.labels)) is None:
                    continue
                known.add(model)
                where = workload(row.labels, exported=exported)
                if answer.definition.role == "engine" and where.name:
                    joined[where] = model
        if joined == self.joined and known == self.known:
            return self
        return replace(self, joined=joined, known=frozenset(known))

    def model(self, labels: Mapping[str, str]) -> str | None:
        """The model an engine's or router's series belongs to; None if nothing names one."""
        if (ruled := self._ruled_model(labels)) is not None:
            return ruled
        for label in _MODEL_LABELS:
            if name := labels.get(label):
                return self._aliased(name)
        return None

    def model_of_accelerator(self, labels: Mapping[str, str], *, exported: bool) -> str | None:
        """The model whose pod holds an accelerator; None if no rule, join or name says."""
        if (ruled := self._ruled_model(labels)) is not None:
            return ruled
        where = workload(labels, exported=exported)
        if not where.name:
            return None
        if (model := self.joined.get(where)) is not None:
            return model
        if (alias := self.identity.aliases.get(where.name)) is not None:
            return alias
        name = short_name(where.name)
        return name if name in self.known else None

    def subject(self, name: str) -> str:
        """The model a release's subject means."""
        return self.identity.releases.get(name) or self._aliased(name)

    def tier(self, labels: Mapping[str, str]) -> str | None:
        """The tier a series belongs to; an unmapped priority is its own tier, shown as it is."""
        for rule in self.identity.tiers:
            if (found := _expanded(rule.regex, labels.get(rule.label, ""), rule.tier)) is not None:
                return found
        priority = labels.get("priority", "")
        if not priority or priority == "None":
            return None
        return self.identity.priority.get(priority, clean(priority))

    def feature(self, labels: Mapping[str, str]) -> str | None:
        """The feature a series belongs to, by the configured rules alone: no exporter knows features."""
        for rule in self.identity.features:
            if (found := _expanded(rule.regex, labels.get(rule.label, ""), rule.feature)) is not None:
                return found
        return None

    def pool(self, labels: Mapping[str, str], *, exported: bool) -> Pool | None:
        """The configured pool an accelerator's row belongs to."""
        where = workload(labels, exported=exported)
        seen = {**labels, "workload": where.name, "namespace": where.namespace}
        return next((p for p in self.pools if all(seen.get(k) == v for k, v in p.match.items())), None)

    def _ruled_model(self, labels: Mapping[str, str]) -> str | None:
        for rule in self.identity.models:
            if (found := _expanded(rule.regex, labels.get(rule.label, ""), rule.model)) is not None:
                return found
        return None

    def _aliased(self, name: str) -> str:
        aliases = self.identity.aliases
        short = short_name(name)
        return aliases.get(name) or aliases.get(short) or short


def _expanded(regex: str, value: str, template: str) -> str | None:
    """`template` with $1 ... filled, where `regex` matches the whole value; None elsewhere."""
    if not value or (found := re.fullmatch(regex, value)) is None:
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
