"""Names from different exporters come to mean one model."""

import pytest

from collectors.config import Identity, ModelRule, Pool, TierRule
from collectors.signals.catalogue import Answer, Definition, Metric, Role, Row
from collectors.signals.identity import (
    Names,
    Workload,
    has_exported,
    ordered_tiers,
    short_name,
    workload,
    workload_of_pod,
)


def answer(role: Role, *labels: dict[str, str], signal: str = "running") -> Answer:
    definition = Definition(signal, "s", role, "gauge", (Metric("m"),), ())
    return Answer(definition, tuple(Row(one, 1.0) for one in labels), 1.0)


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        ("llama-3-70b-7d9f8c6b5-xk2zp", "llama-3-70b"),
        ("mistral-7b-0", "mistral-7b"),
        ("dcgm-exporter-x7k2p", "dcgm-exporter"),
        ("aurora-5-mini-7d9f8c6b5-x2x4z", "aurora-5-mini"),
        ("single", "single"),
    ],
)
def test_a_pod_belongs_to_its_workload(pod: str, expected: str) -> None:
    """Deployment, StatefulSet and DaemonSet names lose what was generated, and nothing else."""
    assert workload_of_pod(pod) == expected


def test_path_like_names_are_shortened() -> None:
    """An engine's model path and a picker's short name meet."""
    assert short_name("acme/Aurora-5") == "aurora-5"
    assert short_name("aurora-5") == "aurora-5"


def test_an_engine_joins_its_workload_to_its_model() -> None:
    """The accelerator knows only its pod; the engine in that pod knows the model."""
    names = Names(Identity()).learned(
        [answer("engine", {"model_name": "acme/Aurora-5", "namespace": "serving", "workload": "a5-decode"})]
    )
    assert names.joined == {Workload("serving", "a5-decode"): "aurora-5"}
    row = {"namespace": "serving", "workload": "a5-decode"}
    assert names.model_of_accelerator(row, exported=False) == "aurora-5"
    assert names.model_of_accelerator({"namespace": "dev", "workload": "a5-decode"}, exported=False) is None


def test_exported_labels_name_the_workload_where_they_exist() -> None:
    """With honor_labels off, `pod` is the exporter's own and must not be taken for the holder (pitfall 6)."""
    labels = {
        "namespace": "monitoring",
        "workload": "dcgm-exporter",
        "exported_namespace": "serving",
        "exported_workload": "aurora-5",
    }
    assert workload(labels, exported=True) == Workload("serving", "aurora-5")
    idle = {"namespace": "monitoring", "workload": "dcgm-exporter"}
    assert workload(idle, exported=True).name == ""
    assert has_exported(answer("accelerator", labels, idle).rows)
    assert not has_exported(answer("accelerator", idle).rows)


def test_rules_win_over_names() -> None:
    """A configured rule decides before any guess; groups fill its template."""
    rules = Identity(
        models=(ModelRule(label="namespace", regex="team-(.*)", model="model-$1"),),
        aliases={"meta-llama/Llama-3.3-70B-Instruct": "llama-70b"},
    )
    names = Names(rules)
    assert names.model({"model_name": "x", "namespace": "team-a"}) == "model-a"
    assert names.model({"model_name": "meta-llama/Llama-3.3-70B-Instruct"}) == "llama-70b"
    assert names.model({"job": "x"}) is None


def test_an_unmatched_accelerator_has_no_model() -> None:
    """A workload is a model only if some engine, router or release names that model."""
    names = Names(Identity())
    assert names.model_of_accelerator({"workload": "aurora-5"}, exported=False) is None
    known = names.learned([], ["aurora-5"])
    assert known.model_of_accelerator({"workload": "aurora-5"}, exported=False) == "aurora-5"


def test_tiers_come_from_priorities_and_rules() -> None:
    """A mapped priority is its tier; an unmapped one is shown as it is; any label can carry a tier."""
    names = Names(
        Identity(
            priority={"100": "pro"},
            tiers=(TierRule(label="team_alias", regex="(gold|silver)", tier="$1"),),
        )
    )
    assert names.tier({"priority": "100"}) == "pro"
    assert names.tier({"priority": "-10"}) == "-10"
    assert names.tier({"team_alias": "gold", "priority": "100"}) == "gold"
    assert names.tier({"priority": "None"}) is None
    assert names.tier({}) is None


def test_priorities_sort_as_numbers() -> None:
    """Highest first, negative last, behind what the configuration orders."""
    assert ordered_tiers((), (), ["-10", "0", "100", "20"]) == ("100", "20", "0", "-10")
    assert ordered_tiers(("pro",), ("x",), ["7", "pro"]) == ("pro", "7")


def test_a_pool_is_found_by_all_its_labels() -> None:
    """Two kinds of accelerator under one workload are two pools."""
    gpu = Pool(name="a/gpu", match={"workload": "a", "modelName": "H200"}, stands_for=39)
    names = Names(Identity(), (gpu,))
    assert names.pool({"workload": "a", "modelName": "H200"}, exported=False) == gpu
    assert names.pool({"workload": "a", "modelName": "TPU"}, exported=False) is None


def test_hostile_names_are_cleaned() -> None:
    """A template filled from a label cannot carry control characters on."""
    rule = TierRule(label="t", regex="(?s)(.*)", tier="$1")
    tier = Names(Identity(tiers=(rule,))).tier({"t": "a\x1b[2Jb\u202e"})
    assert tier == "a[2Jb"


def test_a_namesake_in_another_namespace_is_another_workload() -> None:
    """A workload called as a model is the model's, unless the model's engine is known to run elsewhere."""
    labels = {"namespace": "serving", "workload": "aurora-5", "model_name": "aurora-5"}
    names = Names(Identity()).learned([answer("engine", labels)])
    holder = {"namespace": "batch", "workload": "aurora-5"}
    assert names.model_of_accelerator(holder, exported=False) is None
    assert names.model_of_accelerator({"workload": "aurora-5"}, exported=False) == "aurora-5"
    assert names.model_of_accelerator(labels, exported=False) == "aurora-5"


def test_an_alias_of_an_alias_is_followed() -> None:
    """Rules pasted one after another may name a name that is aliased itself; a circle ends where it began."""
    names = Names(Identity(aliases={"pool": "short", "short": "llama-70b", "a": "b", "b": "a"}))
    assert names.model({"model_name": "pool"}) == "llama-70b"
    assert names.model_of_pool("pool", {}) == "llama-70b"
    assert names.model({"model_name": "a"}) in {"a", "b"}


def test_a_rule_takes_no_longer_than_its_text() -> None:
    """What would hold a backtracking engine for ever is answered at once; look-around is refused."""
    rule = ModelRule(label="pod", regex="([a-z0-9-]+)+_", model="$1")
    assert Names(Identity(models=(rule,))).model({"pod": "a" * 100 + "!"}) is None
    with pytest.raises(ValueError, match="is no regular expression"):
        ModelRule(label="pod", regex="a(?=b)", model="x")


def test_only_what_the_target_has_too_is_renamed() -> None:
    """A target with a namespace of its own and no pod: the page's pod stays, its namespace is exported."""
    where = {"pod": "llama-7d9f8b6c5d-x2x4q", "namespace": "monitoring", "exported_namespace": "serving"}
    assert workload(where, exported=False) == Workload("serving", "llama")
