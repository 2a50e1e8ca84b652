"""Releases that only the metrics of Argo Rollouts and Flagger tell of."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from collectors.config import Identity
from collectors.fleet import Exposure, Release
from collectors.scrape.evaluate import evaluate
from collectors.scrape.history import TargetHistory
from collectors.scrape.page import PageReader
from collectors.signals.catalogue import Answer
from collectors.signals.identity import Names
from collectors.signals.presets import read_presets
from collectors.signals.promql import series_name
from collectors.signals.rollouts import releases

ARGO = (Path(__file__).parents[1] / "data" / "samples" / "argo-rollouts.prom").read_text(encoding="utf-8")
DEFINITIONS = [d for preset in read_presets() if preset.role == "rollout" for d in preset.definitions]
T0 = 1_700_000_000


def found(
    text: str, labels: Mapping[str, str] | None = None, names: Names | None = None
) -> dict[str, Release]:
    """Releases by id, of a page that was scraped once."""
    wanted = {series_name(d, m) for d in DEFINITIONS for m in d.metrics}
    history = TargetHistory(labels or {"instance": "i:1"})
    history.record(PageReader(wanted).read(text.encode()), T0 * 1000, 600_000)
    answers = [Answer(d, evaluate(d, [history], T0, 20), T0) for d in DEFINITIONS]
    return {release.id: release for release in releases(answers, names or Names(Identity()))}


def test_the_sample_rollouts() -> None:
    """Phases and replicas of all three; no stage and no weight is made up, and nothing can be done."""
    seen = found(ARGO)
    assert {name: release.phase for name, release in seen.items()} == {
        "argo/serving/embed-v2": "completed",
        "argo/serving/llama-3-70b": "paused",
        "argo/serving/mistral-7b": "progressing",
    }
    llama = seen["argo/serving/llama-3-70b"]
    assert (llama.title, llama.subject_kind, llama.subject) == ("llama-3-70b", "model", "llama-3-70b")
    assert (llama.stages, llama.stage_index, llama.exposure, llama.gate) == ((), None, (), "unknown")
    assert llama.message == (
        "Argo Rollouts says Paused; 2 of 8 replicas updated, 8 available; "
        "its metrics tell no step and no weight"
    )
    assert seen["argo/serving/mistral-7b"].message.startswith(
        "Argo Rollouts says Progressing; 4 of 4 replicas updated, 3 available;"
    )
    only = "seen through Argo Rollouts' metrics only: connect its Kubernetes API to act"
    assert {release.read_only for release in seen.values()} == {only}


def test_pitfall_6_the_rollouts_own_namespace() -> None:
    """With honor_labels off `namespace` is the controller's: the id has the rollout's."""
    text = ARGO.replace("namespace=", "exported_namespace=")
    assert found(text, {"namespace": "argo-rollouts"}).keys() == found(ARGO).keys()


def test_the_subject_is_named_by_the_rules_for_releases() -> None:
    """An alias, or a rule of its own, says which model a rollout opens."""
    names = Names(Identity(releases={"llama-3-70b": "llama"}, aliases={"mistral-7b": "mistral"}))
    subjects = {name: release.subject for name, release in found(ARGO, names=names).items()}
    assert subjects == {
        "argo/serving/embed-v2": "embed-v2",
        "argo/serving/llama-3-70b": "llama",
        "argo/serving/mistral-7b": "mistral",
    }


def test_a_rollout_of_one_cluster_of_several_says_which() -> None:
    """Two clusters with the same rollout are two releases."""
    one, two = (found(ARGO, names=Names(Identity()).within(cluster)) for cluster in ("eu", "us"))
    assert "argo/serving/embed-v2@eu" in one
    assert not one.keys() & two.keys()


@pytest.mark.parametrize(
    ("phase", "word"),
    [
        ("Completed", "completed"),
        ("Progressing", "progressing"),
        ("Paused", "paused"),
        ("Abort", "aborted"),
        ("Timeout", "degraded"),
        ("Error", "degraded"),
        ("InvalidSpec", "degraded"),
        ("Something", "unknown"),
    ],
)
def test_phases_of_argo(phase: str, word: str) -> None:
    """Each has a word of ours; one that nobody knows stays as it is in the message."""
    text = f'rollout_info{{name="a",namespace="s",strategy="canary",phase="{phase}"}} 1\n'
    one = found(text)["argo/s/a"]
    assert one.phase == word
    assert f"Argo Rollouts says {phase}" in one.message


INFO = 'rollout_info{{name="a",namespace="s",strategy="canary",phase="{0}"}} 1\n'
PHASE = 'rollout_phase{{name="a",namespace="s",strategy="canary",phase="{0}"}} {1}\n'


def test_a_phase_that_lingers_is_outdone() -> None:
    """The series of the phase before is still there: rollout_phase, whose series stay, knows better."""
    text = INFO.format("Progressing") + INFO.format("Paused")
    text += PHASE.format("Progressing", 0) + PHASE.format("Paused", 1)
    assert found(text)["argo/s/a"].phase == "paused"


def test_two_phases_at_once_are_not_decided() -> None:
    """Without rollout_phase nothing tells which of two series is the newer: it is said, not guessed."""
    one = found(INFO.format("Progressing") + INFO.format("Paused"))["argo/s/a"]
    assert one.phase == "unknown"
    assert "two phases at once: Paused, Progressing" in one.message


def test_a_phase_that_only_the_newer_metric_has() -> None:
    """rollout_phase has no InvalidSpec: then all of it is 0."""
    text = INFO.format("InvalidSpec") + PHASE.format("Paused", 0) + PHASE.format("Completed", 0)
    assert found(text)["argo/s/a"].phase == "degraded"


def test_older_releases_of_argo() -> None:
    """rollout_info without a phase, no updated replicas: the phase is rollout_phase's, the words fewer."""
    text = 'rollout_info{name="a",namespace="s",strategy="canary"} 1\n' + PHASE.format("Paused", 1)
    text += 'rollout_info_replicas_desired{name="a",namespace="s",strategy="canary"} 4\n'
    text += 'rollout_info_replicas_available{name="a",namespace="s",strategy="canary"} 3\n'
    one = found(text)["argo/s/a"]
    assert one.phase == "paused"
    assert "3 of 4 available" in one.message


