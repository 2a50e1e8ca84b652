"""Reports in plain words: no sentence denies itself, and what is not recorded does not count as seen."""

import re
from dataclasses import replace

import pytest

from collectors.fleet import Alert, Event, EventKind, LastChange, Revert, Severity
from collectors.intents import PlaneFacts
from collectors.readings import Quality, Reading, Reason
from collectors.recording.exports.readings import utc
from collectors.recording.report.facts import gather
from collectors.recording.report.markdown import render_markdown
from collectors.recording.report.pace import pace_of
from collectors.recording.report.telling import document
from collectors.recording.report.words import surely
from collectors.sessions import Gap, Mark
from tests.reported import (
    AT,
    BUCKETS,
    CELL,
    FRAMES,
    STEP_S,
    Kept,
    applied,
    frame,
    incident,
    kept,
    melting,
    throttling,
)


def told(recording: Kept, start: float | None = None, end: float | None = None) -> str:
    """The report as Markdown, without no-break spaces."""
    found = document(gather(recording, "night.tgrec", start, end))
    return render_markdown(found).replace("\N{NO-BREAK SPACE}", " ")


def line(text: str, begins: str) -> str:
    """The first line that begins so."""
    return next(one for one in text.splitlines() if one.startswith(begins))


def headline(text: str) -> str:
    """The first sentences."""
    return text.partition("## In short\n\n")[2].partition("\n")[0]


def lasting(n: int, bucket: tuple[float, float]) -> Kept:
    """So many frames with the wait of pro in one bucket."""
    return Kept([frame(k, melting(AT + k * STEP_S, bucket)) for k in range(n)])


@pytest.mark.parametrize(
    ("wait", "words"),
    [
        ((29.97, 10.0, 30.0), "over 10 s, about 30 s by estimate"),
        ((28.2, 10.0, 30.0), "over 10 s, about 28 s by estimate"),
        ((60.0, 60.0, float("inf")), "over 60 s"),
        ((0.2, 0.0, 0.5), "under 0.5 s"),
        ((3.0, 3.0, 3.0), "about 3 s"),
    ],
)
def test_a_wait_is_over_its_lower_bound(wait: tuple[float, float, float], words: str) -> None:
    """What was surely exceeded is the lower bound; the estimate is told as one."""
    assert surely(*wait).replace("\N{NO-BREAK SPACE}", " ") == words


def test_no_wait_is_over_its_own_upper_bound() -> None:
    """In no sentence does a wait exceed what it is said to be within."""
    text = told(kept())
    assert not re.search(r"over \S+ s \(", text)
    assert "waited over 8 s, about 12 s by estimate, where 2 s is promised" in headline(text)


def standing(severity: Severity, since: float, name: str = "a-1") -> Alert:
    """An alert of pro."""
    return Alert(name, severity, "aurora", "pro", since, "queue p99 6 (4-8) s > 2 s")


def test_an_alert_that_stood_at_the_start_may_be_older() -> None:
    """Of the first second of a recording, and of the first one behind a gap, nobody knows what was before."""
    first, behind = standing(Severity.P2, AT, "a-1"), standing(Severity.P2, AT + 600, "a-2")
    known = standing(Severity.P2, AT + 700, "a-3")
    older = standing(Severity.P2, AT - 900, "a-4")
    frames = [replace(one, alerts=(first, behind, known, older)) for one in incident()]
    recording = Kept([one for one in frames if not AT + 300 <= one.at < AT + 600])
    recording.gaps = (Gap(AT + 300, AT + 600, "nobody recorded"),)
    still = told(recording).partition("## Still open")[2].partition("\n## ")[0]
    assert "(since 2026-11-21 14:00:00Z or before, told by" in still
    assert "(since 2026-11-21 14:10:00Z or before, told by" in still
    assert "(since 2026-11-21 14:11:40Z, told by" in still
    assert "(since 2026-11-21 13:45:00Z, before this stretch, told by" in still


def test_an_alert_that_grew_graver_says_since_when() -> None:
    """Told as P1: since when it is that, and since when it is an alert at all."""
    frames = [
        replace(one, alerts=(standing(Severity.P1 if one.at >= AT + 480 else Severity.P2, AT + 270),))
        if one.at >= AT + 270
        else replace(one, alerts=())
        for one in incident()
    ]
    assert (
        "- P1 aurora pro: queue p99 6 (4-8) s > 2 s (P1 since 2026-11-21 14:08:00Z, an alert since"
        " 2026-11-21 14:04:30Z, told by"
    ) in told(Kept(frames))


