"""What a check says beside the polls: rules in use, targets that are down, labels, several clusters."""

import tomllib
from collections.abc import Sequence
from dataclasses import replace

from collectors.check.explain import explanation
from collectors.check.facts import Asked, Beside
from collectors.check.findings import Findings, findings
from collectors.check.first_config import first_config
from collectors.config import Context
from collectors.readings import Quality
from collectors.signals.catalogue import Answer, Buckets, Poll, ScrapeTarget
from tests.unit.test_check import (
    ENGINE,
    PRESETS,
    answer,
    asked,
    engine_and_picker,
    facts,
    health,
    line,
    waits,
)
from tui.checking import explanation_text, found_text

SHORT = "llama-3-70b"


def of_cluster(name: str, source: Asked) -> Asked:
    """The same source, as one of several."""
    assert source.poll is not None
    return replace(source, poll=replace(source.poll, source=f"prom {name}", cluster=name))


def pasted(found: Findings) -> Context:
    """The proposed lines, read as a configuration."""
    return Context.model_validate(tomllib.loads("\n".join(found.proposed))["contexts"]["prod"])


def with_pool(*, engine: str, picker: str) -> Asked:
    return asked(
        [
            answer("vllm", "running", ({"model_name": engine}, 3.0)),
            answer("endpoint-picker", "arrivals", ({"target_model_name": picker}, 1.0)),
            answer("endpoint-picker", "pool_saturation", ({"inference_pool": "llama-pool"}, 0.5)),
        ]
    )


def test_in_several_clusters_proposals_hold_together() -> None:
    """Names end in @cluster, aliases do not: a pool's still leads to the engine's name, not to a phantom."""
    sources = [of_cluster(name, with_pool(engine=ENGINE, picker=SHORT)) for name in ("eu", "us")]
    found = findings(facts(*sources))
    wanted = "llama-3.3-70b-instruct"
    assert pasted(found).identity.aliases == {SHORT: wanted, "llama-pool": wanted}
    again = findings(facts(*sources, context=pasted(found)))
    assert again.models == (f"{wanted}@eu", f"{wanted}@us")
    assert not [one for one in again.unmatched if one.proposals]
    told = next(one for one in found.unmatched if one.kind == "pool")
    assert wanted in told.sentence


def test_clusters_that_call_one_model_the_other_way_round_make_no_circle() -> None:
    """What is the engine's name in one cluster is the picker's in the other: one alias, one name."""
    sources = [
        of_cluster("eu", with_pool(engine="llama-70b", picker=SHORT)),
        of_cluster("us", with_pool(engine=SHORT, picker="llama-70b")),
    ]
    found = findings(facts(*sources))
    assert SHORT not in pasted(found).identity.aliases.values()
    again = findings(facts(*sources, context=pasted(found)))
    assert again.models == ("llama-70b@eu", "llama-70b@us")


def recorded(answers: Sequence[Answer], *names: str, window_s: float = 60.0) -> Asked:
    """A Prometheus that answered so, these signals from recording rules, and whose rules are evaluated."""
    told = [
        replace(
            one,
            window_s=window_s if one.definition.needs_rate else 0.0,
            recorded=f"tidegate:x:{one.definition.signal}" if one.definition.signal in names else "",
        )
        for one in answers
    ]
    return replace(asked(told), beside=Beside(ruled=frozenset({"vllm"})))


def engine() -> list[Answer]:
    labels = {"model_name": "m"}
    return [answer("vllm", signal, (labels, 1.0)) for signal in ("running", "served", "tokens_out")]


def test_rules_in_use_are_counted() -> None:
    """Of the answers that a rule could give; a plain gauge of an engine is never recorded."""
    found = findings(facts(recorded(engine(), "served")))
    assert (found.sources[0].rules, found.sources[0].misfits) == ((1, 2), ("vllm",))
    assert "recording rules: 1 of 2 answers come from them" in found_text(found)
    found = findings(facts(recorded(engine(), "served", "tokens_out")))
    assert (found.sources[0].rules, found.sources[0].misfits) == ((2, 2), ())
    assert "rules --context" not in found_text(found)


