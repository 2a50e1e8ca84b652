"""Dialogs with the worst texts that may reach them: eight tiers, thirty models, twelve stages, long words."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

from collectors.fleet import Check, Exposure, Feature, Frame, LastChange, Release, Revert, Stage, Tier
from collectors.intents import Difference, Intent, Logged, Outcome, OutcomeKind, Rehearsal, Target
from tests.accident_places import FormOf
from tests.dialog_parts import ended
from tests.frames import AT, demo_frame, model
from tests.throttle_frames import cell
from tests.unit.test_release_forms import plane
from tui.dialogs.release import RETRY, WEIGHT, advancing
from tui.dialogs.release_stops import backing_out, pausing
from tui.dialogs.throttle import extend_form, throttle_form, throttle_inverse
from tui.dialogs.throttle_form import ALL
from tui.screens.base import Selection

TIERS = (
    Tier("pro", "Pro"),
    Tier("partner-programme-emea-1", "Partner programme, EMEA, first wave"),
    Tier("qiye", "企业版（华东、北京、上海）"),
    Tier("equipe", "E\u0301quipe a\u0300 de\u0301couvert"),
    Tier("team", "Team"),
    Tier("plus", "Plus"),
    Tier("education-and-research", "Education and research institutions"),
    Tier("free", "Free"),
)
STEMS = (
    "aurora-5-instruct-2026-11-fp8",
    "北京-大模型-推理服务",
    "e\u0301toile-a\u0300-longue-porte\u0301e",
    "delta",
    "x" * 40,
)
MODELS = tuple(f"{STEMS[n % 5]}-{n:02d}" for n in range(30))
FEATURE = "image-generation-and-editing-for-everyone-worldwide"
CANDIDATE = "2026-11-21t14.02.11z-sha256-0f3c9a7e5b1d"
CONTEXT = "us-east-production-kubernetes-1"
REASON_500 = ("launch spike, 京 queue above its objective; " * 20)[:440] + " " + "r" * 58 + "."
REFUSAL = (
    "the level was changed by bob@example.com 4 s ago, from admit 50% to admit 10%, while your change was "
    "under way; look at it again, and if you still want yours, ask anew: see " + "h" * 90 + " for the rule"
)
WARNINGS = tuple(f"warning {n}: 企业版 is at its limit, and {'w' * 50} goes above it" for n in range(1, 6))
BY_BOB = LastChange(
    "a-9", "release.pause", "bob.with-a-very-long-name@operations.example.com", REASON_500, AT - 60
)

MOVED = (Difference("level", "admit 50%", "admit 10%"), Difference("by", "", BY_BOB.actor))

WAITS = ((3.2, 4.0, 3.6), (13.0, 16.0, 14.9), None, (0.4, 0.6, 0.5)) * 2
OBJECTIVES = {tier.name: 2.0 for tier in TIERS}

UNDONE = Logged(
    "a-41",
    AT - 21,
    "alice",
    "throttle.set",
    Target("throttle", FEATURE, "free"),
    REASON_500,
    "applied",
    before={"level": 0.7, "expires_at": None},
    after={"level": 0.4, "expires_at": None},
)


def release(phase: str = "progressing", **changes: object) -> Release:
    """Twelve stages over eight tiers, at the fourth; six checks, each with something to say."""
    weights = [("pro", 1.0), ("partner-programme-emea-1", 0.25), ("partner-programme-emea-1", 1.0)]
    weights += [("qiye", 0.05), ("qiye", 0.5), ("qiye", 1.0), ("equipe", 1.0), ("team", 0.25)]
    weights += [("team", 1.0), ("plus", 1.0), ("education-and-research", 1.0), ("free", 1.0)]
    stages = tuple(Stage(f"{tier}@{weight * 100:g}", tier, weight, "manual", 900) for tier, weight in weights)
    checks = tuple(
        Check(
            f"check-{n}-of-the-plane",
            ("fail", "pass", "pending")[n % 3],
            f"detail {n}: {'d' * 70} end",
            AT + 288,
        )
        for n in range(6)
    )
    shares = dict.fromkeys((tier.name for tier in TIERS), 0.0) | dict(weights[:4])
    by_operator = phase == "paused by operator"
    made = Release(
        id="aurora",
        title="Aurora",
        subject_kind="model",
        subject=MODELS[0],
        seq=7,
        etag="m-1234567890abcdef",
        stable="2026-10-30t08.00.00z-sha256-77aa01bc9921",
        candidate=CANDIDATE,
        stages=stages,
        phase="paused" if by_operator else phase,
        stage_index=None if phase == "aborted" else 3,
        exposure=tuple(Exposure(tier, share) for tier, share in shares.items()),
        pause_reason="operator" if by_operator else None,
        gate="closed",
        checks=checks,
        history=("2026-10-30t08.00.00z-sha256-77aa01bc9921", "2026-09-01t08.00.00z-sha256-1111"),
        last_change=BY_BOB,
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # members by name, in tests only


@cache
def worst(phase: str = "progressing") -> Frame:
    """Thirty models behind one feature, eight tiers, a release of twelve stages, everything long."""
    feature = Feature(FEATURE, FEATURE, MODELS)
    models = tuple(
        model(name, WAITS, tiers=TIERS, objectives=OBJECTIVES, features=(FEATURE, "chat")) for name in MODELS
    )
    cells = tuple(
        cell(
            one,
            tier.name,
            0.4,
            etag=f"t-{n}-0f3c9a7e5b1d",
            expires_at=AT + 1548,
            revert_to=Revert(0.7, None),
            state=("applied", "ramping", "drifted", "pending")[n % 4],
            last_change=BY_BOB._replace(audit_id="a-41"),
        )
        for one in (FEATURE, "chat")
        for n, tier in enumerate(TIERS)
    )
    facts = replace(plane("release-admin"), tiers=tuple(tier.name for tier in TIERS))
    return replace(
        demo_frame(),
        context=CONTEXT,
        tiers=TIERS,
        models=models,
        releases=(release(phase),),
        features=(feature, Feature("chat", "chat", MODELS[:2])),
        throttles=cells,
        nodes=(),
        plane=replace(facts, actor="alice.with-a-long-name@operations.example.com"),
        production=True,
        simulated=False,
        mode="LIVE",
    )


def throttle(level: str, tiers: Sequence[str] = ("free",), feature: str = FEATURE) -> FormOf:
    """The throttle's form on the worst frame."""

    def made(frame: Frame) -> object:
        form = throttle_form(frame, Selection(feature=FEATURE, tier="free"), None)
        assert not isinstance(form, str), form
        return (
            form.with_choice("feature", (feature,))
            .with_choice("tier", tuple(tiers))
            .with_choice("admit", (level,))
        )

    return made  # type: ignore[return-value]


