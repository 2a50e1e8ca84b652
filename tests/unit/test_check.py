"""What is found, proposed and explained, from facts that are written down here."""

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import pytest

from collectors.check import proposals
from collectors.check.explain import explanation, near
from collectors.check.facts import Asked, Facts, Present, latest
from collectors.check.findings import Findings, SignalLine, data, families, findings
from collectors.check.proposals import MOST, MOST_JOINED, Proposal, alike, tables
from collectors.config import Context
from collectors.control.interface import PlaneState
from collectors.fleet import Exposure, Feature, Release, SourceHealth, SourceState
from collectors.signals.catalogue import (
    Answer,
    Buckets,
    Definition,
    Detected,
    Poll,
    Preset,
    Probed,
    Row,
)
from collectors.signals.presets import read_presets
from tui.checking import WIDTH, explanation_text, found_text

ENGINE = "meta-llama/Llama-3.3-70B-Instruct"
PRESETS = {preset.stack: preset for preset in read_presets()}


def definition(stack: str, signal: str) -> Definition:
    """Of a built-in preset."""
    return next(d for d in PRESETS[stack].definitions if d.signal == signal and d.role != "heat")


def answer(stack: str, signal: str, *rows: tuple[Mapping[str, str], float | Buckets]) -> Answer:
    """What a Prometheus says to a definition."""
    asked = definition(stack, signal)
    return Answer(
        asked,
        tuple(Row(labels, value) for labels, value in rows),
        100.0,
        query=f"sum({asked.metrics[0].name})",
    )


def health(state: SourceState = SourceState.OK, error: str = "") -> SourceHealth:
    return SourceHealth("prometheus", "prometheus", state, at=100.0, latency_s=0.03, error=error)


def asked(answers: Sequence[Answer], *, probes: Mapping[str, tuple[Probed, ...]] | None = None) -> Asked:
    """A Prometheus that gave these answers."""
    stacks = tuple(dict.fromkeys(a.definition.stack for a in answers))
    detected = tuple(
        Detected(
            stack,
            PRESETS[stack].title,
            PRESETS[stack].role,
            PRESETS[stack].proof[:1],
            jobs=("job-of-" + stack,),
            probes=(probes or {}).get(stack, ()),
        )
        for stack in stacks
    )
    poll = Poll("prometheus", 101.0, 15.0, tuple(answers), (), stacks, health(), detected=detected)
    return Asked(health(), "http://prometheus:9090", 0.0, poll)


def facts(*sources: Asked, context: Context | None = None, plane: PlaneState | None = None) -> Facts:
    return Facts("prod", context or Context(), tuple(PRESETS.values()), sources, plane)


def waits(*, priority: str = "", model: str = "llama-3-70b") -> tuple[Mapping[str, str], Buckets]:
    """Half of the requests wait up to 1 s, half up to 2 s."""
    labels = {"model_name": model, "target_model_name": model, "inference_pool": "llama-pool"}
    if priority:
        labels["priority"] = priority
    return labels, Buckets((1.0, 2.0, float("inf")), (5.0, 10.0, 10.0))


def engine_and_picker() -> Asked:
    """An engine and a picker that call one model differently, accelerators in pods called otherwise still."""
    return asked(
        [
            answer("vllm", "running", ({"model_name": ENGINE, "workload": "vllm-llama"}, 3.0)),
            answer("vllm", "kv_ratio", ({"model_name": ENGINE, "workload": "vllm-llama"}, 0.5)),
            answer(
                "endpoint-picker",
                "queue_wait",
                waits(priority="100"),
                waits(priority="-10"),
                waits(priority="0"),
            ),
            answer("dcgm", "accelerators", ({"exported_workload": "llama-3-3-70b-decode"}, 8.0)),
        ]
    )


def line(found: Findings, signal: str) -> SignalLine:
    return next(one for one in found.signals if one.signal == signal)


