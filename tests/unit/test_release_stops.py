"""What is asked before a release is held or taken back: which ways there are, and who loses it."""

from collectors.intents import ANY_ETAG
from tests.unit.test_release_forms import (
    ON,
    aurora,
    backing_out,
    frame_of,
    only_intent,
    pausing,
    plane,
    text_of,
)
from tui.dialogs.form import Choice, Level
from tui.dialogs.release import back_out_form, pause_form


def test_a_pause_never_turns_into_a_resume() -> None:
    """Somebody else paused it first: the dialog says so, and `y` does nothing."""
    form = pausing(aurora("progressing"))
    now = form.seen(frame_of(aurora("paused by operator")))
    assert now.title == "Pause · aurora-5"
    assert (now.plan().intents, now.plan().problem) == ((), "pause: paused by bob already")


def test_the_ways_back_are_greyed_one_by_one() -> None:
    """Abort where that is legal, else roll back; what is not possible says why."""
    form = backing_out(aurora("completed", candidate="r41"))
    assert form.main == "way"
    assert form.way == "rollback"
    assert only_intent(form).arguments == {"to_revision": "r40"}, "it stands at the stable one already"
    first = backing_out(aurora(stable=None, history=()))
    (way,) = first.fields
    assert isinstance(way, Choice)
    assert [one.why for one in way.options] == ["", "there is no stable revision to return to: abort instead"]
    unlisted = backing_out(aurora(history=())).with_choice("way", ("rollback",))
    assert only_intent(unlisted).arguments == {}, "the stable revision, which the history need not hold"


def test_backing_out_says_who_loses_it() -> None:
    """Exposure goes back to the base; the rest is served the stable revision, or nothing."""
    assert "Pro: 100% → 0%; Plus: 25% → 0%." in text_of(backing_out(aurora()))
    assert "Those who lose it are served r41." in text_of(backing_out(aurora()))
    back = backing_out(aurora()).with_choice("way", ("rollback",))
    assert "r41 serves everyone then. r42 is given up, the release ends" in text_of(back)
    assert back.plan().summary.startswith(
        "aurora-5: roll back to r41, which then serves everyone; the release"
    )
    older = text_of(back.with_choice("to", ("r40",)))
    assert "r40 serves everyone then." in older
    assert "Team, Free stay on r40." in older
    assert backing_out(aurora()).plan().summary == "aurora-5: abort r42, Pro 100% → 0%, Plus 25% → 0%"


def test_an_abort_that_ends_a_service_is_no_single_key() -> None:
    """Nothing serves those who lose it: said first and loud, and the subject is typed. It stays a brake."""
    form = backing_out(aurora(stable=None))
    first = form.facts(120, "unicode")[0]
    assert first.cells[0].role == "p1"
    assert first.text.startswith(
        "OUTAGE: Pro 100% → 0%, Plus 25% → 0%; those who lose it are not served at all"
    )
    plan = form.plan()
    assert (plan.level, plan.is_brake, plan.phrase) == (Level.TWO, True, "aurora-5")
    assert plan.summary.endswith("; nothing serves those who lose it")
    assert only_intent(form).etag == ANY_ETAG
    assert "OUTAGE" not in text_of(backing_out(aurora()))
    assert backing_out(aurora("pending", stable=None)).plan().phrase == "", "nobody has it yet"


def test_backing_out_names_the_smaller_step() -> None:
    """While the weight of a stage can be set; not where there is none, or where the role may not."""
    smaller = "A smaller step back: set the weight of this stage (key a)."
    assert smaller in text_of(backing_out(aurora()))
    assert smaller not in text_of(backing_out(aurora("pending")))
    assert smaller not in text_of(backing_out(aurora(), plane("operator")))


def test_no_way_back_sends_anybody_in_a_circle() -> None:
    """What is named can be done: an aborted one without a stable revision goes again, and nothing else."""
    bare = aurora("aborted", stable=None)
    said = back_out_form(frame_of(bare), ON)
    assert said == (
        "aurora-5: it is aborted already; there is no stable revision to return to: let it go again (key a)"
    )
    paused = pause_form(frame_of(bare), ON)
    assert paused == "aurora-5: pause: it is aborted: what can be done is go again"
    viewer = back_out_form(frame_of(aurora(), facts=plane("viewer")), ON)
    assert viewer == "aurora-5: back out: needs another role than viewer"
