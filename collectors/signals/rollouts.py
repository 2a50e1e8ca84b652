"""Staged releases that only metrics tell of: Argo Rollouts and Flagger. Pure.

Their metrics have no steps, and Argo's no weight either: such a release has no stages, and says so. Nothing
can be done to it from here.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from collectors.fleet import Exposure, Release
from collectors.signals.catalogue import Answer
from collectors.signals.identity import Names
from collectors.text import clean

_ARGO_PHASES: Mapping[str, str] = {
    "Completed": "completed",
    "Progressing": "progressing",
    "Paused": "paused",
    "Abort": "aborted",
    "Timeout": "degraded",
    "Error": "degraded",
    "InvalidSpec": "degraded",
}
"""Source: argo-rollouts, controller/metrics/rollouts.go, calculatePhase."""

_RUNNING, _FAILED = 0.0, 2.0
"""Values of flagger_canary_status; 1 is all else. Source: flagger, pkg/metrics/recorder.go, SetStatus."""

_ARGO_ONLY = "seen through Argo Rollouts' metrics only: connect its Kubernetes API to act"
_FLAGGER_ONLY = "seen through Flagger's metrics only: connect its Kubernetes API to act"


@dataclass(slots=True)
class _Seen:
    """What the answers say of one rollout.

    phases: those in force, "" where a row has none; status: Flagger's; numbers: by signal
    """

    labels: Mapping[str, str]
    phases: set[str] = field(default_factory=set)
    status: float | None = None
    numbers: dict[str, float] = field(default_factory=dict)


def releases(answers: Sequence[Answer], names: Names) -> tuple[Release, ...]:
    """Releases of the rollout stacks' answers, in order of id.

    The subject is the model that the rollout is called like, by the rules for releases.
    """
    argo = _gathered((a for a in answers if a.definition.stack == "argo-rollouts"), names)
    flagger = _gathered((a for a in answers if a.definition.stack == "flagger"), names)
    found = [_argo(name, seen, names) for (*_, name), seen in argo.items()]
    found += [_flagger(name, seen, names) for (*_, name), seen in flagger.items()]
    return tuple(sorted(found, key=lambda release: release.id))


def _gathered(answers: Iterable[Answer], names: Names) -> dict[tuple[str, str, str], _Seen]:
    """By (cluster, namespace, name); a rollout without a phase or status, as one just gone, is left out."""
    found: dict[tuple[str, str, str], _Seen] = {}
    phased: set[tuple[str, str, str]] = set()
    for answer in answers:
        if answer.definition.role != "rollout" or answer.error:
            continue
        signal = answer.definition.signal
        for row in answer.rows:
            name, value = row.labels.get("name", ""), row.value
            if not name or not isinstance(value, float) or not math.isfinite(value):
                continue
            key = (names.cluster_of(row.labels), _namespace(row.labels), name)
            seen = found.setdefault(key, _Seen(row.labels))
            if signal != "rollout_phase":
                seen.numbers[signal] = value
                continue
            phased.add(key)
            seen.status = value
            if value > 0:
                seen.phases.add(row.labels.get("phase", ""))
    return {key: seen for key, seen in found.items() if key in phased}


def _namespace(labels: Mapping[str, str]) -> str:
    """The rollout's own: where labels of the scrape took its name, it was set aside as `exported_`."""
    return labels.get("exported_namespace") or labels.get("namespace", "")


def _argo(name: str, seen: _Seen, names: Names) -> Release:
    phases = sorted(phase for phase in seen.phases if phase)
    phase = _ARGO_PHASES.get(phases[0], "unknown") if len(phases) == 1 else "unknown"
    if len(phases) > 1:
        said = f"two phases at once: {', '.join(phases)}"
    else:
        said = f"Argo Rollouts says {phases[0]}" if phases else "Argo Rollouts tells no phase"
    parts = [said, *_replicas(seen.numbers), "its metrics tell no step and no weight"]
    return _release("argo", name, seen, names, phase, "; ".join(parts), (), _ARGO_ONLY)


def _flagger(name: str, seen: _Seen, names: Names) -> Release:
    weight = seen.numbers.get("rollout_weight")
    shift = weight is not None and weight > 0
    if seen.status == _RUNNING:
        phase, said = "progressing", "Flagger says running"
    elif seen.status == _FAILED:
        phase, said = "aborted", "Flagger says failed"
    elif shift:
        phase, said = (
            "progressing",
            "Flagger moves the weight, and does not say running: it promotes or waits",
        )
    else:
        phase, said = (
            "completed",
            "Flagger says neither running nor failed: finished, new or waiting look alike",
        )
    # Once it is done the weight is back at 0, for the new version has become the primary one.
    told = weight is not None and phase != "completed"
    exposure = (Exposure("*", round(min(max(weight or 0.0, 0.0), 1.0), 4)),) if told else ()
    parts = [said, *([] if weight is not None else ["no weight is exported"]), "its metrics tell no steps"]
    return _release("flagger", name, seen, names, phase, "; ".join(parts), exposure, _FLAGGER_ONLY)


def _replicas(numbers: Mapping[str, float]) -> list[str]:
    desired, updated, available = (
        numbers.get(f"rollout_{word}") for word in ("desired", "updated", "available")
    )
    of = f" of {desired:.0f}" if desired is not None else ""
    found = [] if updated is None else [f"{updated:.0f}{of} replicas updated"]
    if available is not None:
        found.append(f"{available:.0f}{'' if found else of} available")
    return [", ".join(found)] if found else []


def _release(
    kind: str,
    name: str,
    seen: _Seen,
    names: Names,
    phase: str,
    message: str,
    exposure: tuple[Exposure, ...],
    read_only: str,
) -> Release:
    cluster = names.cluster_of(seen.labels)
    where = f"{kind}/{_namespace(seen.labels)}/{name}" + (f"@{cluster}" if cluster else "")
    return Release(
        id=clean(where, 200),
        title=clean(name),
        subject_kind="model",
        subject=names.subject(name),
        seq=0,
        etag="",
        stable=None,
        candidate="",
        stages=(),
        phase=phase,
        stage_index=None,
        exposure=exposure,
        message=clean(message, 256),
        read_only=read_only,
    )