def test_what_comes_after_a_throttle_is_told_once_and_for_all() -> None:
    """The setting before ends sooner: fully open comes next, in the table, the card and the timeline."""
    last = LastChange("a-7", "throttle.set", "alice", "queue over 8 s", AT + 420)
    cell = replace(
        CELL,
        level=0.3,
        expires_at=AT + 3600,
        revert_to=Revert(0.7, AT + 1800),
        return_ramp_per_min=0.1,
        last_change=last,
    )
    frames = [replace(one, throttles=(cell if one.at >= AT + 420 else CELL,)) for one in incident()]
    words = "level admit 100% → admit 30%, ends never → 15:00:00Z, then admit 100% → admit 70%, rev t-7 (a-7)"
    outcome = replace(applied(throttling(), AT + 422), text=words)
    text = told(Kept(frames).asked(AT + 420, outcome.intent).became(AT + 422, outcome))
    assert text.count("then fully open, by 10% a minute, rev t-7 (a-7)") == 2
    assert "| 2026-11-21 15:00:00Z | fully open, by 10% a minute |" in text
    assert "admit 70%" not in text
    longer = replace(cell, revert_to=Revert(0.7, AT + 7200))
    frames = [replace(one, throttles=(longer if one.at >= AT + 420 else CELL,)) for one in incident()]
    text = told(Kept(frames).asked(AT + 420, outcome.intent).became(AT + 422, outcome))
    assert text.count("then admit 70% until 16:00:00, by 10% a minute") == 2


def test_how_far_apart_pictures_are() -> None:
    """One every so often only if they come so; else the longest that passed between two of them."""
    assert "| 121 pictures of the fleet in 20 min, one every 10 s |" in told(kept())
    times = [0, 1, 2, 4, 5, 9, 10, 11, 13, 14]
    frames = [frame(n, melting(AT + at, BUCKETS[0])) for n, at in enumerate(times)]
    uneven = Kept([replace(one, at=AT + at) for one, at in zip(frames, times, strict=True)])
    assert "| 10 pictures of the fleet in 14 s, up to 4 s apart |" in told(uneven)
    # Nineteen of twenty are even, eighteen are not.
    even = [float(n) for n in range(20)]
    assert pace_of([*even, 21.5]).is_regular
    assert not pace_of([*even[:-1], 20.5, 22.0]).is_regular
    assert pace_of([0, 1, 2, 50, 51], [Gap(10, 50, "lost")]) == (1, 1, True)


def test_only_what_was_recorded_was_seen() -> None:
    """Part of a breach is missing: the first sentences tell what was seen, within how much, and what not."""
    gap = Gap(AT + 300, AT + 450, "nobody recorded")
    recording = lasting(60, BUCKETS[1])
    recording.frames_kept = [one for one in recording.frames_kept if not gap.start <= one.at < gap.end]
    recording.gaps = (gap,)
    text = headline(told(recording))
    assert text.startswith(
        "For 7 min 20 s that were recorded, within 9 min 50 s from 14:00:00, users of aurora waited longer"
    )
    assert " 2 min 30 s between were not recorded. " in text
    assert "damaged" not in text
    assert "not recorded" not in headline(told(kept()))


def test_the_headline_tells_of_damage_elsewhere() -> None:
    """What is missing beside the breach, and that the file is damaged, stands in the first sentences."""
    gap = Gap(AT + 900, AT + 960, "6 frames cannot be read: damaged")
    recording = kept([one for one in incident() if not gap.start <= one.at < gap.end])
    recording.gaps, recording.notices = (gap,), ("6 frames cannot be read: damaged",)
    text = headline(told(recording))
    assert text.startswith("For 6 min from 14:04:00 users")
    assert " 1 min of 20 min were not recorded. Part of the file is damaged. " in text


def test_a_break_is_not_counted_as_a_wait() -> None:
    """Four minutes without a breach are part of the episode, and no time in which users waited."""
    calm, again = AT + 300, AT + 540
    frames = [
        frame(n, melting(at, BUCKETS[0] if calm <= at < again else BUCKETS[1]))
        for n in range(FRAMES)
        if (at := AT + n * STEP_S) < AT + 700
    ]
    assert headline(told(Kept(frames))).startswith(
        "For at least 7 min 30 s, within 11 min 30 s from 14:00:00"
    )


def test_tiers_that_nobody_may_use_are_not_missing() -> None:
    """The sum is of tiers that somebody could use; those without a wait are named, with the reason."""
    frames = []
    for n in range(31):
        model = melting(AT + n * STEP_S, BUCKETS[0])
        closed = {"queue_wait_p99": Reading(None, None, Quality.MISSING, Reason("not-open"))}
        few = {"queue_wait_p99": Reading(None, None, Quality.MISSING, Reason("few", (3, 60, 100)))}
        tiers = {**model.tiers, "team": closed, **({"free": few} if n < 12 else {})}
        frames.append(frame(n, replace(model, tiers=tiers, objectives={**model.objectives, "team": 3.0})))
    text = told(Kept(frames))
    assert (
        "For 20% of the time of the 2 tiers that somebody could use, taken together, no good reading of the"
        " wait was there. It was longest for aurora free (2 min): too few requests to tell."
    ) in text
    assert "team" not in line(text, "**What is not known.**")


