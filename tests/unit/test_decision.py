"""What `y` needs: each need alone is missed, is the first that is told, and says what to do."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.fleet import LastChange
from collectors.intents import OPERATIONS, Ability, Difference, OutcomeKind, PlaneFacts, decided
from tests.dialog_parts import ALL_ABILITIES, OPERATOR, VIEWER, CellForm, ended, operated_frame, would_apply
from tests.frames import AT
from tui.dialogs.decision import (
    FRESH_S,
    MOVED_MOST,
    Decision,
    DryRun,
    changed_by,
    followed,
    missing,
    moved,
    needs,
)
from tui.dialogs.reasons import LOOSENING, ONWARD, STOPPING, TIGHTENING, Reasons, typed, usual
from tui.dialogs.reasons import OFFERED as OFFERED_REASONS
from tui.format import clock

NOW = 1000.0
FRAME = operated_frame()


def decision(**changes: object) -> Decision:
    """One for which everything holds."""
    form = CellForm(FRAME, **changes)  # type: ignore[arg-type]
    plan = form.plan()
    run = DryRun(plan.intents, tuple(would_apply(one) for one in plan.intents), NOW - 1)
    return Decision(form, plan, "launch spike", plan.phrase, run)


def said(one: Decision, plane: PlaneFacts | None = OPERATOR, writes_off: str = "", now: float = NOW) -> str:
    return missing(needs(one, plane, writes_off, now))


def test_everything_holds() -> None:
    """Then nothing is missing, with or without a phrase, for one target or two."""
    assert said(decision()) == ""
    assert said(decision(phrase="throttle 2", tiers=("team", "free"))) == ""


def refused(one: Decision, what: str) -> Decision:
    assert one.dry_run is not None
    first, *rest = one.dry_run.rehearsals
    runs = (replace(first, refusal=what), *rest)
    return replace(one, dry_run=replace(one.dry_run, rehearsals=runs))


def short(one: Decision) -> Decision:
    assert one.dry_run is not None
    return replace(one, dry_run=replace(one.dry_run, rehearsals=()))


def failed(one: Decision) -> Decision:
    assert one.dry_run is not None
    return replace(one, dry_run=replace(one.dry_run, failure="nobody answers."))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda one: replace(one, plan=replace(one.plan, problem="tick a tier", intents=())), "tick a tier"),
        (lambda one: replace(one, reason=""), "a reason is missing: press 1 to 5"),
        (lambda one: replace(one, reason="  ab "), "the reason has 2 of at least 3 characters"),
        (lambda one: replace(one, reason="x" * 501), "too long"),
        (lambda one: replace(one, phrase="throttle 1"), "type throttle 2 in the row above"),
        (lambda one: replace(one, phrase="Throttle 2"), "type throttle 2"),
        (lambda one: replace(one, phrase="throttle 2 "), "type throttle 2"),
        (lambda one: replace(one, dry_run=None), "waiting for the dry run"),
        (lambda one: replace(one, dry_run=decision(level=0.1).dry_run), "waiting for the dry run"),
        (lambda one: refused(one, "the gate is closed"), "says no to images/free: the gate is closed"),
        (short, "does not tell of every target"),
        (failed, "no dry run: nobody answers."),
    ],
)
def test_one_thing_is_missing(change: Callable[[Decision], Decision], words: str) -> None:
    """Each alone keeps `y` off, in a sentence that says so (D16)."""
    assert words in said(change(decision(phrase="throttle 2")))


@pytest.mark.parametrize(("age_s", "is_fresh"), [(0.0, True), (14.9, True), (15.0, False), (3600.0, False)])
def test_a_dry_run_grows_old(age_s: float, is_fresh: bool) -> None:
    """S9: younger than 15 s."""
    one = decision()
    assert one.dry_run is not None
    told = said(one, now=one.dry_run.asked_at + age_s)
    assert (told == "") is is_fresh
    assert is_fresh or "old: ctrl-r asks again" in told
    assert FRESH_S == 15


@pytest.mark.parametrize(
    ("plane", "words"),
    [
        (None, "no control plane is connected"),
        (VIEWER, "your role, viewer, may not: needs operator"),
        (PlaneFacts(role="operator"), "this control plane does not offer it"),
        (
            replace(OPERATOR, abilities={**ALL_ABILITIES, "throttle.set": Ability(False, why="no gateway")}),
            "no gateway",
        ),
    ],
)
def test_the_role_and_the_plane_must_allow_it(plane: PlaneFacts | None, words: str) -> None:
    """S15: what the plane does not offer, or not to us, is told in its own words."""
    assert words in said(decision(), plane)


def test_unarmed_is_told_before_what_is_typed() -> None:
    """S6: whoever only looks is told that writes are off, not asked for a reason."""
    assert (
        said(replace(decision(), reason=""), writes_off="writes are off: W arms") == "writes are off: W arms"
    )


def test_a_target_on_its_way_is_blocked() -> None:
    """S11: until the earlier action on it has ended; another target is not held up."""
    one = decision()
    target = one.plan.intents[0].target
    told = missing(needs(one, OPERATOR, "", NOW, {target}))
    assert told == "an earlier action on images/free is still under way: wait for its end"
    assert missing(needs(one, OPERATOR, "", NOW, {target._replace(tier="team")})) == ""


@pytest.mark.parametrize(
    "change",
    [
        lambda one: replace(one, dry_run=None),
        failed,
        lambda one: replace(one, dry_run=replace(one.dry_run, asked_at=NOW - 2 * FRESH_S)),
        lambda one: refused(one, "what it would do cannot be tried first"),
    ],
)
def test_a_brake_does_not_wait_for_a_dry_run(change: Callable[[Decision], Decision]) -> None:
    """What is not known stops a loosening, and never the safe direction."""
    assert said(change(decision(is_brake=True))) == ""
    assert said(change(decision())) != ""


def test_a_brake_that_the_plane_refuses_is_off() -> None:
    """A refusal of the plane's own is known, and told."""
    one = decision(is_brake=True)
    assert one.dry_run is not None
    runs = tuple(replace(run, refusal="no such cell", code="not-found") for run in one.dry_run.rehearsals)
    assert "no such cell" in said(replace(one, dry_run=replace(one.dry_run, rehearsals=runs)))


