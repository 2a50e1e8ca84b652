"""The dialogs about a release: what each phase and role may do, what is sent, what is said before it."""

from dataclasses import replace
from types import MappingProxyType

import pytest

from collectors.control.server import rules
from collectors.fleet import Check, Exposure, Frame, LastChange, Release, Stage
from collectors.intents import ANY_ETAG, OPERATIONS, Ability, Intent, PlaneFacts, Target
from tests.frames import AT, demo_frame, model
from tui.dialogs.form import Choice, Entry, Form, Level
from tui.dialogs.release import RETRY, WEIGHT, AdvanceForm, advance_form, back_out_form, pause_form
from tui.dialogs.release_stops import BackOutForm, PauseForm
from tui.releases import LEGAL_PHASES
from tui.screens.base import Selection

PHASES = (
    "pending",
    "progressing",
    "paused",
    "paused by operator",
    "completed",
    "aborted",
    "degraded",
    "unknown",
)

BY_CONTRACT = {
    "pending": {"advance", "abort", "rollback"},
    "progressing": {"advance", "pause", "abort", "rollback", "set_weight"},
    "paused": {"advance", "pause", "abort", "rollback", "set_weight"},
    "paused by operator": {"resume", "abort", "rollback", "set_weight"},
    "completed": {"rollback"},
    "aborted": {"retry", "rollback"},
    "degraded": {"abort", "retry", "rollback"},
    "unknown": {"abort"},
}
"""Section 3 of the control contract, row by row; a pause of what an operator paused changes nothing."""

BY_ROLE = {
    "viewer": set[str](),
    "operator": {"pause", "resume", "abort"},
    "release-admin": {"advance", "pause", "resume", "abort", "retry", "rollback", "set_weight"},
}
"""Section 7 of the control contract."""

STAGES = (
    Stage("pro@100", "pro", 1.0),
    Stage("plus@25", "plus", 0.25, "manual", 900),
    Stage("plus@100", "plus", 1.0, "auto", 600),
    Stage("team@100", "team", 1.0),
    Stage("free@100", "free", 1.0),
)
HOLD = Check("hold", "fail", "612 of 900 s", AT + 288)
ON = Selection(model="aurora-5")


def plane(role: str = "release-admin", **closed: str) -> PlaneFacts:
    """What a plane says of a caller with `role`; `closed`: operations without their dot, and why."""
    able = {}
    for name in OPERATIONS:
        verb = name.removeprefix("release.")
        allowed = verb in BY_ROLE[role] or not name.startswith("release.") or role == "release-admin"
        able[name] = Ability(True, allowed, "" if allowed else f"needs another role than {role}")
    for verb, why in closed.items():
        able[f"release.{verb}"] = Ability(True, False, why)
    return PlaneFacts("alice", role, MappingProxyType(able), ("pro", "plus", "team", "free"))