def test_all_is_well_with_an_engine() -> None:
    """Status 0, the stack with what proves it, and what has data."""
    found = findings(facts(engine_and_picker()))
    assert found.status == 0
    assert found.verdict.startswith("ready: 2 models, 3 tiers")
    stack = next(one for one in found.stacks if one.stack == "vllm")
    assert (stack.title, stack.proof, stack.jobs) == (
        "vLLM",
        ("vllm:num_requests_running",),
        ("job-of-vllm",),
    )
    assert line(found, "running").state == "data"
    wait = line(found, "queue_wait")
    assert (wait.state, wait.models, wait.tiers, wait.stacks) == ("data", 1, 3, ("endpoint picker",))


def test_tiers_by_number_the_highest_first() -> None:
    """Priorities are numbers, not words: 100 before 0 before -10; and which label gave them."""
    found = findings(facts(engine_and_picker()))
    assert found.tiers.names == ("100", "0", "-10")
    assert found.tiers.origins == ("label priority, as it is (endpoint picker)",)


def test_names_are_joined_by_their_likeness() -> None:
    """Three exporters, three names: each stranger gets an alias, and all of them lead to one model."""
    found = findings(facts(engine_and_picker()))
    proposed = tomllib.loads("\n".join(found.proposed))["contexts"]["prod"]["identity"]["aliases"]
    assert proposed == {
        "llama-3-70b": "llama-3.3-70b-instruct",
        "llama-3-3-70b-decode": "llama-3.3-70b-instruct",
    }


def test_proposals_hold_together() -> None:
    """A pool is most like the picker's name, which another proposal does away with: it gets the engine's."""
    source = asked(
        [
            answer("vllm", "running", ({"model_name": ENGINE}, 3.0)),
            answer("endpoint-picker", "arrivals", ({"target_model_name": "llama-3-70b"}, 1.0)),
            answer("endpoint-picker", "pool_saturation", ({"inference_pool": "llama-3-70b-east"}, 0.5)),
        ]
    )
    proposed = tomllib.loads("\n".join(findings(facts(source)).proposed))
    aliases = proposed["contexts"]["prod"]["identity"]["aliases"]
    assert aliases == dict.fromkeys(("llama-3-70b", "llama-3-70b-east"), "llama-3.3-70b-instruct")


def test_what_is_proposed_mends_it() -> None:
    """With the proposed lines in the configuration the same answers join, and nothing more is proposed."""
    source = engine_and_picker()
    found = findings(facts(source))
    context = Context.model_validate(tomllib.loads("\n".join(found.proposed))["contexts"]["prod"])
    again = findings(facts(source, context=context))
    assert again.models == ("llama-3.3-70b-instruct",)
    assert {one.kind for one in again.unmatched} == {"priority"}


@pytest.mark.parametrize(
    ("name", "others", "expected"),
    [
        ("llama-3-70b", ["llama-3.3-70b-instruct", "qwen2.5-7b-instruct"], "llama-3.3-70b-instruct"),
        ("vllm-qwen2-5-7b", ["llama-3.3-70b-instruct", "qwen2.5-7b-instruct"], "qwen2.5-7b-instruct"),
        ("llama-3-8b", ["llama-3-70b-instruct"], None),
        ("mistral-7b", ["llama-3.3-70b-instruct"], None),
        ("engine", ["model"], None),
        ("mixtral_8x7b-pool", ["mixtral-8x7b@eu"], "mixtral-8x7b@eu"),
        ("", ["a"], None),
    ],
)
def test_which_names_are_alike(name: str, others: list[str], expected: str | None) -> None:
    """Words of tuning and serving do not count; two sizes of one family are two models."""
    assert alike(name, others) == expected