def test_a_file_with_two_runs_says_which_one_it_tells() -> None:
    """The clock goes back by ten minutes: the head and what is not known name the run that is not told."""
    frames = incident()
    again = [replace(one, at=one.at + 600.5) for one in incident()[:30]]
    text = told(Kept([*frames, *again]), AT, frames[-1].at)
    head = text.splitlines()[2]
    assert "**ONE OF 2 RUNS IN THE FILE**" in head
    other = "2026-11-21 14:10:00 to 14:14:50 UTC (30 pictures of the fleet)"
    assert other in line(text, "**What is not known.**")
    assert other in text.partition("## Not recorded")[2]
    assert headline(text).startswith("For 6 min from 14:04:00 users")
    whole = told(Kept([*frames, *[replace(one, at=one.at + 100) for one in frames]]))
    assert "14:01:40 to 14:21:40 UTC (121 pictures" in line(whole, "**What is not known.**")
    assert line(whole, "| aurora, pro |") == line(told(Kept(frames)), "| aurora, pro |")
    assert "RUNS" not in told(kept())
    assert "clock goes back" not in told(kept())


def test_what_nobody_watched_was_on_no_screen() -> None:
    """Recorded without a screen, or made from a history: nobody is said to have seen it."""
    unwatched = told(Kept(incident()))
    assert "as the operator's screen had it" not in unwatched
    assert "would have been on the screen" in unwatched
    made = Kept(incident(), facts={"context": "prod", "source": "backfill"})
    assert "nobody had it on a screen" in told(made)
    assert "operator's screen had it" not in told(made)
    assert "as the operator's screen had it" in told(kept())
    assert "| Written by | tidegate 0.1.0; on which machine is not recorded |" in unwatched
    named = Kept(incident(), facts={"app": "tidegate 0.1.0", "host": "vm"})
    assert "| Written by | tidegate 0.1.0; on the machine vm |" in told(named)


def test_a_length_of_time_has_one_form() -> None:
    """The log of events counts seconds; the report tells them as all others."""
    frames = incident()
    frames[70] = replace(
        frames[70], events=(Event(AT + 700, EventKind.ALERT, "cleared", "aurora pro", "after 1047 s"),)
    )
    text = told(kept(frames))
    assert "| after 17 min 27 s |" in text
    assert "1047" not in text


def test_tiers_stand_in_the_order_of_the_fleet() -> None:
    """Pro before free, however long each suffered."""
    frames = []
    for one in incident():
        model = one.models[0]
        worse = {"free": model.tiers["pro"], "pro": model.tiers["pro"]} if one.at < AT + 500 else {}
        both = {**model.tiers, **worse} if worse else {**model.tiers, "free": model.tiers["pro"]}
        if not worse:
            both["pro"] = melting(one.at, BUCKETS[0]).tiers["pro"]
        frames.append(
            replace(one, models=(replace(model, tiers=both, objectives={"pro": 2.0, "free": 2.0}),))
        )
    (found,) = gather(Kept(frames), "x").episodes
    assert found.tiers == ("pro", "free")


def test_one_operator_has_one_name() -> None:
    """Who looked is who acted, if only one name is recorded; with two nobody can tell."""
    text = told(kept())
    assert "| looked at | alice |" in text
    assert "alice was on the model screen of aurora" in text
    two = told(kept().marked(Mark(AT + 700, "bob", "mine")))
    assert "| looked at | operator |" in two
    assert "The operator was on the model screen" in two
    other = [replace(one, plane=PlaneFacts(actor="bob", role="operator")) for one in incident()]
    assert "| looked at | operator |" in told(kept(other))


def test_a_time_in_an_export_is_rounded_as_its_number_is() -> None:
    """Both columns of one time tell the same millisecond."""
    at = 1_795_269_600.2996
    assert utc(at) == "2026-11-21T14:00:00.300Z"
    assert f"{at:.3f}" == "1795269600.300"
    assert utc(1_795_269_599.9999) == "2026-11-21T14:00:00.000Z"


def test_the_files_name_stands_on_top() -> None:
    """Below the title, with the time that is told."""
    assert told(kept()).splitlines()[2].endswith("2026-11-21 14:00:00 to 14:20:00 UTC · night.tgrec")
