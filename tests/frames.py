"""Frames for tests of what is drawn: a demo fleet, a healthy one, a bare one, the worst one, and big ones."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from collectors.fleet import (
    ALL_TIERS,
    MISSING_CELL,
    STALE_CELL,
    Alert,
    Event,
    EventKind,
    Exposure,
    Feature,
    Frame,
    Model,
    Node,
    Release,
    Revert,
    Severity,
    SourceHealth,
    SourceState,
    Stage,
    Throttle,
    Tier,
)
from collectors.readings import Interval, Quality, Reading, Reason, reading
from collectors.text import clean

AT = 1_795_269_731.0
"""2026-11-21T14:02:11Z."""

TIERS = (Tier("pro", "Pro"), Tier("plus", "Plus"), Tier("team", "Team"), Tier("free", "Free"))
OBJECTIVES = {"pro": 2.0, "plus": 3.0, "team": 3.0, "free": 6.0}

NO_CAPACITY_MODEL = Reading(None, None, Quality.UNKNOWN, Reason("no-capacity-model"))
NOT_OPEN = Reading(None, None, Quality.MISSING, Reason("not-open"))

Waits = Sequence[tuple[float, float, float] | None]


def model(
    name: str,
    waits: Waits,
    *,
    at: float = AT,
    busy: float = 0.85,
    accelerators: int = 64,
    waiting: int = 0,
    kv: float = 0.6,
    saturation: float = 0.5,
    throttle: float | None = 1.0,
    objectives: Mapping[str, float] = OBJECTIVES,
    tiers: Sequence[Tier] = TIERS,
    features: tuple[str, ...] = ("chat",),
) -> Model:
    """A model with a p99 wait (lo, hi, estimate) for each tier; None where it is not open."""
    by_tier: dict[str, dict[str, Reading]] = {}
    for tier, wait in zip(tiers, waits, strict=True):
        if wait is None:
            by_tier[tier.name] = {"queue_wait_p99": NOT_OPEN, "queue_wait_p50": NOT_OPEN}
            continue
        lo, hi, estimate = wait
        by_tier[tier.name] = {
            "queue_wait_p99": reading("queue_wait_p99", Interval(lo, hi, estimate), at),
            "queue_wait_p50": reading("queue_wait_p50", Interval(lo / 4, hi / 4, estimate / 4), at),
        }
    return Model(
        name,
        {
            "waiting": reading("waiting", waiting, at),
            "kv_ratio": reading("kv_ratio", kv, at),
            "pool_saturation": reading("pool_saturation", saturation, at),
            "busy_ratio": reading("busy_ratio", busy, at),
            "accelerators": reading("accelerators", accelerators, at),
            "headroom_ratio": NO_CAPACITY_MODEL,
            "saturation_rho": NO_CAPACITY_MODEL,
        },
        by_tier,
        objectives,
        throttle,
        features,
    )


def release(
    subject: str,
    exposure: Sequence[float],
    *,
    kind: str = "model",
    phase: str = "progressing",
    tiers: Sequence[Tier] = TIERS,
) -> Release:
    """A release that has each tier at the given share."""
    stages = tuple(Stage(f"{tier.name}-100", tier.name, 1.0) for tier in tiers)
    index = next((n for n, share in enumerate(exposure) if share < 1), None)
    return Release(
        id=f"{subject}-rollout",
        title=subject,
        subject_kind="feature" if kind == "feature" else "model",
        subject=subject,
        seq=7,
        etag="m-17",
        stable=None,
        candidate="v2",
        stages=stages,
        phase="completed" if index is None else phase,
        stage_index=index,
        exposure=tuple(Exposure(t.name, share, share) for t, share in zip(tiers, exposure, strict=True)),
        gate="open",
    )


def lost(model: Model, *, at: float = AT, age_s: float = 94) -> Model:
    """The model after its scrape target went away: every value removed, its age kept."""
    gone = Reading(None, at - age_s, Quality.MISSING, Reason("removed", (round(age_s),)))
    return replace(
        model,
        readings=dict.fromkeys(model.readings, gone),
        tiers={
            tier: {s: gone if r.reason.code != "not-open" else r for s, r in readings.items()}
            for tier, readings in model.tiers.items()
        },
        throttle=None,
    )


def stale(model: Model, *, at: float = AT, age_s: float = 31) -> Model:
    """The model some scrapes late: values kept, marked stale."""

    def late(one: Reading) -> Reading:
        if one.value is None:
            return one
        return Reading(one.value, at - age_s, Quality.STALE, Reason("stale", (round(age_s), 10)))

    return replace(
        model,
        readings={signal: late(one) for signal, one in model.readings.items()},
        tiers={tier: {s: late(r) for s, r in found.items()} for tier, found in model.tiers.items()},
    )


def sources(at: float = AT) -> tuple[SourceHealth, ...]:
    """A Prometheus and a control plane that answer."""
    return (
        SourceHealth(
            "prom", "prometheus", SourceState.OK, at - 0.8, 0.042, 5.0, targets=(57, 57), queries=22
        ),
        SourceHealth("plane", "plane", SourceState.OK, at - 0.3, 0.008, 1.0),
    )


def nodes(racks: int = 22, per_rack: int = 14, *, seed: int = 1, pool: str = "gpu") -> tuple[Node, ...]:
    """Hosts of eight accelerators, in racks."""
    rng = random.Random(seed)
    made = []
    for rack in range(racks):
        zone = "e1a" if rack < 8 else "e1b" if rack < 15 else "e1c"
        for number in range(per_rack):
            busy = bytes(rng.randrange(62, 100) for _ in range(8))
            made.append(Node(f"{zone}-r{rack + 1}/n{number:02d}", pool, busy, " " * 8, ("aurora-5",)))
    return tuple(sorted(made, key=lambda node: (node.pool, node.name)))


def _marked(all_nodes: tuple[Node, ...], name: str, busy: bytes | None, marks: str) -> tuple[Node, ...]:
    return tuple(
        replace(n, busy=n.busy if busy is None else busy, marks=marks) if n.name == name else n
        for n in all_nodes
    )


def demo_frame(at: float = AT, tick: int = 2531, *, mode: str = "DEMO") -> Frame:
    """Seven models in trouble of several kinds: breach, straddle, no data, throttles, a feature release."""
    delta = model(
        "delta-code",
        ((2.5, 3.2, 2.6), (2.5, 3.2, 3.1), (3.2, 4.0, 3.6), (13.0, 16.0, 14.9)),
        at=at,
        busy=0.96,
        accelerators=256,
        waiting=1812,
        kv=0.93,
        saturation=1.0,
        throttle=0.3,
    )
    fable = model("fable-voice", ((0.4, 0.5, 0.45), (0.4, 0.5, 0.45), None, None), at=at, accelerators=96)
    models = (
        model(
            "aurora-5",
            ((1.0, 1.3, 1.1), (2.0, 2.5, 2.3), (3.2, 4.0, 3.8), None),
            at=at,
            busy=0.91,
            accelerators=1024,
            waiting=310,
            kv=0.88,
            saturation=0.94,
            throttle=0.5,
        ),
        model(
            "aurora-5-mini",
            ((0.4, 0.6, 0.6), (0.6, 0.8, 0.7), (0.6, 0.8, 0.8), (1.3, 1.6, 1.6)),
            at=at,
            busy=0.83,
            accelerators=512,
            waiting=4,
        ),
        model(
            "boreal-4",
            ((0.6, 0.8, 0.8), (0.8, 1.0, 0.9), (0.8, 1.0, 1.0), (2.0, 2.5, 2.1)),
            at=at,
            busy=0.78,
            accelerators=384,
        ),
        model("cirrus-vision", ((1.3, 1.6, 1.4), None, None, None), at=at, busy=0.64, throttle=0.3),
        delta,
        model(
            "embed-2",
            ((0.0, 0.2, 0.1), (0.0, 0.2, 0.1), (0.0, 0.2, 0.1), (0.0, 0.2, 0.2)),
            at=at,
            busy=0.41,
            objectives=dict.fromkeys(OBJECTIVES, 1.0),
        ),
        lost(fable, at=at),
    )
    heat = nodes()
    first = heat[0].busy
    heat = _marked(heat, "e1a-r2/n05", None, "XX      ")
    heat = _marked(heat, "e1b-r10/n02", None, "  tttt  ")
    heat = _marked(heat, "e1c-r16/n07", bytes([STALE_CELL]) * 8, " " * 8)
    heat = _marked(heat, "e1a-r7/n11", bytes([MISSING_CELL]) * 8, " " * 8)
    heat = _marked(heat, "e1c-r20/n03", first[:4] + bytes([3]) * 4, " " * 8)
    return Frame(
        at=at,
        tick=tick,
        context="us-east",
        tiers=TIERS,
        models=models,
        totals={
            "accelerators": reading("accelerators", 2464, at),
            "busy_ratio": reading("busy_ratio", 0.85, at),
            "headroom_ratio": NO_CAPACITY_MODEL,
        },
        releases=(
            release("aurora-5", (1, 1, 0.25, 0)),
            release("aurora-5-mini", (1, 1, 1, 1)),
            release("boreal-4", (1, 1, 1, 1)),
            release("cirrus-vision", (1, 0, 0, 0), phase="paused"),
            release("delta-code", (1, 1, 1, 0.25)),
            release("embed-2", (1, 1, 1, 1)),
            release("fable-voice", (1, 0.5, 0, 0), phase="paused"),
            release("longctx", (1, 1, 1, 0.5), kind="feature"),
        ),
        throttles=(
            Throttle("images", "free", 8, "t-9", 0.3, expires_at=at + 1779, revert_to=Revert(0.5, None)),
            Throttle("longctx", "team", 3, "t-3", 0.5),
            Throttle("longctx", "free", 2, "t-2", 0.7),
        ),
        features=(
            Feature("chat", "chat", ("aurora-5", "aurora-5-mini", "boreal-4", "embed-2")),
            Feature("images", "images", ("delta-code", "cirrus-vision")),
            Feature("longctx", "longctx", ("aurora-5", "delta-code")),
        ),
        nodes=heat,
        alerts=(
            Alert("a1", Severity.P1, "delta-code", "free", at - 211, "queue p99 ≈14.9 s > 6.0 s"),
            Alert("a2", Severity.P2, "aurora-5", "team", at - 129, "queue p99 ≈3.8 s > 3.0 s"),
            Alert("a3", Severity.P2, "delta-code", "team", at - 111, "queue p99 ≈3.6 s > 3.0 s"),
            Alert("a4", Severity.P3, "fable-voice", "", at - 94, "no samples for 94 s"),
        ),
        sources=sources(at),
        events=(
            Event(at - 3781, EventKind.RELEASE, "bob", "aurora-5", "plus→team, gate 6 of 6"),
            Event(at - 1929, EventKind.RELEASE, "ctl", "aurora-5", "team 10%→25%, step by itself"),
            Event(at - 21, EventKind.ACTION, "alice", "images/free", "throttle T2→T3, admit 30%, 30 min"),
        ),
        production=True,
        simulated=True,
        mode="DEMO" if mode == "DEMO" else "LIVE",
    )


def healthy_frame(at: float = AT) -> Frame:
    """Everything within its objective, every source well, nothing throttled, nothing alerting."""
    waits = ((0.2, 0.3, 0.25), (0.4, 0.5, 0.45), (0.8, 1.0, 0.9), (1.3, 1.6, 1.4))
    names = ("aurora-5", "boreal-4", "embed-2")
    return replace(
        demo_frame(at),
        models=tuple(model(name, waits, at=at, busy=1.0, saturation=0.99) for name in names),
        releases=tuple(release(name, (1, 1, 1, 1)) for name in names),
        throttles=(),
        features=(Feature("chat", "chat", names),),
        nodes=nodes(4),
        alerts=(),
        events=(),
        production=False,
        simulated=False,
        mode="LIVE",
    )


def bare_frame(at: float = AT) -> Frame:
    """Engines alone: no tiers, no objectives, no plane, no accelerators, as on a first day."""
    return replace(
        healthy_frame(at),
        tiers=(Tier(ALL_TIERS, ALL_TIERS),),
        models=tuple(
            Model(
                name,
                {
                    "queue_wait_p99": reading("queue_wait_p99", Interval(0.3, 0.5, 0.4), at),
                    "waiting": reading("waiting", 2, at),
                    "kv_ratio": reading("kv_ratio", 0.41, at),
                },
                {ALL_TIERS: {"queue_wait_p99": reading("queue_wait_p99", Interval(0.3, 0.5, 0.4), at)}},
                notes=(Reason("no-tiers", ("default",)), Reason("no-accelerators")),
            )
            for name in ("llama-3-70b", "qwen-2")
        ),
        totals={},
        releases=(),
        throttles=(),
        features=(),
        nodes=(),
        sources=sources(at)[:1],
        notes=(Reason("no-tiers", ("default",)), Reason("no-plane")),
    )


HOSTILE = (
    "[/nope]",
    "[@click=app.quit]x",
    "北京-大模型-推理服务-七十亿",
    "👩‍👩‍👧‍👦-family",
    "e\u0301a\u0300" * 40,
    "a" * 10_000,
    "\u200b\u200b",
    "",
)
"""Names that break naive screens: markup, wide glyphs, joined emoji, combining marks, length, nothing."""


def worst_frame(at: float = AT) -> Frame:
    """Everything wrong at once: hostile names, lost sources, every mark, infinite and stale values."""
    tiers = tuple(Tier(clean(name), clean(name)) for name in HOSTILE[:6])
    objectives = {tier.name: 1.0 for tier in tiers}
    infinite = (60.0, float("inf"), 60.0)
    models = []
    for number, raw in enumerate(HOSTILE):
        name = clean(raw)
        waits: Waits = (infinite, (0.0, 0.3, 0.1), None, (0.5, 2.0, 1.0), (900.0, 1800.0, 1234.0), None)
        one = model(
            name,
            waits,
            at=at,
            tiers=tiers,
            objectives=objectives,
            waiting=12_345_678,
            busy=0.05,
            throttle=0.37 if number % 2 else 0.0,
        )
        models.append((one, stale(one, at=at), lost(one, at=at))[number % 3])
    return replace(
        demo_frame(at),
        context=clean("[/prod] 北京 " + "x" * 200),
        tiers=tiers,
        models=tuple(sorted(models, key=lambda m: m.name)),
        totals={"accelerators": reading("accelerators", 9_999_999, at)},
        releases=(
            release(clean(HOSTILE[2]), (1, 0.5, 0, 0, 0, 0), tiers=tiers, phase="aborted"),
            release(clean(HOSTILE[5]), (1, 1, 1, 1, 1, 1), tiers=tiers),
            release("[b]feature[/b]", (0, 0, 0, 0, 0, 0), kind="feature", tiers=tiers, phase="degraded"),
        ),
        throttles=(Throttle("[b]feature[/b]", tiers[0].name, 1, "t", None, state="unknown"),),
        features=(Feature("[b]feature[/b]", "[b]feature[/b]", tuple(m.name for m in models)),),
        nodes=(
            *(
                Node(
                    clean(name),
                    clean(HOSTILE[2]),
                    bytes([0, 50, 100, STALE_CELL, MISSING_CELL] * 4),
                    "X te " * 4,
                )
                for name in HOSTILE
            ),
            Node("empty", "pool", b"", ""),
        ),
        alerts=tuple(
            Alert(str(n), severity, clean(name), tiers[0].name, at - n * 1000, clean(f"{name} is bad", 256))
            for n, (name, severity) in enumerate(zip(HOSTILE * 3, tuple(Severity) * 8, strict=True))
        ),
        sources=(
            SourceHealth(
                "prom", "prometheus", SourceState.LOST, at - 94, None, 5.0, "connection refused by 10.0.0.1"
            ),
            SourceHealth(
                "[/b]", "scrape", SourceState.PARTIAL, at, 12.3, 5.0, warnings=("x" * 300,), targets=(1, 9)
            ),
            SourceHealth("plane", "plane", SourceState.CONNECTING),
        ),
        events=tuple(
            Event(
                at - n, kind, clean(HOSTILE[n % 8]), clean(HOSTILE[(n + 1) % 8]), clean(HOSTILE[(n + 2) % 8])
            )
            for n, kind in enumerate(EventKind)
        ),
        notes=(Reason("unmatched", ("[/nope]", "prod")),),
    )


def big_frame(models: int = 500, tiers: int = 6, accelerators: int = 10_000, *, seed: int = 1) -> Frame:
    """A fleet of a given size, in which about one model in ten is in breach."""
    rng = random.Random(seed)
    all_tiers = tuple(Tier(f"tier{n}", f"Tier{n}") for n in range(tiers))
    objectives = {tier.name: 3.0 + n for n, tier in enumerate(all_tiers)}
    made = tuple(_random_model(f"model-{n:03d}", all_tiers, objectives, rng) for n in range(models))
    racks = -(-accelerators // (16 * 8))
    return replace(
        demo_frame(),
        tiers=all_tiers,
        models=made,
        releases=tuple(release(m.name, [1] * (tiers - 1) + [0.25], tiers=all_tiers) for m in made),
        throttles=(),
        features=(Feature("chat", "chat", tuple(m.name for m in made)),),
        nodes=nodes(racks, 16)[: accelerators // 8],
        alerts=tuple(
            Alert(f"a{n}", Severity.P2, m.name, "tier0", AT - n, "queue p99 above its objective")
            for n, m in enumerate(made[::10])
        ),
    )


def _random_model(
    name: str, tiers: tuple[Tier, ...], objectives: Mapping[str, float], rng: random.Random
) -> Model:
    waits = []
    for _ in tiers:
        estimate = rng.lognormvariate(0, 0.8)
        waits.append((estimate * 0.9, estimate * 1.15, estimate))
    return model(
        name,
        waits,
        tiers=tiers,
        objectives=objectives,
        busy=rng.random(),
        waiting=rng.randrange(0, 2000),
        kv=rng.random(),
        saturation=rng.random(),
    )


def following(frame: Frame, *, share: float = 0.1, seed: int = 2) -> Iterator[Frame]:
    """Frames after `frame`, one a second: each moves a `share` of models and nodes and keeps the rest."""
    rng = random.Random(seed)
    while True:
        models = tuple(
            _random_model(m.name, frame.tiers, m.objectives, rng) if rng.random() < share else m
            for m in frame.models
        )
        hosts = tuple(
            replace(n, busy=bytes(rng.randrange(0, 101) for _ in n.busy)) if rng.random() < share else n
            for n in frame.nodes
        )
        frame = replace(frame, at=frame.at + 1, tick=frame.tick + 1, models=models, nodes=hosts, events=())
        yield frame
