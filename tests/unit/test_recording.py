"""Recording rules: what is recorded, under which names, and that a rule of something else is never read."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from collectors.prometheus.answer import by_node, rows
from collectors.prometheus.records import Records
from collectors.prometheus.wire import Sample, Vector
from collectors.signals.catalogue import Definition, Matcher, Preset
from collectors.signals.presets import read_presets, with_labels
from collectors.signals.promql import ALTERNATIVE, render
from collectors.signals.recording import (
    HEARTBEAT,
    MARK,
    groups,
    heartbeat,
    is_recorded,
    mark,
    query,
    record_name,
    rendered,
)
from tests.promtool import promtool


def preset(stack: str) -> Preset:
    return next(one for one in read_presets() if one.stack == stack)


def definition(stack: str, signal: str, lane: str = "fast") -> Definition:
    return next(one for one in preset(stack).definitions if one.signal == signal and one.lane == lane)


def of_all(extra: str = "") -> list[Definition]:
    """The map by host of every stack."""
    presets = with_labels(read_presets(), [extra] if extra else [])
    return [by_node(one) for found in presets for one in found.definitions if one.lane == "heat"]


def test_a_name_says_stack_and_signal() -> None:
    """Hyphens become underscores; the map by host has a name of its own, beside the busy time of a model."""
    assert record_name(definition("endpoint-picker", "queue_wait")) == "tidegate:endpoint_picker:queue_wait"
    heat = definition("dcgm", "busy_ratio", "heat")
    names = [record_name(one) for one in (definition("dcgm", "busy_ratio"), by_node(heat), heat)]
    assert names == [
        "tidegate:dcgm:busy_ratio",
        "tidegate:dcgm:busy_ratio_by_node",
        "tidegate:dcgm:busy_ratio_heat",
    ]


def test_what_is_dear_is_recorded() -> None:
    """Rates, histograms and accelerators; no gauges of engines, no single accelerators, no own query."""
    assert is_recorded(definition("vllm", "queue_wait"))
    assert is_recorded(definition("vllm", "errors"))
    assert is_recorded(definition("dcgm", "temperature_c"))
    assert is_recorded(by_node(definition("dcgm", "busy_ratio", "heat")))
    assert not is_recorded(definition("vllm", "waiting"))
    assert not is_recorded(definition("dcgm", "busy_ratio", "heat"))
    own = replace(definition("vllm", "served"), role="override", metrics=(), promql="sum(rate(mine[1m]))")
    assert not is_recorded(own)


def test_another_expression_has_another_mark() -> None:
    """Window, kept labels and metrics are all in it: a rule that differs in any of them is not selected."""
    one = definition("vllm", "tokens_out")
    others = [
        mark(one, 20.0),
        mark(one, 60.0),
        mark(replace(one, keep=(*one.keep, "cluster")), 20.0),
        mark(replace(one, metrics=one.metrics[:1], stack="x"), 60.0),
    ]
    assert others[0] == mark(replace(one), 20.0)
    assert len(set(others)) == 3
    assert others[1] == others[3]
    assert all(len(each) == 8 and int(each, 16) >= 0 for each in others)


def test_a_query_selects_one_version() -> None:
    """By name and mark, with the filters of the context; of a pair of Prometheus the larger answer."""
    one = definition("vllm", "tokens_out")
    found = query(one, 20.0, [Matcher("namespace", "=", 'a"b')])
    selected = f'tidegate:vllm:tokens_out{{{MARK}="{mark(one, 20.0)}",namespace="a\\"b"}}'
    assert found == f"max without (tidegate_rule) ({selected})"
    both = query(one, 20.0, replicas=["replica"])
    assert both.startswith("max without (tidegate_rule, replica) (tidegate:vllm:tokens_out{")


@pytest.mark.parametrize(
    ("matcher", "can"),
    [
        (Matcher("namespace", "!=", "test"), True),
        (Matcher("cluster", "=", "eu"), True),
        (Matcher("cluster", "!=", "eu"), False),
        (Matcher("cluster", "=~", "eu|"), False),
        (Matcher("cluster", "=", ""), False),
        (Matcher("workload", "!=", "x"), False),
    ],
)
def test_a_filter_that_the_record_cannot_answer_is_not_sent(matcher: Matcher, can: bool) -> None:
    """A record lacks the labels that were added up: what passes series without the label would pass all."""
    assert bool(query(definition("vllm", "tokens_out"), 20.0, [matcher])) is can


def test_groups_hold_what_is_recorded_and_a_heartbeat() -> None:
    """One group a stack with an interval, evaluated as often as it is scraped; the heartbeat comes last."""
    found = groups(read_presets(), {"dcgm": 30.0, "vllm": 15.0, "simulated-fleet": 15.0}, of_all())
    assert [(one.name, one.interval_s) for one in found] == [("tidegate-dcgm", 30.0), ("tidegate-vllm", 15.0)]
    for group in found:
        last = group.rules[-1]
        assert (last.record, last.expr, last.labels) == (HEARTBEAT, "vector(time())", {"stack": group.stack})
        assert len({(rule.record, *rule.labels.items()) for rule in group.rules}) == len(group.rules)
    assert {"tidegate:dcgm:busy_ratio_by_node", "tidegate:dcgm:faults_by_node"} <= {
        rule.record for rule in found[0].rules
    }
    assert heartbeat("dcgm", [Matcher("cluster", "=", "eu")]) == f'{HEARTBEAT}{{stack="dcgm",cluster="eu"}}'


def test_a_rule_records_what_would_be_asked() -> None:
    """The whole expression over the window of its interval, whatever metrics exist today, and its mark."""
    (group,) = groups([preset("endpoint-picker")], {"endpoint-picker": 10.0})
    one = definition("endpoint-picker", "queue_wait")
    rule = next(rule for rule in group.rules if rule.record == record_name(one))
    assert rule.expr == render(one, window_s=40.0)
    assert rule.labels == {MARK: mark(one, 40.0)}


def test_labels_that_matter_survive() -> None:
    """Bounds and the alternative that answered are labels of the record: its rows are the query's."""
    picker = definition("endpoint-picker", "queue_wait")
    elements = [
        Sample({"__name__": record_name(picker), MARK: "x", "le": le, "priority": "0"}, (1.0, value))
        for le, value in (("1", "2"), ("+Inf", "3"))
    ]
    assert rows(picker, elements) == rows(
        picker, [Sample({"le": e.metric["le"], "priority": "0"}, e.value) for e in elements]
    )
    busy = definition("dcgm", "busy_ratio")
    marked = Sample({MARK: "x", ALTERNATIVE: "1", "namespace": "a"}, (1.0, "0.5"))
    assert rows(busy, [marked])[0].rung == "any-kernel time"


