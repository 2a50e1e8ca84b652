"""Reports of what was taken from users: a throttle that was extended, a release that was taken back."""

from dataclasses import replace
from typing import Any

import pytest

from collectors import intending
from collectors.fleet import Event, EventKind, Exposure, Throttle
from collectors.intents import Intent, Outcome, OutcomeKind, decided
from collectors.recording.report.facts import gather
from collectors.recording.report.left_open import count
from collectors.recording.report.markdown import render_markdown
from collectors.recording.report.missing import part
from collectors.recording.report.telling import document
from tests.reported import (
    ABORTED,
    AGAIN,
    AT,
    CELL,
    OPEN,
    Kept,
    applied,
    changed,
    going,
    incident,
    kept,
    throttling,
)

HELD = replace(CELL, etag="t-7", level=0.3, expires_at=AT + 1800)
"""The cell before somebody gives it another end: until 14:30."""


def told(recording: Kept, start: float | None = None, end: float | None = None) -> str:
    """The report as Markdown, without no-break spaces."""
    found = document(gather(recording, "night.tgrec", start, end))
    return render_markdown(found).replace("\N{NO-BREAK SPACE}", " ").replace("\\", "")


def line(text: str, begins: str) -> str:
    """The first line that begins so."""
    return next(one for one in text.splitlines() if one.startswith(begins))


def still_open(text: str) -> str:
    """The section of what was still open."""
    return text.partition("## Still open")[2].partition("\n## ")[0]


def setting(cell: Throttle, level: float, **more: Any) -> Intent:
    """A throttle that is set, with what the dialog adds to it."""
    intent = intending.set_throttle(cell, level=level)
    return decided([replace(intent, arguments={**intent.arguments, **more})], "queue over 8 s")[0]


def set_again(intent: Intent, cell: Throttle = HELD) -> Kept:
    """The incident in which `cell` stood all the time, and was set again at 14:07."""
    frames = [replace(one, throttles=(cell,)) for one in incident()]
    return Kept(frames).asked(AT + 420, intent).became(AT + 421, applied(intent, AT + 421))


@pytest.mark.parametrize(
    ("cell", "more", "deed", "asked"),
    [
        (HELD, {"expires_at": "2026-11-21T15:00:00.000Z"}, "extended the throttle of", "extend to 15:00:00"),
        (HELD, {"expires_at": "2026-11-21T14:15:00Z"}, "shortened the throttle of", "shorten to 14:15:00"),
        (HELD, {"ttl_s": 3600}, "extended the throttle of", "extend to 1 h from then"),
        (HELD, {"ttl_s": 600}, "shortened the throttle of", "shorten to 10 min from then"),
        (HELD, {}, "extended the throttle of", "extend until cleared"),
        (
            HELD,
            {"expires_at": "2026-11-22T15:00:00Z"},
            "extended the throttle of",
            "extend to 2026-11-22 15:00:00Z",
        ),
    ],
)
def test_a_throttle_with_another_end_keeps_its_level(
    cell: Throttle, more: dict[str, object], deed: str, asked: str
) -> None:
    """It was extended or shortened, until when, instead of until when: nothing that nobody asked for."""
    recording = set_again(setting(cell, 0.3, **more), cell)
    (one,) = gather(recording, "x").decisions
    assert one.deed == deed
    text = told(recording)
    whole = f"{asked} instead of 14:30:00, admit 30% stays"
    assert f"| images for free | {whole} | applied" in text
    assert f"images for free: {whole}. Reason: queue over 8 s" in text
    assert f"alice {deed} images for free" in line(text, "### 1")
    said = whole.partition(" ")[2]
    assert f"At 14:07:00 alice {deed} images for free ({said}): applied" in line(text, "**What was done.**")
    if more:
        assert "until cleared" not in text
    assert "admit 30% → admit 30%" not in text


def test_an_end_where_there_was_none() -> None:
    """A throttle that had to be cleared gets an end: sooner than never."""
    cell = replace(HELD, expires_at=None)
    text = told(set_again(setting(cell, 0.3, ttl_s=600), cell))
    assert (
        "alice shortened the throttle of images for free (to 10 min from then instead of until cleared,"
        in (text)
    )