def on_release(make: str, phase: str = "progressing", **options: str) -> "Worst":
    """A dialog about the release in one of its phases."""

    def made(frame: Frame) -> object:
        found = frame.releases[0]
        if make == "advance":
            form = advancing(frame, found, **options)
            assert not isinstance(form, str), form
            return form if options else form.with_choice("gate", ("override",))
        if make == "pause":
            return pausing(frame, found)
        form = backing_out(frame, found)
        assert not isinstance(form, str), form
        return form.with_choice("way", (options["way"],))

    return Worst(made, phase)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Worst:
    """A dialog: its form, and the phase in which the release is."""

    form: FormOf | None
    phase: str = "progressing"


ALL_TIERS = tuple(tier.name for tier in TIERS)
WORST = {
    "throttle": Worst(throttle("T3")),
    "throttle-several": Worst(throttle("T0", ALL_TIERS[4:])),
    "throttle-all": Worst(throttle("T0", ALL_TIERS, ALL)),
    "extend": Worst(lambda frame: extend_form(frame, Target("throttle", FEATURE, "free"))),
    "undo": Worst(lambda frame: throttle_inverse(frame, UNDONE)),
    "override": on_release("advance"),
    "weight": on_release("advance", step=WEIGHT, weight="12.5"),
    "retry": on_release("advance", "aborted", step=RETRY),
    "pause": on_release("pause"),
    "resume": on_release("pause", "paused by operator"),
    "abort": on_release("back out", way="abort"),
    "roll-back": on_release("back out", way="rollback"),
    "arm": Worst(None),
}


def rehearsed(intent: Intent) -> Rehearsal:
    """A yes with many changes and warnings."""
    changes = tuple(
        Difference(f"member {n}", f"before {n} {'b' * 30}", f"after {n} 企业版") for n in range(1, 4)
    )
    return Rehearsal(intent, AT, changes=changes, warnings=WARNINGS, etag=intent.etag or "")


def refused(intent: Intent) -> Rehearsal:
    """A long no, with what moved."""
    return replace(
        rehearsed(intent), changes=(), warnings=(), refusal=REFUSAL, code="stale-level", moved=MOVED
    )


KINDS = (
    (OutcomeKind.APPLIED, True),
    (OutcomeKind.PENDING, True),
    (OutcomeKind.UNKNOWN, True),
    (OutcomeKind.CONFLICT, True),
    (OutcomeKind.REFUSED, True),
    (OutcomeKind.REFUSED, False),
)
"""Kind, and whether it was sent: every way in which a target can end."""


def became(number: int, intent: Intent) -> Outcome:
    """What became of the `number`th target."""
    kind, was_sent = KINDS[number % len(KINDS)]
    text = f"end {number}: {REFUSAL}" if kind is not OutcomeKind.APPLIED else f"end {number}: admit 100%"
    made = replace(ended(intent, kind, text), was_sent=was_sent)
    return replace(made, moved=MOVED) if kind is OutcomeKind.CONFLICT else made