def flagger(status: float, weight: float | None) -> Release:
    text = f'flagger_canary_status{{name="a",namespace="s"}} {status}\n'
    if weight is not None:
        text += f'flagger_canary_weight{{workload="a",namespace="s"}} {weight}\n'
        text += f'flagger_canary_weight{{workload="a-primary",namespace="s"}} {100 - weight}\n'
    seen = found(text)
    assert seen.keys() == {"flagger/s/a"}
    return seen["flagger/s/a"]


@pytest.mark.parametrize(
    ("status", "weight", "phase", "exposure"),
    [
        (0, 20, "progressing", (Exposure("*", 0.2),)),
        (0, None, "progressing", ()),
        (1, 0, "completed", ()),
        (1, 60, "progressing", (Exposure("*", 0.6),)),
        (2, 0, "aborted", (Exposure("*", 0.0),)),
    ],
)
def test_flagger(status: float, weight: float | None, phase: str, exposure: tuple[Exposure, ...]) -> None:
    """0 runs and 2 failed; 1 is all else. The weight is the canary's and not the primary's; once done the new
    version is the primary, so a weight of 0 is nobody's exposure."""
    one = flagger(status, weight)
    assert (one.phase, one.exposure, one.stages, one.stage_index) == (phase, exposure, (), None)
    assert one.read_only == "seen through Flagger's metrics only: connect its Kubernetes API to act"


def test_flagger_says_what_it_does_not_tell() -> None:
    """Status 1 is many things, and no weight is another lack."""
    assert "finished, new or waiting look alike" in flagger(1, 0).message
    assert "no weight is exported" in flagger(0, None).message


def test_replicas_alone_make_no_release() -> None:
    """Without a phase there is nothing to tell: the rollout is just gone, or not Argo's."""
    assert found('rollout_info_replicas_desired{name="a",namespace="s"} 4\n') == {}


def test_hostile_names() -> None:
    """A name with an escape or of any length passes the one gate."""
    (one,) = found(f'rollout_info{{name="\x1b[31m{"x" * 500}",namespace="s",phase="Paused"}} 1\n').values()
    assert "\x1b" not in one.id + one.title + one.subject + one.message
    assert len(one.title) <= 128