@pytest.mark.parametrize(
    ("more", "asked"),
    [
        ({"expires_at": "2026-11-21T15:00:00Z"}, "end at 15:00:00, admit 30% stays"),
        ({"expires_at": "soon\x1b[31m"}, "end at a time that cannot be read, admit 30% stays"),
        ({"expires_at": 1e300}, "end at a time that cannot be read, admit 30% stays"),
        ({"ttl_s": 600}, "end after 10 min, admit 30% stays"),
        ({}, "end when it is cleared, admit 30% stays"),
    ],
)
def test_an_end_that_is_not_known_is_not_made_up(more: dict[str, object], asked: str) -> None:
    """The recording shows another state of the cell than was seen: nobody can say whether it got longer."""
    intent = setting(replace(HELD, etag="t-8"), 0.3, **more)
    (one,) = gather(set_again(intent), "x").decisions
    (aim,) = one.aims
    assert one.deed == "set the end of the throttle of"
    assert aim.asked.replace("\N{NO-BREAK SPACE}", " ") == asked


def test_a_new_level_until_a_time_of_day() -> None:
    """Tightened for what is left of its time: until when, and not until it is cleared."""
    text = told(set_again(setting(HELD, 0.1, expires_at="2026-11-21T14:30:00Z")))
    assert "alice throttled images for free (admit 30% → admit 10%, until 14:30:00): applied" in text


def test_several_cells_in_one_decision() -> None:
    """One is tightened and the other only lasts longer: the deed is the graver one, each says what it was."""
    pro = replace(HELD, tier="pro", level=0.8)
    end = {"expires_at": "2026-11-21T15:00:00Z"}
    both = [replace(one, decision_id="d-1") for one in (setting(HELD, 0.3, **end), setting(pro, 0.3, **end))]
    frames = [replace(one, throttles=(HELD, pro)) for one in incident()]
    text = told(Kept(frames).asked(AT + 420, both[0]).asked(AT + 420, both[1]))
    assert (
        "alice throttled images for free (to 15:00:00 instead of 14:30:00, admit 30% stays); images"
        " for pro (admit 80% → admit 30%, until 15:00:00)"
    ) in text


def acted(recording: Kept, at: float, intent: Intent, audit_id: str) -> Kept:
    """It is asked for and applied."""
    intent = decided([intent], "waits rise")[0]
    outcome = Outcome(intent, OutcomeKind.APPLIED, at + 1, "done", audit_id=audit_id)
    return recording.asked(at, intent, "root").became(at + 1, outcome)


def test_what_was_taken_back_is_still_open() -> None:
    """Aborted, then retried, never advanced: who lost it, from what to what, since when, by whom."""
    recording = Kept(going((0, OPEN), (300, ABORTED), (600, AGAIN)))
    acted(recording, AT + 298, intending.abort(OPEN), "a-2")
    acted(recording, AT + 598, intending.retry(ABORTED), "a-3")
    found = gather(recording, "x")
    assert count(found) == 1
    text = told(recording)
    assert "1 thing was still open at the end." in text
    assert (
        "Taken back and not given again: research (pending) from plus (100% → 0%) and free (5% → 0%), since"
        " 14:04:58 by root."
    ) in line(text, "**What is still open.**")
    assert (
        "| research | pending | before the first | plus 100% → 0%, free 5% → 0% | 2026-11-21 14:04:58Z | root"
        " | waits rise |"
    ) in still_open(text)
    done = line(text, "**What was done.**")
    assert "root aborted research (plus 100% → 0%, free 5% → 0%): applied" in done
    assert "root retried research: applied" in done


def test_what_is_taken_back_and_halted_counts_once() -> None:
    """One row and one thing for a release that was aborted and left so."""
    recording = Kept(going((0, OPEN), (300, ABORTED)))
    assert count(gather(recording, "x")) == 1
    text = told(recording)
    rows = [one for one in still_open(text).splitlines() if one.startswith("| research |")]
    assert len(rows) == 1
    assert "| aborted | before the first | plus 100% → 0%, free 5% → 0% |" in rows[0]
    assert "Stopped releases" not in text


def test_what_was_given_again_is_not_open() -> None:
    """Advanced to where it stood, or never more than it has: nothing was lost in the end."""
    back = changed(OPEN, "release.advance", "a-4", AT + 900)
    assert count(gather(Kept(going((0, OPEN), (300, ABORTED), (900, back))), "x")) == 0
    assert count(gather(Kept(going((0, ABORTED), (900, back))), "x")) == 0
    assert "Taken back" not in told(Kept(going((0, OPEN), (300, ABORTED), (900, back))))
    # What happened before the stretch that is told is not of it.
    late = gather(Kept(going((0, OPEN), (300, ABORTED), (600, AGAIN))), "x", AT + 700, AT + 900)
    assert count(late) == 0