def aurora(phase: str = "paused", **changes: object) -> Release:
    """A model's release at its second stage, or where its phase leaves it."""
    by_operator = phase == "paused by operator"
    at = 1 if phase in ("progressing", "paused", "paused by operator", "degraded", "unknown") else None
    made = Release(
        id="aurora",
        title="Aurora 5",
        subject_kind="model",
        subject="aurora-5",
        seq=7,
        etag="m-17",
        stable="r41",
        candidate="r42",
        stages=STAGES,
        phase="paused" if by_operator else phase,
        stage_index=at,
        exposure=tuple(
            Exposure(tier, share if at is not None else 0.0)
            for tier, share in (("pro", 1.0), ("plus", 0.25), ("team", 0.0), ("free", 0.0))
        ),
        pause_reason={"paused": "gate", "paused by operator": "operator"}.get(phase),
        gate="open",
        history=("r41", "r40"),
        last_change=LastChange("a-9", "release.pause", "bob", "look", AT - 60) if by_operator else None,
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # members by name, in tests only


def frame_of(*releases: Release, facts: PlaneFacts | None = None) -> Frame:
    """The demo fleet with these releases and a plane that lets a release-admin do everything."""
    return replace(demo_frame(), releases=releases, plane=facts or plane())


def advancing(release: Release, facts: PlaneFacts | None = None) -> AdvanceForm:
    return advancing_of(frame_of(release, facts=facts), ON)


def advancing_of(frame: Frame, selection: Selection) -> AdvanceForm:
    form = advance_form(frame, selection)
    assert isinstance(form, AdvanceForm), form
    return form


def backing_out(release: Release, facts: PlaneFacts | None = None) -> BackOutForm:
    form = back_out_form(frame_of(release, facts=facts), ON)
    assert isinstance(form, BackOutForm), form
    return form


def pausing(release: Release, facts: PlaneFacts | None = None) -> PauseForm:
    form = pause_form(frame_of(release, facts=facts), ON)
    assert isinstance(form, PauseForm), form
    return form


def only_intent(form: Form) -> Intent:
    plan = form.plan()
    assert not plan.problem, plan.problem
    (intent,) = plan.intents
    return intent


def text_of(form: Form, width: int = 300, glyphs: str = "unicode") -> str:
    return "\n".join(line.text.rstrip() for line in form.facts(width, glyphs))


def every_way(form: Form | str) -> list[Form]:
    """The form with each option of its main choice in turn, a weight typed where one is asked for."""
    if isinstance(form, str):
        return []
    found = next((f for f in form.fields if isinstance(f, Choice) and f.id == form.main), None)
    ways = [form.with_choice(found.id, (one.id,)) for one in found.options] if found else [form]
    return [way.with_text("weight", "30") for way in ways]


@pytest.mark.parametrize("role", BY_ROLE)
@pytest.mark.parametrize("phase", PHASES)
def test_what_can_be_done_is_what_phase_and_role_allow(phase: str, role: str) -> None:
    """Phases x operations x roles: the three dialogs offer what the contract allows, and nothing else."""
    release = aurora(phase)
    if phase == "completed":
        release = replace(release, candidate="r41")
    frame = frame_of(release, facts=plane(role))
    forms = [advance_form(frame, ON), pause_form(frame, ON), back_out_form(frame, ON)]
    plans = [way.plan() for form in forms for way in every_way(form)]
    offered = {one.operation.removeprefix("release.") for plan in plans for one in plan.intents}
    assert offered == BY_CONTRACT[phase] & BY_ROLE[role]
    for form in forms:
        if isinstance(form, str):
            assert form.startswith("aurora-5: "), "what cannot be opened says why"


def test_the_server_holds_the_same_table() -> None:
    """Two readings of the contract, one table."""
    server = {name: set(phases) for name, phases in rules.LEGAL_PHASES.items() if name != "release.register"}
    assert server == {name: set(phases) for name, phases in LEGAL_PHASES.items()}


@pytest.mark.parametrize(
    ("sentence", "phase", "form"),
    [
        ("aurora-5: advance: it is completed: what can be done is roll back", "completed", advance_form),
        ("aurora-5: advance: it is unknown: what can be done is abort", "unknown", advance_form),
        ("aurora-5: pause: it is aborted: what can be done is go again or roll back", "aborted", pause_form),
    ],
)
def test_a_phase_that_allows_nothing_says_what_it_allows(sentence: str, phase: str, form: object) -> None:
    """D16: the sentence names the operations that are legal."""
    assert callable(form)
    assert form(frame_of(aurora(phase)), ON) == sentence


def test_each_write_names_what_was_seen() -> None:
    """Section 5: the members of `from`, the etag and the arguments of every operation, exactly."""
    target = Target("release", "aurora")
    seen = {"candidate": "r42", "stage": "plus@25"}
    form = advancing(aurora())
    assert only_intent(form) == Intent("release.advance", target, {"to": "plus@100"}, seen, "m-17")
    weigh = form.with_choice("step", (WEIGHT,)).with_text("weight", "37.5%")
    assert only_intent(weigh) == Intent(
        "release.set_weight", target, {"weight": 0.375}, {**seen, "weight": 0.25}, "m-17"
    )
    assert only_intent(pausing(aurora("paused by operator"))) == Intent(
        "release.resume", target, {}, seen, "m-17"
    )
    none = {"candidate": "r42", "stage": None}
    assert only_intent(advancing(aurora("pending"))) == Intent(
        "release.advance", target, {"to": "pro@100"}, none, "m-17"
    )
    assert only_intent(advancing(aurora("aborted"))) == Intent("release.retry", target, {}, none, "m-17")
    back = backing_out(aurora()).with_choice("way", ("rollback",))
    assert only_intent(back) == Intent("release.rollback", target, {"to_revision": "r41"}, seen, "m-17")
    older = back.with_choice("to", ("r40",))
    assert only_intent(older).arguments == {"to_revision": "r40"}


@pytest.mark.parametrize("operation", ["pause", "abort"])
def test_a_brake_is_never_stale_and_needs_no_phrase(operation: str) -> None:
    """Pause and abort: any etag, the candidate alone as seen, level one, no phrase."""
    form: Form = pausing(aurora("progressing")) if operation == "pause" else backing_out(aurora())
    assert only_intent(form) == Intent(
        f"release.{operation}", Target("release", "aurora"), {}, {"candidate": "r42"}, ANY_ETAG
    )
    plan = form.plan()
    assert (plan.level, plan.is_brake, plan.phrase) == (Level.ONE, True, "")


def test_levels_and_phrases() -> None:
    """What opens more wants the subject typed; what only closes, or undoes a pause, does not."""
    form = advancing(aurora())
    weigh = form.with_choice("step", (WEIGHT,))
    two: list[Form] = [
        form,
        weigh.with_text("weight", "26"),
        advancing(aurora("aborted")),
        backing_out(aurora()).with_choice("way", ("rollback",)),
    ]
    assert [(one.plan().level, one.plan().phrase, one.plan().is_brake) for one in two] == [
        (Level.TWO, "aurora-5", False)
    ] * 4
    less = weigh.with_text("weight", "24").plan()
    assert (less.level, less.phrase, less.is_brake) == (Level.ONE, "", True)
    resume = pausing(aurora("paused by operator")).plan()
    assert (resume.level, resume.phrase, resume.is_brake) == (Level.ONE, "", False)


def test_a_closed_gate_stops_an_advance_and_says_until_when() -> None:
    """It is a problem with the check, its time and what is left; override is offered, not chosen."""
    form = advancing(aurora(gate="closed", checks=(HOLD,)))
    plan = form.plan()
    assert plan.intents == ()
    assert plan.problem == (
        "the server's gate is closed (hold: open at 14:06:59Z, in 4m48s): wait, or choose to override it"
    )
    assert "server gate    closed: BLOCKS" in text_of(form)


@pytest.mark.parametrize("gate", ["closed", "unknown"])
def test_an_override_is_global(gate: str) -> None:
    """Level three, a phrase with the context, the contract's argument; only where the gate is not open."""
    form = advancing(aurora(gate=gate)).with_choice("gate", ("override",))
    plan = form.plan()
    assert (plan.level, plan.phrase) == (Level.THREE, "override aurora-5 us-east")
    assert only_intent(form).arguments == {"to": "plus@100", "override_gate": True}
    is_open = advancing(aurora())
    assert [one.id for one in is_open.fields] == ["step"]
    assert is_open.with_choice("gate", ("override",)) == is_open


def test_an_override_needs_its_own_ability() -> None:
    """Greyed with the plane's reason; choosing it all the same changes nothing."""
    form = advancing(aurora(gate="closed"), plane(override_gate="needs two people"))
    gate = form.fields[1]
    assert isinstance(gate, Choice)
    assert gate.options[1].why == "needs two people"
    assert form.with_choice("gate", ("override",)).plan().problem.endswith("override it: needs two people")


def test_the_gate_holds_back_an_advance_alone() -> None:
    """A weight, and going again, do not pass it."""
    form = advancing(aurora(gate="closed", checks=(HOLD,)))
    weigh = form.with_choice("step", (WEIGHT,)).with_text("weight", "40")
    assert only_intent(weigh).arguments == {"weight": 0.4}
    assert [one.id for one in weigh.fields] == ["step", "weight"]
    assert "closed: it guards advance alone" in text_of(weigh)


def test_a_later_stage_can_be_chosen() -> None:
    """Every later stage is offered by what it opens; the last one says that it is full promotion."""
    form = advancing(aurora())
    (step,) = form.fields
    assert isinstance(step, Choice)
    assert [one.label for one in step.options] == [
        "Plus 100%",
        "Team 100%",
        "Free 100%",
        "set weight of this stage",
    ]
    assert "full promotion" not in text_of(form)
    last = form.with_choice("step", ("stage:free@100",))
    assert only_intent(last).arguments == {"to": "free@100"}
    assert "Last stage: full promotion, r42 becomes stable and serves everyone." in text_of(last)
    assert "stay on r41" not in text_of(last)
    assert "; full promotion, r42 becomes stable and serves everyone" in last.plan().summary


@pytest.mark.parametrize(
    ("typed", "share"),
    [
        ("30", 0.3),
        ("30%", 0.3),
        (" 12.34 % ", 0.1234),
        ("0", 0.0),
        ("100", 1.0),
        ("33.3", 0.333),
        ("100.01", None),
        ("-1", None),
        ("1e1", None),
        ("12.345", None),
        ("٣٠", None),
        ("nan", None),
        (".", None),
        ("", None),
        ("25", None),
        ("1" * 400, None),
    ],
)
def test_a_weight_is_a_percentage(typed: str, share: float | None) -> None:
    """0 to 100, two decimals at most, in plain digits, and not what it is already."""
    form = advancing(aurora()).with_choice("step", (WEIGHT,)).with_text("weight", typed)
    entry = form.fields[1]
    assert isinstance(entry, Entry)
    assert entry.text == typed
    assert bool(entry.wrong) is (share is None)
    if share is None:
        assert form.plan().problem == f"weight: {entry.wrong}"
    else:
        assert only_intent(form).arguments == {"weight": share}


def test_a_stage_for_everyone_is_weighed_as_a_whole() -> None:
    """Tier "*": every tier stands at the stage's weight, and would move together."""
    stages = (Stage("all@10", "*", 0.1), Stage("all", "*", 1.0))
    shares = tuple(Exposure(tier, 0.1) for tier in ("pro", "plus"))
    form = advancing(aurora(stages=stages, stage_index=0, exposure=shares))
    weigh = form.with_choice("step", (WEIGHT,)).with_text("weight", "20")
    assert only_intent(weigh).seen == {"candidate": "r42", "stage": "all@10", "weight": 0.1}
    assert "Pro: 10% → 20%; Plus: 10% → 20%." in text_of(weigh)
    assert weigh.plan().summary == "aurora-5: weight of everyone 10% → 20% until the next stage"


def test_an_operators_pause_bars_the_advance() -> None:
    """The stages stay to be seen, greyed with who paused it; another weight can still be set."""
    form = advancing(aurora("paused by operator"))
    assert form.plan().problem == "advance: paused by bob: resume it first"
    (step,) = form.fields
    assert isinstance(step, Choice)
    assert [bool(one.why) for one in step.options] == [True, True, True, False]
    assert form.with_choice("step", ("stage:team@100",)) == form


def test_a_new_stage_is_followed() -> None:
    """S7, S8: the same release by its id, its new etag, and the next stage where the chosen one is behind."""
    form = advancing(aurora()).with_choice("step", ("stage:plus@100",))
    moved = aurora(stage_index=2, etag="m-18")
    now = form.seen(frame_of(aurora(subject="other", id="other"), moved))
    assert (form.revision, now.revision) == ("rev m-17", "rev m-18")
    assert only_intent(now) == Intent(
        "release.advance",
        Target("release", "aurora"),
        {"to": "team@100"},
        {"candidate": "r42", "stage": "plus@100"},
        "m-18",
    )
    far = form.with_choice("step", ("stage:free@100",)).seen(frame_of(moved))
    assert only_intent(far).arguments == {"to": "free@100"}, "a stage that is still ahead stays chosen"


def test_an_override_is_of_one_gate() -> None:
    """It stays while the same gate stays shut, and is not carried over to another stage's."""
    form = advancing(aurora(gate="closed")).with_choice("gate", ("override",))
    assert form.seen(frame_of(aurora(gate="closed", etag="m-18"))).is_overriding
    for later in (
        aurora(gate="closed", stage_index=2),
        aurora(gate="closed", candidate="r43"),
        aurora(gate="open"),
    ):
        assert not form.seen(frame_of(later)).is_overriding


@pytest.mark.parametrize("phase", ["aborted", "completed", "unknown"])
def test_a_step_never_turns_into_another(phase: str) -> None:
    """Aborted or completed by somebody else meanwhile: what was chosen is greyed, nothing else is chosen."""
    form = advancing(aurora()).seen(frame_of(aurora(phase)))
    assert form.step == "stage:plus@100"
    assert form.plan().intents == ()
    assert phase in form.plan().problem
    if phase == "aborted":
        assert only_intent(form.with_choice("step", (RETRY,))).operation == "release.retry"


def test_a_release_that_is_gone_can_do_nothing() -> None:
    """The plane tells of it no more: every dialog says so."""
    forms: list[Form] = [advancing(aurora()), pausing(aurora()), backing_out(aurora())]
    for form in forms:
        plan = form.seen(frame_of()).plan()
        assert plan.intents == ()
        assert plan.problem == "the control plane no longer tells of aurora: close this dialog"
        assert form.seen(frame_of()).seen(frame_of(aurora())).plan().intents, "it came back"


@pytest.mark.parametrize("weight", ["10", "0"])
def test_a_smaller_weight_without_a_stable_revision_is_no_single_key(weight: str) -> None:
    """It takes the model's service away from some of the tier, as an abort would. It stays a brake."""
    less = advancing(aurora(stable=None)).with_choice("step", (WEIGHT,)).with_text("weight", weight)
    told = f"Plus 25% → {weight}%"
    assert text_of(less).startswith(f"OUTAGE: {told}; those who lose it are not served at all")
    plan = less.plan()
    assert (plan.level, plan.is_brake, plan.phrase) == (Level.TWO, True, "aurora-5")
    assert plan.summary == (
        f"aurora-5: weight of {told} until the next stage; nothing serves those who lose it"
    )
    served = advancing(aurora()).with_choice("step", (WEIGHT,)).with_text("weight", weight).plan()
    assert (served.is_brake, served.phrase) == (True, "")


BASES = (
    (),
    (Exposure("pro", 1.0),),
    (Exposure("pro", 0.5), Exposure("plus", 0.1)),
    (Exposure("*", 0.05),),
)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("stable", ["r41", None])
@pytest.mark.parametrize("kind", ["model", "feature"])
@pytest.mark.parametrize("phase", PHASES)
def test_where_somebody_is_left_unserved_the_subject_is_typed(
    phase: str, kind: str, stable: str | None, base: tuple[Exposure, ...]
) -> None:
    """Whatever can be asked for, one rule: a brake asks for the subject exactly where its dialog says OUTAGE,
    and nothing says OUTAGE that `y` alone applies. A feature that closes is told, and is no outage."""
    release = aurora(phase, subject_kind=kind, stable=stable, base=base)
    frame, on = frame_of(release), Selection(release="aurora")
    forms = [way for make in (advance_form, pause_form, back_out_form) for way in every_way(make(frame, on))]
    forms += [form.with_text("weight", share) for form in forms for share in ("0", "3", "24")]
    for form in forms:
        plan, told = form.plan(), text_of(form)
        if not plan.intents:
            continue
        if plan.is_brake:
            assert bool(plan.phrase) == ("OUTAGE" in told) == ("nothing serves" in plan.summary), plan
            assert plan.level is (Level.TWO if plan.phrase else Level.ONE)
        assert plan.phrase or "OUTAGE" not in told, plan
        assert kind == "model" or "OUTAGE" not in told


def test_a_feature_is_closed_by_y_alone() -> None:
    """The dialog says who loses it, as loud as can be; the models that serve it go on, so it stays quick."""
    feature = aurora(subject_kind="feature", subject="longctx", stable=None)
    frame, on = frame_of(feature), Selection(release="aurora")
    away = back_out_form(frame, on)
    less = advancing_of(frame, on).with_choice("step", (WEIGHT,)).with_text("weight", "10")
    assert isinstance(away, BackOutForm)
    for form, lost in ((away, "Pro 100% → 0%, Plus 25% → 0%"), (less, "Plus 25% → 10%")):
        assert text_of(form).startswith(f"CLOSED: {lost}; those who lose it have nothing in its place.")
        plan = form.plan()
        assert (plan.level, plan.is_brake, plan.phrase) == (Level.ONE, True, "")


def test_going_again_says_where_it_starts() -> None:
    """Before its first stage, and what the next advance would open."""
    said = text_of(advancing(aurora("aborted")))
    assert "It starts before its first stage; the next advance would open Pro 100%" in said


@pytest.mark.parametrize(
    ("gate", "reason", "words"),
    [
        ("open", "gate", "waits for an advance"),
        ("closed", "gate", "waits for its gate"),
        ("unknown", "gate", "waits for its gate"),
        ("open", "analysis", "waits (analysis)"),
        ("open", None, "paused"),
    ],
)
def test_what_it_waits_for_is_what_its_gate_says(gate: str, reason: str | None, words: str) -> None:
    """A release at an open gate does not wait for that gate."""
    step = advancing(aurora(gate=gate, pause_reason=reason)).fields[0]
    assert isinstance(step, Choice)
    assert step.note == f"now at Plus 25%, {words}"


@pytest.mark.parametrize("form", [advance_form, pause_form, back_out_form])
def test_what_has_no_release_of_the_planes_says_so(form: object) -> None:
    """No plane, nothing selected, no release, one that only metrics see: a sentence each."""
    assert callable(form)
    read_only = aurora(read_only="only its metrics are seen: give --plane URL")
    assert form(replace(frame_of(aurora()), plane=None), ON) == "no control plane: give --plane URL"
    assert form(frame_of(aurora()), Selection()).startswith("nothing is selected")
    assert form(frame_of(), ON) == "aurora-5 has no release: `tidegate plane load FILE` registers one"
    assert form(frame_of(read_only), ON).endswith("only its metrics are seen: give --plane URL")


def test_a_release_is_found_by_what_is_selected() -> None:
    """By its id, by the feature it opens, by the model without its cluster; a name alone is no feature's."""
    both = (
        aurora(id="m", subject="longctx"),
        aurora(id="f", subject="longctx", subject_kind="feature"),
        aurora(id="c", subject="qwen"),
    )
    frame = frame_of(*both)
    clustered = replace(model("qwen@eu", ((0, 1, 0.5),) * 4), cluster="eu")
    frame = replace(frame, models=(*frame.models, clustered))
    for selection, id in (
        (Selection(release="f"), "f"),
        (Selection(feature="longctx"), "f"),
        (Selection(model="longctx"), "m"),
        (Selection(model="qwen@eu"), "c"),
    ):
        form = advance_form(frame, selection)
        assert isinstance(form, AdvanceForm)
        assert form.release.id == id