def test_a_brake_needs_no_phrase_but_one_that_ends_a_service() -> None:
    """It is held up by nothing that is typed but its reason, unless its plan asks for more: even then by no
    missing dry run."""
    assert said(replace(decision(is_brake=True), phrase="")) == ""
    ending = replace(decision(phrase="aurora-5", is_brake=True), phrase="", dry_run=None)
    assert "type aurora-5" in said(ending)
    assert said(replace(ending, phrase="aurora-5")) == ""


def test_a_local_decision_needs_its_phrase_only() -> None:
    """Arming: no reason, no plane, no dry run."""
    form = CellForm(FRAME, phrase="us-east")
    local = Decision(form, form.plan(), is_local=True)
    assert "type us-east" in said(local, None, "writes are off")
    assert said(replace(local, phrase="us-east"), None, "writes are off") == ""


def test_it_is_over_when_every_target_has_its_end() -> None:
    """A pending one, or one without a word, keeps it open."""
    one = decision(tiers=("team", "free"))
    sent = decided(one.plan.intents, "launch spike")
    assert not one.is_over
    one = replace(one, sent=sent, outcomes={sent[0].key: ended(sent[0])})
    assert not one.is_over
    pending = ended(sent[1], OutcomeKind.PENDING, is_final=False)
    assert not replace(one, outcomes={**one.outcomes, sent[1].key: pending}).is_over
    assert replace(one, outcomes={**one.outcomes, sent[1].key: ended(sent[1])}).is_over


def test_what_moved_is_told_by_target() -> None:
    """S8: before and now, levels as shares that are admitted; what stayed is left out."""
    was = CellForm(FRAME, tiers=("team", "free")).plan().intents
    now = CellForm(operated_frame(0.2, "t-9"), tiers=("free",)).plan().intents
    assert moved(was, now) == (Difference("images/free level", "admit 50%", "admit 20%"),)
    assert moved(was, was) == ()


