"""Whose word counts, what features share, and how clusters are told apart."""

import math
from collections.abc import Mapping, Sequence

from collectors.config import FeatureRule, Identity, TierRule
from collectors.fleet import SourceHealth, SourceState
from collectors.readings import Quality, Reason
from collectors.signals.assemble import MAX_FEATURES, Observed, observed
from collectors.signals.catalogue import (
    Answer,
    Buckets,
    Definition,
    Metric,
    PastAnswer,
    Poll,
    Role,
    Row,
    ScrapeTarget,
)
from collectors.signals.identity import Names
from collectors.signals.keys import Key

MODEL = {"model_name": "aurora-5"}
RULES = Identity(
    features=(FeatureRule(label="route", regex="/v1/(.*)", feature="$1"),),
    tiers=(TierRule(label="team_alias", regex="team-(.*)", tier="$1"),),
)


def answer(
    role: Role, signal: str, *rows: tuple[Mapping[str, str], float | Buckets], quantiles: Sequence[float] = ()
) -> Answer:
    definition = Definition(signal, role, role, "gauge", (Metric("m"),), (), quantiles=tuple(quantiles))
    return Answer(definition, tuple(Row(labels, value) for labels, value in rows), 100.0)


def see(
    *answers: Answer,
    identity: Identity = RULES,
    cluster: str = "",
    cluster_label: str = "",
    past: tuple[PastAnswer, ...] = (),
) -> Observed:
    health = SourceHealth("p", "prometheus", SourceState.OK)
    poll = Poll("p", 101.0, 5.0, answers, (), (), health, cluster=cluster, past=past)
    names = Names(identity, cluster_label=cluster_label).within(cluster).learned(answers)
    return observed(poll, names)


def value(seen: Observed, signal: str, tier: str = "", model: str = "aurora-5", feature: str = "") -> object:
    return seen.readings[Key(model, tier, signal, feature)].value


def test_errors_are_the_gateways_and_arrivals_the_routers() -> None:
    """What never reached an engine is known to the gateway; the router sees all that goes to the engines."""
    seen = see(
        answer("engine", "errors", (MODEL, 0.0)),
        answer("router", "errors", (MODEL, 0.01)),
        answer("gateway", "errors", (MODEL, 0.2)),
        answer("engine", "arrivals", (MODEL, 1.0)),
        answer("gateway", "arrivals", (MODEL, 3.0)),
        answer("router", "arrivals", (MODEL, 5.0)),
    )
    assert value(seen, "errors") == 0.2
    assert value(seen, "arrivals") == 5.0


def test_a_gateways_classes_stand_beside_an_engines_whole() -> None:
    """The first token of a model is the engine's word, of a team the gateway's: it alone knows teams."""
    fast = Buckets((1.0, math.inf), (10.0, 10.0))
    slow = Buckets((2.0, 5.0, math.inf), (0.0, 10.0, 10.0))
    seen = see(
        answer("engine", "first_token", (MODEL, fast), quantiles=(0.99,)),
        answer("gateway", "first_token", ({**MODEL, "team_alias": "team-pro"}, slow), quantiles=(0.99,)),
    )
    assert seen.tiers == {"pro"}
    whole = seen.readings[Key("aurora-5", "", "first_token_p99")].estimate
    tier = seen.readings[Key("aurora-5", "pro", "first_token_p99")].estimate
    assert whole is not None
    assert tier is not None
    assert whole < 1 < tier


def test_an_operators_query_wins() -> None:
    """An override takes the place of every exporter's word; without a model it is of the whole fleet."""
    seen = see(
        answer("engine", "running", (MODEL, 5.0)),
        answer("override", "running", (MODEL, 7.0)),
        answer("override", "served", ({}, 42.0)),
    )
    assert value(seen, "running") == 7.0
    assert value(seen, "served", model="") == 42.0


def test_an_engines_total_is_not_added_to_its_classes() -> None:
    """SGLang tells every class and, without a priority, their total: 9 and not 18."""
    seen = see(
        answer(
            "engine", "running", (MODEL, 9.0), ({**MODEL, "priority": "1"}, 5.0),
            ({**MODEL, "priority": "0"}, 4.0),
        )
    )  # fmt: skip
    assert value(seen, "running") == 9.0
    assert (value(seen, "running", "1"), value(seen, "running", "0")) == (5.0, 4.0)


def test_features_share_a_models_demand() -> None:
    """A rule on a gateway's route tells features; what matches none stays part of the whole."""
    seen = see(
        answer(
            "gateway", "arrivals",
            ({**MODEL, "route": "/v1/chat"}, 6.0), ({**MODEL, "route": "/v1/images"}, 3.0), (MODEL, 1.0),
        )
    )  # fmt: skip
    assert value(seen, "arrivals") == 10.0
    assert (value(seen, "arrivals", feature="chat"), value(seen, "arrivals", feature="images")) == (6.0, 3.0)