def test_rules_that_do_not_fit_are_told_with_what_prints_better_ones() -> None:
    """They are evaluated, and none has our mark: with the context, and of several the cluster."""
    found = findings(facts(recorded(engine())))
    assert (found.sources[0].rules, found.sources[0].misfits) == ((0, 2), ("vllm",))
    text = " ".join(found_text(found).split())
    assert "those of vllm are there, and do not all fit" in text
    assert "`tidegate rules --context prod`" in text
    text = found_text(findings(facts(of_cluster("us", recorded(engine())))))
    assert "--context prod --cluster us`" in " ".join(text.split())


def test_rules_are_not_blamed_before_their_windows_are_full() -> None:
    """A rule divides by its whole window: no rate is taken from it yet, and that is no misfit."""
    found = findings(facts(recorded(engine(), window_s=20.0)))
    assert (found.sources[0].rules, found.sources[0].misfits) == (None, ())
    assert "recording rules" not in found_text(found)


def test_rules_are_not_blamed_for_a_filter_that_they_cannot_pass() -> None:
    """What is recorded keeps no such label, so it is never asked: rules printed again would not help."""
    server = {"url": "http://p:9090", "select": ['team="a"']}
    context = Context.model_validate({"prometheus": server})
    assert findings(facts(recorded(engine()), context=context)).sources[0].rules is None


def test_without_rules_there_is_nothing_to_say() -> None:
    """They make it cheaper; nobody needs them."""
    source = replace(recorded(engine()), beside=Beside())
    assert "recording rules" not in found_text(findings(facts(source)))


def test_targets_are_those_of_the_known_stacks() -> None:
    """Of four that matter all are up; that another job's is down is said beside."""
    source = asked([answer("vllm", "running", ({"model_name": "m"}, 1.0))])
    assert source.poll is not None
    targets = (ScrapeTarget({"job": "engines"}, True, 100.0, frozenset({"vllm"})),)
    source = replace(
        source,
        health=replace(source.health, targets=(4, 4)),
        poll=replace(source.poll, targets=targets),
        beside=Beside(down={"node": 1, "engines": 2}),
    )
    found = findings(facts(source))
    assert found.sources[0].down == {"node": 1}
    text = " ".join(found_text(found).split())
    assert "4/4 targets of the known stacks up" in text
    assert "down, of other jobs: node (1)" in text


def test_how_often_an_empty_prometheus_scrapes_is_not_known() -> None:
    """Its default of 15 s is a guess: it is not said."""
    said = replace(health(), interval_s=15.0)
    empty = Poll("prometheus", 101.0, 15.0, (), (), (), said)
    found = findings(facts(Asked(said, "http://p:9090", poll=empty)))
    assert found.sources[0].interval_s is None
    assert "scraped every" not in found_text(found)
    known = replace(engine_and_picker(), health=said)
    assert findings(facts(known)).sources[0].interval_s == 15.0


def gateway(**labels: tuple[str, ...]) -> Asked:
    source = asked([answer("litellm", "arrivals", ({"model_name": "m"}, 1.0))])
    told = {("LiteLLM", label): values for label, values in labels.items()}
    return replace(source, beside=Beside(labels=told))


def test_labels_of_a_gateway_become_rules_to_uncomment() -> None:
    """The first configuration has a block for each, with the values that were seen; taken out of its comment
    it is read, and gives tiers."""
    source = gateway(team_alias=("gold", "silver"), route=("/chat",))
    context = Context.model_validate({"prometheus": "http://p:9090"})
    text = first_config(facts(source, context=context))
    assert "LiteLLM has the label team_alias: gold, silver." in text
    lines = text.splitlines()
    for one, label in (("tiers", "team_alias"), ("features", "route")):
        at = lines.index(f"# [[contexts.prod.identity.{one}]]")
        assert lines[at + 1] == f'# label = "{label}"'
        lines[at : at + 4] = [commented.removeprefix("# ") for commented in lines[at : at + 4]]
    read = Context.model_validate(tomllib.loads("\n".join(lines))["contexts"]["prod"])
    assert read.identity.labels() == ("team_alias", "route")
    assert "route (/chat)" in " ".join(found_text(findings(facts(source))).split())


