"""Several Prometheus servers in one context: one fleet, told apart by cluster."""

import time
from dataclasses import replace

import pytest

from collectors.config import Context
from collectors.fleet import Frame, Past, Release, SourceState
from collectors.readings import Quality
from collectors.signals.catalogue import Answer, Definition, Detected, Metric, Poll, Row
from collectors.watch.loop import Watch
from tests.unit.test_watch import TICK_S, Clock, Scripted, poll, until


def of(cluster: str, value: float, state: SourceState = SourceState.OK) -> Poll:
    return replace(poll(time.time(), value, state), cluster=cluster)


def watched(*pollers: Scripted, context: Context | None = None) -> Watch:
    return Watch("t", context or Context(), pollers, poll_s=TICK_S, tick_s=TICK_S)


def qualities(frame: Frame) -> dict[str, Quality]:
    return {m.name: m.reading("running").quality for m in frame.models}


async def test_a_dead_server_is_one_stale_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its models grow stale and lose their values, the others stay; the total says whose part is missing."""
    clock = Clock(monkeypatch)
    lost_at: list[float] = []
    eu = Scripted(lambda: of("eu", 7.0), name="prom eu")
    us = Scripted(lambda: of("us", 5.0, SourceState.LOST if lost_at else SourceState.OK), name="prom us")

    def both(frame: Frame) -> bool:
        if qualities(frame) == {"aurora-5@eu": Quality.GOOD, "aurora-5@us": Quality.GOOD}:
            lost_at.append(frame.at)
        clock.count(frame)
        return qualities(frame) == {"aurora-5@eu": Quality.GOOD, "aurora-5@us": Quality.MISSING}

    frames = await until(watched(eu, us), both)
    whole = next(f for f in frames if len(f.models) == 2 and len(qualities(f)) == 2)
    assert whole.totals["running"].value == 12.0
    assert any(qualities(f).get("aurora-5@us") is Quality.STALE for f in frames)
    total = frames[-1].totals["running"]
    assert (total.value, total.quality) == (7.0, Quality.SUSPECT)
    assert total.reason.parameters == ("p",)
    assert {m.cluster for m in frames[-1].models} == {"eu", "us"}


async def test_a_model_of_a_cluster_keeps_its_objectives() -> None:
    """What was promised to a model holds in every cluster that serves it."""
    context = Context.model_validate({"objectives": {"models": {"aurora-5": {"pro": 2.0}}}})
    one = Scripted(lambda: of("eu", 7.0))
    frame = (await until(watched(one, context=context), lambda f: bool(f.models)))[-1]
    assert frame.models[0].subject == "aurora-5"
    assert frame.models[0].objectives == {"pro": 2.0}


async def test_the_past_is_handed_on_once() -> None:
    """What was before the watch began is in one frame, and in no other."""
    past = (Past("aurora-5", "", "queue_wait_p99", 1.0, 3.0),)
    one = Scripted(lambda: poll(time.time()))
    source = watched(one)
    frames = await until(source, lambda f: bool(f.models))
    source._lanes[0].past = past
    assert source._frame(time.monotonic()).past == past
    assert source._frame(time.monotonic()).past == ()
    assert all(f.past == () for f in frames)


async def test_a_reading_that_is_missing_says_what_would_bring_it() -> None:
    """The sentence of a stack that is there stands where its signal is not."""
    detected = (Detected("vllm", "vLLM", "engine", ("m",)),)
    one = Scripted(lambda: replace(poll(time.time()), detected=detected))
    source = Watch(
        "t",
        Context(),
        [one],
        poll_s=TICK_S,
        tick_s=TICK_S,
        absence=lambda signal, stacks: f"{signal} of {stacks[0]}: turn it on" if signal == "kv_ratio" else "",
    )
    frame = (await until(source, lambda f: bool(f.models)))[-1]
    assert frame.models[0].reading("kv_ratio").reason.parameters == ("kv_ratio of vllm: turn it on",)
    assert frame.models[0].reading("tokens_out").reason.code == "no-source"


async def test_a_release_that_only_metrics_tell_of_is_shown() -> None:
    """Without a plane the rollout's own metrics are the word on it, and its subject is a row."""
    rollout = Release(
        "argo/ml/boreal-4", "boreal-4", "model", "boreal-4", 0, "", None, "", (), "paused", None, (),
        read_only="seen through metrics only",
    )  # fmt: skip
    source = watched(Scripted(lambda: poll(time.time())))
    await until(source, lambda f: bool(f.models))
    source._lanes[0].releases, source._dirty = (rollout,), True
    frame = source._frame(time.monotonic())
    assert frame.releases == (rollout,)
    assert "boreal-4" in {m.name for m in frame.models}


def waits(model: str, *priorities: str) -> Answer:
    """The p99 of 3 s of a model, by an engine that tells these priorities, or none."""
    definition = Definition("queue_wait_mean", "sglang", "engine", "gauge", (Metric("m"),), ())
    each = [{"priority": one} for one in priorities] or [{}]
    return Answer(
        definition, tuple(Row({"model_name": model, **labels}, 3.0) for labels in each), time.time()
    )


async def test_a_wait_without_tiers_is_shown_beside_models_with_tiers() -> None:
    """One model's gateway tells tiers, another's engine only the whole: its wait has a column as well."""
    one = Scripted(lambda: replace(poll(time.time()), answers=(waits("a", "1", "0"), waits("b"))))
    frame = (await until(watched(one), lambda f: len(f.models) == 2))[-1]
    assert [t.name for t in frame.tiers] == ["1", "0", "all"]
    assert frame.models[1].reading("queue_wait_mean", "all").value == 3.0
    told = Scripted(lambda: replace(poll(time.time()), answers=(waits("a", "1", "0"), waits("b", "1"))))
    frame = (await until(watched(told), lambda f: len(f.models) == 2))[-1]
    assert [t.name for t in frame.tiers] == ["1", "0"]


async def test_what_holds_accelerators_is_said_until_they_are_asked_again() -> None:
    """Accelerators are asked seldom: between two answers the hint on an unmatched workload stays."""
    definition = Definition("accelerators", "dcgm", "accelerator", "gauge", (Metric("m"),), ())
    held = Answer(definition, (Row({"workload": "mistral-7b"}, 8.0),), time.time())
    asked: list[Poll] = []

    def say() -> Poll:
        plain = poll(time.time())
        asked.append(plain)
        return plain if len(asked) % 4 else replace(plain, answers=(*plain.answers, held))

    frames = await until(watched(Scripted(say)), lambda f: len(asked) > 9)
    hints = [any(n.code == "unmatched" for n in f.notes) for f in frames]
    assert True in hints
    assert all(hints[hints.index(True) :])