def test_a_cell_of_feature_and_tier_tells_what_came_and_what_was_refused() -> None:
    """What a throttle does is seen where labels tell both; waits of a cell are not kept."""
    free, pro = ({**MODEL, "route": "/v1/images", "team_alias": f"team-{tier}"} for tier in ("free", "pro"))
    seen = see(
        answer("gateway", "arrivals", (free, 8.0), (pro, 2.0)),
        answer("gateway", "rejected", (free, 6.0), (pro, 0.0)),
        answer("gateway", "waiting", (free, 5.0), (pro, 1.0)),
    )
    assert value(seen, "arrivals", "free", feature="images") == 8.0
    assert value(seen, "rejected", "free", feature="images") == 6.0
    assert value(seen, "rejected", "pro", feature="images") == 0.0
    assert value(seen, "arrivals", feature="images") == 10.0
    assert value(seen, "rejected", "free") == 6.0
    assert Key("aurora-5", "free", "waiting", "images") not in seen.readings


def test_a_rule_that_names_a_feature_for_each_customer_is_bounded() -> None:
    """Features beyond the most that are kept count in the whole only."""
    rows = [({**MODEL, "route": f"/v1/{n}"}, 1.0) for n in range(100)]
    seen = see(answer("gateway", "arrivals", *rows))
    assert value(seen, "arrivals") == 100.0
    assert len({key.feature for key in seen.readings if key.feature}) == MAX_FEATURES


def test_what_says_none_names_nobody() -> None:
    """LiteLLM writes "None" where there is no team, SGLang where there is no priority."""
    seen = see(
        answer("gateway", "arrivals", ({**MODEL, "team_alias": "None", "priority": "None"}, 1.0)),
        identity=Identity(tiers=(TierRule(label="team_alias", regex=".*", tier="$0"),)),
    )
    assert seen.tiers == frozenset()


def test_an_engine_without_a_model_is_called_as_its_workload() -> None:
    """TGI and llama.cpp name no model: their workload does, else their job; an alias may say better."""
    seen = see(
        answer("engine", "running", ({"job": "tgi", "workload": "falcon"}, 1.0), ({"job": "llama"}, 2.0)),
        identity=Identity(aliases={"llama": "boreal-4"}),
    )
    assert value(seen, "running", model="falcon") == 1.0
    assert value(seen, "running", model="boreal-4") == 2.0


def test_one_model_in_two_clusters_is_two() -> None:
    """By the source's own cluster, or by a label of a store of many: each has its row, the total both."""
    seen = see(answer("engine", "running", (MODEL, 5.0)), cluster="eu")
    assert seen.models == {"aurora-5@eu"}
    seen = see(
        answer("engine", "running", ({**MODEL, "cluster": "eu"}, 5.0), ({**MODEL, "cluster": "us"}, 7.0)),
        cluster_label="cluster",
    )
    assert value(seen, "running", model="aurora-5@us") == 7.0
    assert value(seen, "running", model="") == 12.0


def test_a_cluster_joins_only_its_own_pods() -> None:
    """The same workload name in two clusters serves two models."""
    pod = {"namespace": "serving", "workload": "llm"}
    seen = see(
        answer(
            "engine", "running",
            ({**pod, "model_name": "aurora-5", "cluster": "eu"}, 1.0),
            ({**pod, "model_name": "boreal-4", "cluster": "us"}, 1.0),
        ),
        answer(
            "accelerator", "accelerators", ({**pod, "cluster": "eu"}, 8.0), ({**pod, "cluster": "us"}, 16.0)
        ),
        cluster_label="cluster",
    )  # fmt: skip
    assert value(seen, "accelerators", model="aurora-5@eu") == 8.0
    assert value(seen, "accelerators", model="boreal-4@us") == 16.0


def test_a_total_that_lacks_a_target_says_so() -> None:
    """A target that is gone takes its queue out of the sum: that must not look like calm."""
    one = answer("engine", "waiting", (MODEL, 5.0))
    health = SourceHealth("p", "prometheus", SourceState.OK)
    targets = tuple(
        ScrapeTarget({"job": "vllm", "instance": str(n)}, up=n > 0, at=100.0, stacks=frozenset({"engine"}))
        for n in range(3)
    )
    poll = Poll("p", 101.0, 5.0, (one,), targets, (), health)
    seen = observed(poll, Names(RULES).learned((one,)))
    total = seen.readings[Key("", "", "waiting")]
    assert (total.value, total.quality, total.reason) == (5.0, Quality.GOOD, Reason("coverage", (2, 3)))


def test_the_past_is_the_worst_of_its_parts() -> None:
    """Two rows of one model at one time: quantiles of parts cannot be merged, the larger stands."""
    definition = Definition(
        "queue_wait", "router", "router", "histogram", (Metric("m"),), (), quantiles=(0.99,)
    )
    rows = (Row({**MODEL, "priority": "100"}, 3.0), Row({**MODEL, "priority": "0"}, 8.0))
    idle = Row(MODEL, math.nan)
    seen = see(past=(PastAnswer(definition, ((50.0, rows), (60.0, (idle,)))),))
    assert [(p.tier, p.at, p.value) for p in seen.past] == [
        ("", 50.0, 8.0),
        ("0", 50.0, 8.0),
        ("100", 50.0, 3.0),
    ]


def test_an_engines_mean_wait_does_not_stand_beside_the_routers() -> None:
    """Requests wait at the router for a minute and in the engine not at all: 0 s is no word on the queue."""
    mean = answer("engine", "queue_wait_mean", (MODEL, 0.0))
    waits = answer("router", "queue_wait", (MODEL, Buckets((60.0, math.inf), (9.0, 10.0))), quantiles=(0.99,))
    assert value(see(mean), "queue_wait_mean") == 0.0
    assert Key("aurora-5", "", "queue_wait_mean") not in see(mean, waits).readings