def test_values_from_outside_cannot_leave_their_comment() -> None:
    """A team that is called like TOML stays a word in a comment."""
    source = gateway(team_alias=("x\nproduction = true\n#",))
    context = Context.model_validate({"prometheus": "http://p:9090"})
    read = tomllib.loads(first_config(facts(source, context=context)))["contexts"]["prod"]
    assert "production" not in read


def test_promises_under_bare_priorities_are_to_be_renamed() -> None:
    """Their names go when the priority gets one; a tier with a name keeps it."""
    text = first_config(facts(engine_and_picker()))
    promised = [one for one in text.splitlines() if one.startswith("# 100 = 2.0")]
    assert promised
    assert promised[0].endswith("rename it when you name the priority")
    named = Context.model_validate({"tiers": ["pro"], "identity": {"priority": {"100": "pro"}}})
    text = first_config(facts(engine_and_picker(), context=named))
    assert not [one for one in text.splitlines() if one.startswith("# pro = 2.0") and "rename" in one]


def test_few_observations_are_judged_as_on_the_screen() -> None:
    """Thirty requests in a minute have no p99: the check does not show one either, and says why."""
    few = waits(model="m")[0], Buckets((1.0, 2.0, float("inf")), (0.25, 0.5, 0.5))
    source = asked([replace(answer("endpoint-picker", "queue_wait", few), window_s=60.0)])
    given = facts(source)
    reading = next(
        one
        for key, one in given.observed[0].readings.items()
        if key.signal == "queue_wait_p99" and not key.tier
    )
    assert (reading.value, reading.quality, reading.reason.code) == (None, Quality.MISSING, "few")
    assert "30 observations in 60 s" in line(findings(given), "queue_wait").why[0]


def faulty(xid: float | None) -> Asked:
    """Two accelerators of a model, one with an XID if one is given."""
    one, other = (
        {"UUID": f"GPU-{n}", "Hostname": "h", "gpu": str(n), "exported_workload": "m"} for n in (1, 2)
    )
    on_map = {d.signal: d for d in PRESETS["dcgm"].definitions if d.role == "heat"}
    faults = answer("dcgm", "busy_ratio")
    rows = answer("dcgm", "busy_ratio", (one, 0.5), (other, 0.5)).rows
    broken = answer("dcgm", "busy_ratio", (one, xid)).rows if xid is not None else ()
    return asked(
        [
            answer("vllm", "running", ({"model_name": "m", "workload": "m"}, 1.0)),
            answer("dcgm", "accelerators", ({"exported_workload": "m"}, 2.0)),
            replace(faults, definition=on_map["busy_ratio"], rows=rows, query="busy by card"),
            replace(faults, definition=on_map["faults"], rows=broken, query="faults by card"),
        ]
    )


def test_faults_are_explained_like_the_others() -> None:
    """Metric and query, also where there is none; of one that is there, its labels."""
    for xid, count in ((None, 0.0), (79.0, 1.0)):
        found = explanation(facts(faulty(xid)), "m")
        assert found is not None
        faults = next(one for one in found.readings if one.signal == "faults")
        assert faults.value == count
        [feed] = faults.feeds
        assert (feed.used, feed.query) == (True, "faults by card")
        assert "DCGM_FI_DEV_XID_ERRORS" in feed.metrics
        assert [row.labels["UUID"] for row in feed.rows] == (["GPU-1"] if xid else [])
        text = explanation_text(found)
        assert "query: faults by card" in text
        assert ("no row of it names this model" in text) == (xid is None)