@pytest.mark.parametrize(
    ("level", "is_brake", "is_overtaken"), [(0.2, True, True), (0.5, True, False), (0.5, False, True)]
)
def test_a_brake_is_overtaken_only_by_another_level(level: float, is_brake: bool, is_overtaken: bool) -> None:
    """S8: a new rev alone stops all but a brake; what is told is bounded, the newest kept."""
    was = decision(is_brake=is_brake)
    frame = operated_frame(level, "t-9")
    form = was.form.seen(frame)
    now = followed(was, replace(was, form=form, plan=form.plan()), FRAME, frame)
    assert now.is_overtaken is is_overtaken
    assert followed(replace(was, is_overtaken=True), now, FRAME, frame).is_overtaken
    told = tuple(Difference(f"{n}", "", "") for n in range(MOVED_MOST))
    kept = followed(replace(was, moved=told), now, FRAME, frame).moved
    assert len(kept) == MOVED_MOST
    assert kept[-1] == (now.moved or told)[-1]


def test_who_changed_it_is_told_once() -> None:
    """Of the targets that are decided on alone, and only where the plane's last change is another one."""
    intents = CellForm(FRAME).plan().intents
    change = LastChange("a-9", "throttle.set", "bob", "queue too long", AT)
    cells = tuple(replace(one, last_change=change) for one in FRAME.throttles)
    changed = replace(FRAME, throttles=cells)
    why = f"bob at {clock(AT)}: throttle.set (queue too long)"
    assert changed_by(intents, FRAME, changed) == (Difference("images/free by", "", why),)
    assert changed_by(intents, None, changed) == ()
    assert changed_by(intents, changed, changed) == ()
    assert changed_by(intents, changed, FRAME) == ()


def test_reasons_are_kept_for_the_session() -> None:
    """Drafts by dialog; own ones are offered behind the usual ones, each once."""
    reasons = Reasons()
    reasons.keep("throttle images", "half ty")
    assert reasons.draft("throttle images") == "half ty"
    assert reasons.draft("throttle chat") == ""
    reasons.keep("throttle chat", "half ty")
    reasons.keep("throttle chat", "")
    assert reasons.draft("throttle chat") == ""
    assert tuple(reasons.offered(TIGHTENING)) == TIGHTENING
    reasons.used("throttle images", "storm over")
    reasons.used("throttle images", TIGHTENING[1])
    assert reasons.draft("throttle images") == ""
    assert list(reasons.offered(TIGHTENING)) == [*TIGHTENING, "storm over"]
    assert list(reasons.offered(ONWARD)) == [*ONWARD, "storm over"]


@pytest.mark.parametrize(
    ("operation", "is_brake", "words"),
    [
        ("throttle.set", True, TIGHTENING),
        ("throttle.set", False, LOOSENING),
        ("throttle.clear", False, LOOSENING),
        ("throttle.ramp", True, TIGHTENING),
        ("release.advance", False, ONWARD),
        ("release.abort", True, STOPPING),
        ("release.pause", True, STOPPING),
        ("release.rollback", False, STOPPING),
    ],
)
def test_reasons_fit_what_would_be_done(operation: str, is_brake: bool, words: tuple[str, ...]) -> None:
    """A spike is no reason to advance, and none to loosen."""
    assert usual(operation, is_brake) == words


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_usual_reason_can_be_sent(operation: str) -> None:
    """Each is long enough, and none is offered twice."""
    for is_brake in (True, False):
        found = usual(operation, is_brake)
        assert len({*found}) == len(found) <= OFFERED_REASONS
        assert all(len(one) >= 3 for one in found)


@given(st.text(max_size=700), st.text(min_size=1, max_size=700))
def test_whatever_is_typed_makes_a_reason_that_can_be_sent(before: str, more: str) -> None:
    """Bounded, one line, no control character; typing a letter adds that letter."""
    text = typed(typed("", before), more)
    assert len(text) <= 500
    assert text == "".join(text.splitlines())
    text.encode()
    assert typed("spike", "!") == "spike!"
    assert typed("spike", "a\nb") == "spikea b"
