"""Which alert of a server is which: told twice it is one, and it belongs to a model and a tier. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from collectors.alerts.derived import LAST_KNOWN
from collectors.alerts.told import REPLICAS, Told, severity_of
from collectors.alerts.wire import SENTENCE
from collectors.fleet import Alert
from collectors.signals.identity import Names
from collectors.text import clean

EXTERNAL = REPLICAS | {"prometheus", "cluster"}
"""Labels that a Prometheus adds when it sends an alert on, and its own list of alerts is without."""

_WORKLOADS = ("deployment", "statefulset", "daemonset", "rollout", "leaderworkerset")
"""Labels by which rules on kube-state-metrics name what runs pods."""

_Labels = Mapping[str, str]


def matched(
    told: Sequence[Told], names: Names, tiers: Collection[str], models: Collection[str] = ()
) -> tuple[Alert, ...]:
    """The alerts that fire, each once, in the words of the screen, in no order.

    Pending ones do not fire. Those whose severity is `none` are no alerts: rules use it for the one that
    always fires to test the way (Watchdog). One that another keeps quiet is counted at that one (D7).

    names: the identity rules with what they learned; tiers, models: the names on the screen
    """
    firing = [t for t in told if t.state == "firing" and t.labels.get("severity", "").lower() != "none"]
    clusters = frozenset(cluster for m in models if (cluster := m.rpartition("@")[2]) != m)
    return tuple(_alert(one, names, tiers, models, clusters) for one in _once(firing) if not one.inhibited)


def _alert(
    told: Told, names: Names, tiers: Collection[str], models: Collection[str], clusters: Collection[str]
) -> Alert:
    cluster = told.cluster or told.labels.get("cluster", "")
    sentences = _sentences(told)
    words = sentences[0]
    summary = clean(f"{words}  +{told.inhibits} inhibited", SENTENCE) if told.inhibits else words
    return Alert(
        id=f"told/{told.id}{'@' if told.cluster else ''}{told.cluster}",
        severity=severity_of(told.labels),
        model=_model(told.labels, names.within(cluster) if cluster in clusters else names, models),
        tier=_tier(told.labels, names, tiers),
        since=told.since,
        summary=f"{LAST_KNOWN}{summary}" if told.last_known else summary,
        source=told.source,
        silenced_until=told.silenced_until,
        silenced_by=told.silenced_by,
        name=told.name,
        labels=told.labels,
        description=next((text for text in sentences[1:] if text != words), ""),
        runbook=told.annotations.get("runbook_url", ""),
        link=told.link,
        event=words if told.inhibits else "",
    )


def _sentences(told: Told) -> Sequence[str]:
    """What the rule says, the shortest first; where it says nothing, its name and labels."""
    if said := [text for name in _SENTENCES if (text := told.annotations.get(name))]:
        return said
    rest = " ".join(f"{k}={v}" for k, v in sorted(told.labels.items()) if k not in _SAID_ELSEWHERE)
    return [clean(f"{told.name.strip() or 'an alert without a name'} {rest}".strip(), SENTENCE)]


_SENTENCES = ("summary", "description", "message")
_SAID_ELSEWHERE = frozenset({"alertname", "severity", *EXTERNAL})


def _model(labels: _Labels, names: Names, models: Collection[str]) -> str:
    """The model an alert is about; "" where nothing names one that is known.

    A label `model` may name a disk and `job` an exporter: only what the operator's rules say is taken unseen.
    """
    named, rule = names.explained_model(labels)
    if named is not None and (rule.startswith("identity.") or _is_known(named, names, models)):
        return _on_screen(named, models)
    for where, exported in _places(labels):
        if (found := names.model_of_accelerator(where, exported=exported)) is not None:
            return _on_screen(found, models)
    return ""


def _is_known(name: str, names: Names, models: Collection[str]) -> bool:
    return name in models or name in names.known or name.rpartition("@")[0] in names.known


def _on_screen(name: str, models: Collection[str]) -> str:
    """The name on the screen: with its cluster, where only one serves it and the alert names none."""
    if name in models:
        return name
    placed = [one for one in models if one.rpartition("@")[0] == name]
    return placed[0] if len(placed) == 1 else name


def _places(labels: _Labels) -> Iterable[tuple[_Labels, bool]]:
    """(labels that name a workload, whether under `exported_` names), what is most surely meant first.

    Under an `exported_pod`, the plain `pod` is the exporter's own.
    """
    if labels.get("exported_pod") or labels.get("exported_workload"):
        yield labels, True
    namespace = labels.get("exported_namespace") or labels.get("namespace", "")
    for label in _WORKLOADS:
        if name := labels.get(label):
            yield {**labels, "workload": name, "namespace": namespace}, False
    if labels.get("pod") or labels.get("workload"):
        yield labels, False


def _tier(labels: _Labels, names: Names, tiers: Collection[str]) -> str:
    """A tier on the screen, by the identity rules or a label `tier`; a pager's `priority` is none."""
    for tier in (names.tier(labels), labels.get("tier")):
        if tier is not None and tier in tiers:
            return tier
    return ""


def _once(told: Iterable[Told]) -> list[Told]:
    """Each alert once: of several Alertmanagers, of a pair of Prometheus, of a Prometheus and its
    Alertmanager, whose word wins, for it knows silences."""
    best: dict[tuple[str, str, str], Told] = {}
    for one in told:
        key = (one.kind, one.id, one.cluster)
        was = best.get(key)
        if was is None or _weight(one) > _weight(was):
            best[key] = one
    kept = [one for one in best.values() if one.kind == "alertmanager"]
    own = [one for one in best.values() if one.kind == "prometheus"]
    if not own or not kept:
        return own or kept
    added = _added_labels(own, kept)
    places: dict[_Bare, list[int]] = {}
    for place, one in enumerate(kept):
        places.setdefault(_bare(one, added), []).append(place)
    alone = []
    for one in own:
        twins = [n for n in places.get(_bare(one, added), ()) if _may_share_cluster(one, kept[n])]
        if not twins:
            alone.append(one)
        for n in twins:
            # A Prometheus that answers says that it fires, whether or not its Alertmanager is there.
            if kept[n].last_known and not one.last_known:
                kept[n] = replace(kept[n], last_known=False)
    return kept + alone


def _weight(one: Told) -> tuple[bool, bool]:
    return not one.last_known, one.silenced_until is not None


def _added_labels(own: Iterable[Told], managed: Iterable[Told]) -> Mapping[str, frozenset[str]]:
    """External labels by alert name, whatever they are called: every alert of the Alertmanager has them, none
    of the Prometheus' own list."""
    mine: dict[str, frozenset[str]] = {}
    theirs: dict[str, frozenset[str]] = {}
    for one in own:
        mine[one.name] = mine.get(one.name, frozenset()) | one.labels.keys()
    for one in managed:
        labels = frozenset(one.labels)
        theirs[one.name] = theirs.get(one.name, labels) & labels
    return {name: labels - mine[name] for name, labels in theirs.items() if name in mine}


_Bare = frozenset[tuple[str, str]]


def _bare(one: Told, added: Mapping[str, frozenset[str]]) -> _Bare:
    left_out = EXTERNAL | added.get(one.name, frozenset())
    return frozenset([pair for pair in one.labels.items() if pair[0] not in left_out])


def _may_share_cluster(one: Told, other: Told) -> bool:
    """False if both name their cluster, and not the same: two clusters break in the same words."""
    a, b = (t.cluster or t.labels.get("cluster", "") for t in (one, other))
    return not a or not b or a == b
