"""A first day on a real cluster: no control plane, no rollouts, priorities as the engines call them."""

from dataclasses import replace

from collectors.fleet import ALL_TIERS, Frame, Model, Node, Tier
from collectors.readings import Interval, Reason, reading
from tests.frames import AT, bare_frame, model, sources

PRIORITIES = tuple(Tier(name, f"prio {name}") for name in ("100", "10", "0", "-10"))
WAITS = ((0.2, 0.3, 0.25), (0.4, 0.5, 0.45), (0.8, 1.0, 0.9), (1.3, 1.6, 1.4))


def whole(name: str, wait: float) -> Model:
    """A model whose engines tell no tiers: its wait stands under `all`."""
    waits = {"queue_wait_p99": reading("queue_wait_p99", Interval(wait / 2, wait * 2, wait), AT)}
    numbers = {"waiting": reading("waiting", 3, AT), "replicas": reading("replicas", 1, AT)}
    return Model(name, {**waits, **numbers}, {ALL_TIERS: waits}, notes=(Reason("no-tier", (name,)),))


def with_whole(one: Model, wait: float) -> Model:
    """The model with the wait of all its requests beside that of its tiers."""
    waits = {"queue_wait_p99": reading("queue_wait_p99", Interval(wait / 2, wait * 2, wait), AT)}
    return replace(one, readings={**one.readings, **waits}, tiers={**one.tiers, ALL_TIERS: waits})


def hosts(number: int = 8, size: int = 8) -> tuple[Node, ...]:
    """Hosts with accelerators at 90 %; the third has a fault, its accelerator 2, the fifth memory errors."""
    made = [
        Node(f"gpu-node-{n:02d}", "gpu", bytes([90]) * size, " " * size, ("llama-3-70b",))
        for n in range(1, number + 1)
    ]
    for place, marks in ((2, "  X"), (4, "      e")):
        if place < number:
            made[place] = replace(made[place], marks=marks.ljust(size))
    return tuple(made)


def newcomer_frame(at: float = AT) -> Frame:
    """Two models served by priority, eight hosts, and nothing that stages or throttles."""
    return replace(
        bare_frame(at),
        tiers=PRIORITIES,
        models=tuple(
            model(name, WAITS, tiers=PRIORITIES, objectives={}, throttle=None, features=())
            for name in ("llama-3-70b", "qwen-2")
        ),
        totals={
            "accelerators": reading("accelerators", 64, at),
            "busy_ratio": reading("busy_ratio", 0.9, at),
        },
        nodes=hosts(),
        sources=sources(at)[:1],
        notes=(Reason("no-plane"),),
    )


def mixed_frame(at: float = AT) -> Frame:
    """One model that tells its tiers beside one that does not, which is slower than any of them."""
    frame = newcomer_frame(at)
    return replace(
        frame,
        tiers=(*PRIORITIES, Tier(ALL_TIERS, "All")),
        models=(with_whole(frame.models[0], 7.0), whole("sglang-mix", 9.0)),
    )