def test_a_smaller_weight_is_taken_back() -> None:
    """Of a release that waits at its gate again: it is listed, and no longer as planned."""
    half = replace(OPEN, exposure=(Exposure("pro", 1.0), Exposure("plus", 1.0), Exposure("free", 0.5)))
    less = changed(OPEN, "release.set_weight", "a-5", AT + 298)
    recording = Kept(going((0, half), (300, less)))
    acted(recording, AT + 298, intending.set_weight(half, 0.05), "a-5")
    text = told(recording)
    assert "root set another weight of research (to 5% at stage free@5, free 50% → 5%): applied" in text
    assert "| research | paused | free@5 | free 50% → 5% | 2026-11-21 14:04:58Z | root |" in text
    assert "as planned" not in text


def test_a_model_that_was_rolled_back_is_served_by_another() -> None:
    """Who lost the candidate has the stable one: that is said, and which candidate it was."""
    model = replace(
        OPEN, id="aurora", subject_kind="model", subject="aurora", stable="r41", candidate="r42", etag="m-2"
    )
    rolled = changed(
        model, "release.rollback", "a-6", AT + 298, candidate="r41", phase="completed", stage_index=None,
        pause_reason=None, exposure=(Exposure("pro", 1.0), Exposure("plus", 0.0), Exposure("free", 0.0)),
    )  # fmt: skip
    text = told(Kept(going((0, model), (300, rolled))))
    assert (
        "aurora r42 (completed) from plus (100% → 0%) and free (5% → 0%), r41 serves them instead,"
        " since 14:04:58 by root."
    ) in text
    # Another candidate begins anew: nobody lost what it has not yet opened.
    anew = changed(
        model, "release.register", "a-7", AT + 298, candidate="r43", phase="pending", stage_index=None,
        pause_reason=None, exposure=rolled.exposure,
    )  # fmt: skip
    assert count(gather(Kept(going((0, model), (300, anew))), "x")) == 0
    assert count(gather(Kept(going((0, model), (200, rolled), (300, anew))), "x")) == 0
    # As seen through metrics only a weight falls when the new one is promoted, too.
    seen = [replace(one, last_change=None, candidate="") for one in (model, rolled)]
    assert count(gather(Kept(going((0, seen[0]), (300, seen[1]))), "x")) == 0
    # Of a feature each candidate opens the same.
    other = replace(AGAIN, candidate="open-3")
    assert count(gather(Kept(going((0, OPEN), (300, ABORTED), (600, other))), "x")) == 1


def test_what_a_stage_asks_for_is_not_taken_back() -> None:
    """A later stage may name a tier with less; of a tier that is told no more nobody knows what it has."""
    less = changed(OPEN, "release.advance", "a-8", AT + 298, exposure=ABORTED.exposure)
    assert count(gather(Kept(going((0, OPEN), (300, less))), "x")) == 0
    untold = replace(AGAIN, exposure=AGAIN.exposure[:1])
    assert count(gather(Kept(going((0, OPEN), (300, ABORTED), (600, untold))), "x")) == 0


def test_a_backend_that_failed_has_a_row_of_its_own() -> None:
    """After an abort it cannot be read: what it took, and that it is halted, are two rows and one thing."""
    failed = replace(ABORTED, phase="degraded", message="backend is gone")
    recording = Kept(going((0, OPEN), (300, ABORTED), (600, failed)))
    assert count(gather(recording, "x")) == 1
    text = told(recording)
    assert "| research | degraded | before the first | plus 100% → 0%, free 5% → 0% |" in text
    assert (
        "| research | degraded | before the first | – | 2026-11-21 14:04:58Z | root | backend is gone |"
        in (text)
    )


def test_who_took_it_back_is_not_made_up() -> None:
    """No change is told with it, or one that closes nothing: nobody is named, and the time is a frame's."""
    silent = replace(ABORTED, last_change=OPEN.last_change)
    assert "since 14:05:00, not recorded by whom." in told(Kept(going((0, OPEN), (300, silent))))
    # Aborted and retried between two frames: the retry is not what took it.
    both = told(Kept(going((0, OPEN), (600, AGAIN))))
    assert "since 14:10:00, not recorded by whom." in both
    gone = [one for one in going((0, OPEN), (300, silent)) if not AT + 200 < one.at < AT + 500]
    assert "since 14:08:20 at the latest, not recorded by whom." in told(Kept(gone))
    # The control plane told nothing for a while, though frames were recorded.
    mute = [
        replace(one, releases=()) if AT + 200 < one.at < AT + 500 else one
        for one in going((0, OPEN), (300, silent))
    ]
    assert "since 14:08:20 at the latest, not recorded by whom." in told(Kept(mute))