def test_of_many_strangers_some_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of a large fleet that nothing joins: as many as can be read; the others are not even compared."""
    engines = [({"model_name": f"acme/model-{n}-alpha", "workload": f"w{n}"}, 1.0) for n in range(300)]
    routed = [({"target_model_name": f"route-{n}-beta"}, 1.0) for n in range(300)]
    held = [({"exported_workload": f"pod-{n}-gamma"}, 8.0) for n in range(300)]
    source = asked(
        [
            answer("vllm", "running", *engines),
            answer("endpoint-picker", "arrivals", *routed),
            answer("dcgm", "accelerators", *held),
        ]
    )
    compared: list[str] = []

    def counted(name: str, others: Iterable[str]) -> str | None:
        compared.append(name)
        return alike(name, others)

    monkeypatch.setattr(proposals, "alike", counted)
    found = findings(facts(source))
    assert len(compared) <= 2 * (MOST + 1) + 2 * MOST_JOINED
    for kind in ("accelerators", "engine", "router"):
        told = [one for one in found.unmatched if one.kind == kind]
        assert len(told) == 21
        assert told[-1].sentence == "and more like these"


def test_priorities_take_configured_names_in_order() -> None:
    """As many names as priorities: their order tells which is which. Otherwise nobody can guess."""
    three = Context.model_validate({"tiers": ["gold", "standard", "batch"]})
    proposed = "\n".join(findings(facts(engine_and_picker(), context=three)).proposed)
    assert '"100" = "gold"\n"0" = "standard"\n"-10" = "batch"' in proposed
    two = Context.model_validate({"tiers": ["gold", "standard"]})
    proposed = "\n".join(findings(facts(engine_and_picker(), context=two)).proposed)
    assert '# "100" = "TIER"' in proposed


def test_without_tiers_it_says_who_could_tell_them() -> None:
    """No stack that is there knows priorities: which do, and which label with a few values may serve."""
    rows = [
        ({"model_name": ENGINE, "namespace": space, "workload": "llama"}, 1.0) for space in ("gold", "free")
    ]
    found = findings(facts(asked([answer("vllm", "running", *rows)])))
    assert not found.tiers.names
    assert "endpoint picker" in found.tiers.why[0]
    assert any('# tiers = [{ label = "namespace"' in one and "free, gold" in one for one in found.proposed)


def test_a_rule_for_tiers_is_one_that_can_be_read() -> None:
    """The proposed rule, taken out of its comment, is a valid setting and gives tiers."""
    rows = [({"model_name": ENGINE, "namespace": space}, 1.0) for space in ("gold", "free")]
    source = asked([answer("vllm", "running", *rows)])
    proposed = "\n".join(findings(facts(source)).proposed).replace("# tiers", "tiers")
    context = Context.model_validate(tomllib.loads(proposed)["contexts"]["prod"])
    assert findings(facts(source, context=context)).tiers.names == ("free", "gold")


def test_an_absent_signal_names_the_setting_that_brings_it() -> None:
    """The nearest remedy first: a setting of a stack that is there, then a stack that is not."""
    vllm = PRESETS["vllm"]
    lacking = replace(
        vllm,
        definitions=tuple(
            replace(d, needs="Set the flag --x.") if d.signal == "preemptions" else d
            for d in vllm.definitions
        ),
        never={"pool_saturation": "It knows no pool."},
    )
    given = facts(asked([answer("vllm", "running", ({"model_name": ENGINE}, 1.0))]))
    found = findings(replace(given, presets=(*(p for p in given.presets if p is not vllm), lacking)))
    assert line(found, "preemptions").why == ("vLLM: Set the flag --x.",)
    assert line(found, "pool_saturation").why[0] == "vLLM: It knows no pool."
    assert "no accelerator exporter is scraped" in line(found, "busy_ratio").why[0]
    assert "NVIDIA DCGM exporter" in line(found, "busy_ratio").why[0]


@pytest.mark.parametrize(
    ("change", "state", "says"),
    [
        ({"error": "vllm refused the query."}, "failed", "vllm refused the query."),
        ({"collecting": (2, 4)}, "collecting", "2 of 4 scrapes"),
    ],
)
def test_a_signal_without_data_says_why(change: dict[str, object], state: str, says: str) -> None:
    """Refused, and still collecting, are two different things; neither is absence."""
    running = answer("vllm", "running", ({"model_name": ENGINE}, 1.0))
    served = replace(answer("vllm", "served"), **change)  # type: ignore[arg-type]
    found = line(findings(facts(asked([running, served]))), "served")
    assert found.state == state
    assert says in found.why[0]


def test_idle_is_not_absent() -> None:
    """Series without traffic are there: nothing needs to be set up."""
    nobody = ({"model_name": ENGINE}, Buckets((1.0, float("inf")), (0.0, 0.0)))
    found = line(findings(facts(asked([answer("vllm", "queue_wait", nobody)]))), "queue_wait")
    assert (found.state, found.why[0][:5]) == ("idle", "idle:")


def test_a_source_that_does_not_answer_fails_the_check() -> None:
    """Status 1, its own words, and its name in the verdict."""
    lost = Asked(health(SourceState.LOST, "prometheus cannot be reached. Check it."), "http://p:9090")
    found = findings(facts(lost))
    assert found.status == 1
    assert found.verdict == "1 of 1 source not answering: prometheus"
    assert found.sources[0].error == "prometheus cannot be reached. Check it."


def test_an_empty_prometheus_is_told_what_to_scrape() -> None:
    """What it has, which names may matter, and lines for prometheus.yml; nothing to show is status 1."""
    poll = Poll("prometheus", 101.0, 15.0, (), (), (), health())
    present = Present(frozenset({"node_cpu_seconds_total", "node_load1", "acme_gpu_watts"}), {"node": (3, 4)})
    found = findings(facts(Asked(health(), "http://p:9090", poll=poll, present=present)))
    assert found.status == 1
    there = found.present[0]
    assert (there.names, there.targets, there.jobs) == (3, (3, 4), ("node",))
    assert there.begins_with == ("node_ (2)", "acme_ (1)")
    assert there.telling == ("acme_gpu_watts",)
    assert "  - job_name: dcgm   # NVIDIA DCGM exporter" in there.scrape_configs


def test_probes_speak() -> None:
    """What a probe found is told under its stack, and once more where tiers are missing."""
    probes = {"endpoint-picker": (Probed("flow-control", False, "Turn on the gate flowControl."),)}
    labels = {"model_name": "m", "target_model_name": "m"}
    found = findings(facts(asked([answer("endpoint-picker", "arrivals", (labels, 1.0))], probes=probes)))
    assert found.stacks[0].sentences == ("Turn on the gate flowControl.",)
    assert any("Turn on the gate flowControl." in one for one in found.tiers.why)


def release(subject: str) -> Release:
    return Release(
        id="r", title="R", subject_kind="model", subject=subject, seq=1, etag="e", stable=None,
        candidate="c", stages=(), phase="progressing", stage_index=None, exposure=(Exposure("pro", 1.0),),
    )  # fmt: skip


def test_a_release_and_a_feature_by_other_names() -> None:
    """What the plane calls a model and no metric does: a rule that maps it."""
    plane = PlaneState(
        releases=(release("llama33-70b"),),
        throttles=(),
        features=(Feature("chat", "Chat", ("unheard-of",)),),
        tiers=("pro",),
        abilities={},
        actor="",
        role="",
        seq=1,
        at=100.0,
        clock_offset_s=None,
        api_version="v1",
    )
    found = findings(facts(engine_and_picker(), plane=plane))
    proposed = "\n".join(found.proposed)
    assert '"llama33-70b" = "llama-3.3-70b-instruct"' in proposed
    assert '# "unheard-of" = "MODEL"' in proposed
    assert {"release", "feature"} <= {one.kind for one in found.unmatched}
    assert found.features.names == ("chat",)


def test_tables_are_toml_whatever_the_names() -> None:
    """Quotes, backslashes and dots in names; one key proposed twice is set once."""
    lines = tables(
        'a "b"',
        [
            Proposal("identity.aliases", '"x\\"y"', '"m"'),
            Proposal("identity.aliases", '"x\\"y"', '"n"'),
            Proposal("objectives", "pro", "2.0", sure=False),
        ],
    )
    read = tomllib.loads("\n".join(lines))["contexts"]['a "b"']
    assert read == {"identity": {"aliases": {'x"y': "m"}}, "objectives": {}}


def test_findings_are_json() -> None:
    """All of it, with no number that JSON does not know."""
    given = facts(engine_and_picker())
    found = data(findings(given))
    read = json.loads(json.dumps(found, allow_nan=False))
    assert read["format"] == 1
    assert read["sources"][0]["state"] == "ok"
    assert {one["signal"] for one in read["signals"]} == {
        f for f in families(given) if not f.endswith("_mean")
    }


def test_the_text_keeps_to_its_width() -> None:
    """No line but those to be pasted is longer than 100 columns, and without colour there is no escape."""
    text = found_text(findings(facts(engine_and_picker())))
    assert "\x1b" not in text
    body = text.split("Rules to paste")[0].splitlines()
    assert max(map(len, body)) <= WIDTH
    assert "\x1b[" in found_text(findings(facts(engine_and_picker())), colour=True)


def test_names_from_outside_cannot_own_the_terminal() -> None:
    """A label with an escape sequence, on the page and in the lines to paste."""
    evil = "evil\x1b]0;owned\x07-pod"
    source = asked(
        [
            answer("vllm", "running", ({"model_name": "m\x1b[2J"}, 1.0)),
            answer("dcgm", "accelerators", ({"exported_workload": evil}, 8.0)),
        ]
    )
    given = facts(source)
    text = found_text(findings(given)) + str(data(findings(given)))
    told = explanation(given, given.models[0])
    assert told is not None
    assert "\x1b" not in text + explanation_text(told)


def test_an_explanation_shows_query_labels_and_rules() -> None:
    """Which query, which rows, which rule named the model, which the tier."""
    aliased = Context.model_validate(
        {"identity": {"aliases": {"llama-3.3-70b-instruct": "llama"}, "priority": {"100": "pro"}}}
    )
    source = asked(
        [
            answer("vllm", "running", ({"model_name": ENGINE}, 3.0)),
            answer("endpoint-picker", "queue_wait", waits(priority="100", model="llama")),
        ]
    )
    found = explanation(facts(source, context=aliased), ENGINE)
    assert found is not None
    assert found.model == "llama"
    running = next(one for one in found.readings if one.signal == "running")
    assert running.feeds[0].query == "sum(vllm:num_requests_running)"
    assert running.feeds[0].rows[0].model_rule == "identity.aliases: llama-3.3-70b-instruct"
    wait = next(one for one in found.readings if one.signal == "queue_wait_p99" and one.tier == "pro")
    assert wait.feeds[0].rows[0].tier_rule == "identity.priority: 100"
    assert "no accelerator exporter" in next(one for one in found.absent if one.signal == "power_w").why[0]


def test_an_explanation_says_whose_word_is_left_aside() -> None:
    """Engine and picker both measure the wait: the picker's is shown, the engine's is listed as unused."""
    engine = ({"model_name": "m"}, Buckets((1.0, float("inf")), (5.0, 5.0)))
    source = asked(
        [
            answer("vllm", "queue_wait", engine),
            answer("endpoint-picker", "queue_wait", waits(model="m")),
        ]
    )
    found = explanation(facts(source), "m")
    assert found is not None
    wait = next(one for one in found.readings if one.signal == "queue_wait_p99")
    assert [(feed.stack, feed.used) for feed in wait.feeds] == [("endpoint-picker", True), ("vllm", False)]


def test_an_unknown_model_has_near_names() -> None:
    """No series names it: the likest there are."""
    given = facts(engine_and_picker())
    assert explanation(given, "lama-3-70b") is None
    assert near(given, "lama-3-70b")[0] == "llama-3-70b"
    assert explanation(given, "LLAMA-3-70B") is not None


def test_an_answer_that_was_not_asked_again_is_kept() -> None:
    """Accelerators are asked seldom: the poll after must not look as if they were gone."""
    first = asked(
        [answer("dcgm", "accelerators", ({}, 8.0)), answer("vllm", "running", ({"model_name": "m"}, 1.0))]
    )
    second = asked([answer("vllm", "running", ({"model_name": "m"}, 2.0))])
    assert first.poll is not None
    assert second.poll is not None
    kept = latest(first.poll, second.poll)
    assert {(a.definition.signal, a.rows[0].value) for a in kept.answers} == {
        ("accelerators", 8.0),
        ("running", 2.0),
    }


def test_every_preset_can_be_named() -> None:
    """Titles and roles of all built-in stacks fit the page, also where none of them is there."""
    empty = Poll("prometheus", 101.0, 15.0, (), (), (), health())
    found = findings(facts(Asked(health(), poll=empty)))
    assert all(one.why for one in found.signals)
    assert isinstance(PRESETS["vllm"], Preset)