@pytest.mark.parametrize("extra", ["", "cluster"])
def test_the_file_is_one_that_prometheus_reads(extra: str, tmp_path: Path) -> None:
    """Every preset's rules, as text, pass promtool: names, labels, durations, quotes."""
    presets = with_labels(read_presets(), [extra] if extra else [])
    found = groups(presets, {one.stack: 7.5 for one in presets}, of_all(extra))
    file = tmp_path / "tidegate.yml"
    file.write_text(rendered(found), encoding="utf-8")
    done = subprocess.run(
        [promtool(), "check", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"{sum(len(group.rules) for group in found)} rules found" in done.stdout


def test_no_rules_are_a_file_too(tmp_path: Path) -> None:
    """A context without anything to record gives a file that Prometheus takes."""
    file = tmp_path / "tidegate.yml"
    file.write_text(rendered(()), encoding="utf-8")
    assert subprocess.run([promtool(), "check", "rules", str(file)], check=False).returncode == 0


@pytest.mark.parametrize(
    ("value", "heard"),
    [
        ("970", 970.0),
        ("1060", 1060.0),
        ("1061", None),
        ("9e99", None),
        ("+Inf", None),
        ("NaN", None),
        ("soon", None),
    ],
)
async def test_a_heartbeat_that_cannot_be_is_none(value: str, heard: float | None) -> None:
    """One that is no number, or over a minute ahead, silences its own stack alone, and the poll goes on."""
    one = definition("vllm", "queue_wait")

    async def ask(query: str, at: float) -> Vector:
        if HEARTBEAT in query:
            beats = {"vllm": value, "sglang": "990"}
            return Vector([Sample({"stack": stack}, (at, beat)) for stack, beat in beats.items()])
        return Vector([Sample({"__name__": record_name(one), MARK: mark(one, 60.0)}, (at, "1"))])

    records = Records((), "")
    await records.learn(ask, [one], 1000.0)
    await records.listen(ask, 1000.0)
    assert records.heartbeat("vllm", 60.0, 1000.0) == heard
    assert records.heartbeat("sglang", 60.0, 1000.0) == 990.0