def test_the_summary_tells_what_was_taken_and_what_still_holds() -> None:
    """Of many actions those that took something away, or are in force, are told; all in order of time."""
    recording = Kept(going((0, OPEN), (300, ABORTED), (600, AGAIN)))
    for n in range(8):
        acted(recording, AT + 100 + n, intending.pause(OPEN), f"p-{n}")
    acted(recording, AT + 298, intending.abort(OPEN), "a-2")
    done_too = throttling()
    recording.asked(AT + 420, done_too).became(AT + 421, applied(done_too, AT + 421))
    cleared = decided([intending.clear_throttle(CELL)], "over")[0]
    recording.asked(AT + 430, cleared).became(AT + 431, replace(applied(cleared, AT + 431), audit_id="a-9"))
    refused = throttling("never done")
    recording.asked(AT + 500, refused)
    recording.became(AT + 501, replace(applied(refused, AT + 501), kind=OutcomeKind.REFUSED))
    acted(recording, AT + 598, intending.retry(ABORTED), "a-3")
    done = line(told(recording), "**What was done.**")
    aborted, throttled = done.index("root aborted research"), done.index("alice throttled images")
    assert done.index("root paused research") < aborted < throttled
    assert "never done" not in done
    assert done.count("At 14:") == 6
    assert done.count("root paused research: applied") == 3
    assert done.endswith("7 more actions are listed below.")


def test_the_summary_tells_what_still_holds() -> None:
    """The last of many pauses is the one that was never resumed: it is told before all that are over."""
    held = changed(OPEN, "release.pause", "p-9", AT + 700, phase="paused", pause_reason="operator")
    recording = Kept(going((0, OPEN), (700, held)))
    for n in range(10):
        acted(recording, AT + 100 + n if n < 9 else AT + 699, intending.pause(OPEN), f"p-{n}")
    assert "At 14:11:39 root paused research" in line(told(recording), "**What was done.**")


def test_a_tighter_throttle_that_is_over_is_told_before_what_changed_nothing() -> None:
    """It took something away for a while, though nothing of it is in force at the end."""
    recording = Kept(going((0, OPEN)))
    for n in range(8):
        wider = decided([intending.set_throttle(HELD, level=0.9)], f"wider {n}")[0]
        outcome = replace(applied(wider, AT + 101), audit_id=f"w-{n}")
        recording.asked(AT + 100 + n, wider).became(AT + 101 + n, outcome)
    tighter = throttling()
    recording.asked(AT + 420, tighter).became(AT + 421, applied(tighter, AT + 421))
    assert "(admit 100% → admit 30%, for 30 min)" in line(told(recording), "**What was done.**")


def test_what_was_taken_elsewhere_is_told_too() -> None:
    """The control plane's log tells of an abort: what it closed stands with it."""
    frames = going((0, OPEN), (300, ABORTED), (600, AGAIN))
    log = [Event(AT + 10 + n, EventKind.RELEASE, "bob", "research", "paused") for n in range(8)]
    log.append(Event(AT + 298, EventKind.RELEASE, "root", "research", "aborted stage free@5 → none"))
    frames[31] = replace(frames[31], events=tuple(log))
    done = line(told(Kept(frames)), "**What was done.**")
    assert "research (aborted stage free@5 → none, plus 100% → 0%, free 5% → 0%) elsewhere: applied" in done


@pytest.mark.parametrize(
    ("unread", "told_"), [(0.0004, "under 0.1%"), (0.5, "50%"), (0.9996, "over 99%"), (1.0, "100%")]
)
def test_a_part_of_the_time_is_neither_none_nor_all_of_it(unread: float, told_: str) -> None:
    """What rounds to nothing, or to the whole, is said to be more, or less, than that."""
    assert part(unread) == told_


def test_what_the_log_tells_is_told_once() -> None:
    """Its words may tell the shares already."""
    less = changed(OPEN, "release.set_weight", "a-5", AT + 298, exposure=ABORTED.exposure)
    frames = going((0, OPEN), (300, less))
    words = "weight plus 100% → 0%, free 5% → 0%"
    event = Event(AT + 298, EventKind.RELEASE, "root", "research", words)
    frames[31] = replace(frames[31], events=(event,))
    assert f"research ({words}) elsewhere: applied" in line(told(Kept(frames)), "**What was done.**")


def test_an_extension_has_a_short_name_in_the_picture() -> None:
    """Until when, without what it was."""
    text = told(set_again(setting(HELD, 0.3, expires_at="2026-11-21T15:00:00Z")))
    assert "^ 1: alice: extend to 15:00:00\n" in text


def test_one_name_for_a_release() -> None:
    """It is called as the screen calls it, wherever it stands; a title is another name."""
    halted = replace(OPEN, pause_reason="operator")
    waiting = told(kept(going((0, OPEN))))
    assert "Waiting at the gate of a stage, as planned: research." in waiting
    assert "Deep research" not in waiting
    assert "Deep research" not in told(kept(going((0, halted))))
