"""The throttle dialog's form: what it offers, what it would do, and what it refuses."""

from dataclasses import replace

import pytest

from collectors.fleet import Alert, Frame, Revert, Severity
from collectors.intents import Target
from tests.frames import AT, bare_frame, demo_frame
from tests.throttle_frames import TIERS, cell, plane, throttled
from tui.dialogs.form import Choice, Entry, Level
from tui.dialogs.throttle import ThrottleForm, extend_form, throttle_form
from tui.screens.base import Selection
from tui.screens.trends import Trends
from tui.throttles import read_percent

IMAGES = Selection(feature="images", tier="free")
MINUTE = 60.0


def opened(frame: Frame, selection: Selection = IMAGES, trends: Trends | None = None) -> ThrottleForm:
    """The form, which there must be."""
    form = throttle_form(frame, selection, trends)
    assert isinstance(form, ThrottleForm), form
    return form


def choice(form: ThrottleForm, id: str) -> Choice:
    """One row of options."""
    found = next(row for row in form.fields if row.id == id)
    assert isinstance(found, Choice)
    return found


def entry(form: ThrottleForm) -> Entry:
    """The row to type in."""
    found = next(row for row in form.fields if row.id == "exact")
    assert isinstance(found, Entry)
    return found


def chosen(form: ThrottleForm, **choices: str) -> ThrottleForm:
    """The form with one option chosen in each of these rows; `till` stands for the row "for"."""
    for field, option in choices.items():
        form = form.with_choice({"till": "for"}.get(field, field), (option,))
    return form


def text_of(form: ThrottleForm, width: int = 500) -> str:
    """All facts, each paragraph in one line."""
    return "\n".join(line.text for line in form.facts(width, "unicode"))


class TestTightening:
    """Brakes need `y` only, however many cells they are on."""

    def test_one_cell(self) -> None:
        """The intent names what was seen; the summary says it all."""
        plan = chosen(opened(throttled()), admit="T3").plan()
        (intent,) = plan.intents
        assert (intent.operation, intent.target) == ("throttle.set", Target("throttle", "images", "free"))
        assert intent.arguments == {"level": 0.3, "ttl_s": 1800}
        assert (intent.seen, intent.etag) == ({"level": 1.0}, "t-images-free")
        assert plan.summary == "images/free: admit 100% → admit 30% for 30 min, then back to admit 100%"
        assert (plan.level, plan.is_brake, plan.phrase) == (Level.ONE, True, "")

    def test_several_cells_go_least_privileged_first(self) -> None:
        """What is there already is left out, and said."""
        frame = throttled(cell("images", "team", 0.3, expires_at=AT + 7200))
        form = opened(frame).with_choice("tier", ("pro", "team", "free"))
        plan = chosen(form, admit="T3").plan()
        assert [str(one.target) for one in plan.intents] == ["images/free", "images/pro"]
        assert (plan.level, plan.is_brake, plan.phrase) == (Level.ONE, True, "")
        assert plan.summary == (
            "images for Pro, Team, Free: admit 100% → admit 30% for 30 min, then each back to what it was"
            " (2 cells); 1 already so"
        )
        assert "images/team T3 admit 30%, 2h00m left, to 16:02Z, then admit 100%" in text_of(
            chosen(form, admit="T3")
        )

    def test_one_that_has_the_level_gets_more_time_with_the_others(self) -> None:
        """Otherwise it would end before them; never less time."""
        frame = throttled(cell("images", "team", 0.3, expires_at=AT + 60))
        plan = chosen(opened(frame).with_choice("tier", ("team", "free")), admit="T3").plan()
        assert [str(one.target) for one in plan.intents] == ["images/free", "images/team"]
        assert plan.is_brake

    def test_all_features_and_tiers(self) -> None:
        """A brake over everything needs no phrase."""
        form = chosen(opened(throttled()).with_choice("tier", TIERS), feature="*", admit="T5")
        plan = form.plan()
        assert (len(plan.intents), plan.is_brake, plan.phrase, plan.level) == (12, True, "", Level.ONE)
        assert [one.target.tier for one in plan.intents[:3]] == ["free"] * 3
        assert form.title == "Throttle · all 3 features · 6 models"

    def test_a_later_rise_is_told(self) -> None:
        """The earlier setting is remembered, but runs out meanwhile: the plane opens then."""
        form = chosen(opened(throttled(cell("images", "free", 0.3, expires_at=AT + 7200))), admit="T4")
        assert form.plan().summary.endswith(
            "for 30 min, then back to admit 30% until 16:02Z, then admit 100%"
        )
        form = chosen(form, then="open")
        assert form.plan().summary.endswith("for 30 min, then admit 100%")
        assert form.plan().is_brake
        assert "from 14:32Z on this admits more than what is planned now" in text_of(form)

    def test_an_alert_does_not_stop_a_brake(self) -> None:
        """Nor does it ask for anything typed."""
        frame = replace(throttled(), alerts=(Alert("a", Severity.P1, "delta-code", "free", AT, "hot"),))
        assert chosen(opened(frame), admit="T4").plan().phrase == ""


class TestLoosening:
    """Letting more in asks for more, the wider it is."""

    LOW = cell("images", "free", 0.3, expires_at=AT + 600, revert_to=Revert(0.5, None))

    def test_one_cell_in_peace(self) -> None:
        """`y` only, slowly by default."""
        plan = chosen(opened(throttled(self.LOW)), admit="T1").plan()
        assert plan.intents[0].arguments == {"level": 0.7, "ttl_s": 1800, "ramp_per_min": 0.1}
        assert (plan.level, plan.is_brake, plan.phrase) == (Level.ONE, False, "")
        assert plan.summary == ("images/free: admit 30% → admit 70% by 10 %/min for 30 min, then admit 100%")
        assert choice(chosen(opened(throttled(self.LOW)), admit="T1"), "ramp").note == "admit 70% in 4 min"

    def test_a_ramp_longer_than_its_time_is_said(self) -> None:
        """It would never arrive."""
        form = chosen(opened(throttled(self.LOW)), admit="T0", ramp="5", till="5m")
        assert choice(form, "ramp").note == "admit 100% in 14 min: longer than the 5 min it is set for"

    @pytest.mark.parametrize(
        ("severity", "where", "phrase"),
        [
            (Severity.P1, "delta-code", "images"),
            (Severity.P2, "cirrus-vision", "images"),
            (Severity.P3, "delta-code", ""),
            (Severity.P1, "embed-2", ""),
        ],
    )
    def test_during_an_alert(self, severity: Severity, where: str, phrase: str) -> None:
        """A P1 or P2 on a model that serves the feature asks for its name; others do not."""
        frame = replace(throttled(self.LOW), alerts=(Alert("a", severity, where, "", AT, "hot"),))
        plan = chosen(opened(frame), admit="T1").plan()
        assert (plan.phrase, plan.level) == (phrase, Level.TWO if phrase else Level.ONE)

    def test_several_cells_go_most_privileged_first(self) -> None:
        """With the feature's name as the phrase."""
        frame = throttled(*(cell("images", tier, 0.1) for tier in TIERS))
        plan = chosen(opened(frame).with_choice("tier", ("team", "plus", "free")), admit="T2").plan()
        assert [one.target.tier for one in plan.intents] == ["plus", "team", "free"]
        assert (plan.level, plan.phrase) == (Level.TWO, "images")

    def test_all_tiers_or_all_features(self) -> None:
        """The phrase has the number of cells and the context."""
        frame = throttled(
            *(cell(name, tier, 0.1) for name in ("chat", "images", "longctx") for tier in TIERS)
        )
        frame = replace(frame, context="PROD")
        every_tier = chosen(opened(frame).with_choice("tier", TIERS), admit="T1").plan()
        assert (every_tier.level, every_tier.phrase) == (Level.THREE, "throttle 4 prod")
        every_feature = chosen(opened(frame), feature="*", admit="T1").plan()
        assert (every_feature.level, every_feature.phrase) == (Level.THREE, "throttle 3 prod")
        assert every_feature.summary.startswith("all 3 features for Free: admit 10% → admit 70%")

    def test_what_tightens_goes_first_and_at_once(self) -> None:
        """One decision may do both; it is no brake then."""
        frame = throttled(cell("images", "free", 0.1))
        form = chosen(opened(frame).with_choice("tier", ("team", "free")), admit="T2")
        plan = form.plan()
        assert [(one.target.tier, one.arguments.get("ramp_per_min")) for one in plan.intents] == [
            ("team", None),
            ("free", 0.1),
        ]
        assert (plan.is_brake, plan.level) == (False, Level.TWO)
        assert choice(form, "ramp").note == "what tightens: at once"

    def test_levels_that_differ_are_never_guessed(self) -> None:
        """Ticking another tier, or all features, does not carry a level over to it."""
        frame = throttled(cell("images", "free", 0.0))
        for form in (opened(frame).with_choice("tier", TIERS), chosen(opened(frame), feature="*")):
            assert form.plan().problem == "they differ, admit 0% to 100%: choose what to admit"
            assert choice(form, "admit").chosen == ()

    def test_what_is_in_force_can_be_held(self) -> None:
        """A ramp is stopped where it is by one option, which stays at what was read."""
        frame = throttled(cell("images", "free", 1.0, state="ramping", effective_level=0.66))
        form = opened(frame)
        row = choice(form, "admit")
        assert [option.id for option in row.options] == ["T0", "T1", "held", "T2", "T3", "T4", "T5"]
        assert (row.options[2].label, row.note) == ("hold 66%", "in force admit 66%, ramping to admit 100%")
        held = chosen(form, admit="held")
        assert (held.plan().intents[0].arguments["level"], held.plan().is_brake) == (0.66, True)
        later = held.seen(throttled(cell("images", "free", 1.0, state="ramping", effective_level=0.68)))
        assert later.plan().intents[0].arguments == {"level": 0.66, "ttl_s": 1800}
        assert choice(later, "admit").chosen == ("exact",)

    def test_a_ramp_under_way_is_not_jumped_over(self) -> None:
        """Reopening stands at 40%: half of it is more than now, so it is no brake, and goes slowly."""
        frame = throttled(cell("images", "free", 1.0, state="ramping", effective_level=0.4))
        plan = chosen(opened(frame), admit="T2").plan()
        assert (plan.is_brake, plan.intents[0].arguments["ramp_per_min"]) == (False, 0.1)
        assert chosen(opened(frame), admit="T3").plan().is_brake


class TestExtending:
    """The same dialog on a throttle in force changes its time."""

    @pytest.mark.parametrize(
        ("left_s", "till", "summary", "is_brake"),
        [
            (600, "30m", "extend images/free, admit 30%, by 20 min, to 14:32Z, then admit 100%", True),
            (7200, "30m", "shorten images/free, admit 30%, by 90 min, to 14:32Z, then admit 100%", False),
            (None, "30m", "images/free: admit 30% gets an end, 30 min from now, then admit 100%", False),
            (600, "until-cleared", "images/free: admit 30% stays until cleared", True),
        ],
    )
    def test_time_alone_changes(self, left_s: int | None, till: str, summary: str, is_brake: bool) -> None:
        """More time for a throttle only tightens; less lets more in."""
        ends = None if left_s is None else AT + left_s
        form = chosen(opened(throttled(cell("images", "free", 0.3, expires_at=ends))), till=till)
        plan = form.plan()
        assert (plan.summary, plan.is_brake) == (summary, is_brake)
        assert plan.intents[0].arguments == {"level": 0.3} | ({"ttl_s": 1800} if till == "30m" else {})

    def test_what_it_goes_back_to_stays(self) -> None:
        """A plane keeps what it remembers while the level stays, so "open" cannot be chosen."""
        frame = throttled(cell("images", "free", 0.3, expires_at=AT + 60, revert_to=Revert(0.5, None)))
        form = opened(frame)
        row = choice(form, "then")
        assert (row.chosen, row.note, bool(row.options[1].why)) == (("previous",), "then admit 50%", True)
        assert form.plan().summary.endswith("then admit 50%")

    def test_more_time_for_what_lets_in_more_is_no_brake(self) -> None:
        """It goes back to less than it admits now."""
        frame = throttled(cell("images", "free", 0.7, expires_at=AT + 60, revert_to=Revert(0.1, None)))
        assert not opened(frame).plan().is_brake

    @pytest.mark.parametrize("ends_at", [None, AT + 7200])
    def test_nothing_ends_sooner_unasked(self, ends_at: float | None) -> None:
        """The time that stands there at first only ever gives more."""
        form = opened(throttled(cell("images", "free", 0.3, expires_at=ends_at)))
        assert form.plan().problem == (
            "nothing would change: images/free admit 30% already, for longer: choose a time to end it sooner"
        )

    def test_nothing_new_is_nothing(self) -> None:
        """Without an end before and after, nothing would change."""
        form = chosen(opened(throttled(cell("images", "free", 0.3))), till="until-cleared")
        assert form.plan().problem == "nothing would change: images/free admit 30% already"

    def test_extending_adds_to_what_is_left(self) -> None:
        """By a time of day; a plane's longest time counts from now, so what would be too long is greyed."""
        target = Target("throttle", "images", "free")
        form = extend_form(throttled(cell("images", "free", 0.3, expires_at=AT + 1560)), target)
        assert isinstance(form, ThrottleForm)
        row = choice(form, "for")
        assert [option.label for option in row.options] == ["+5m", "+15m", "+30m", "+1h", "until cleared"]
        assert (row.chosen, row.note) == (("30m",), "to 14:58Z, 26m00s left now")
        plan = form.plan()
        assert plan.summary == "extend images/free, admit 30%, by 30 min, to 14:58Z, then admit 100%"
        assert plan.intents[0].arguments == {"level": 0.3, "expires_at": "2026-11-21T14:58:11.000Z"}
        assert plan.is_brake
        assert form.seen(replace(form.frame, at=AT + 9)).plan().intents == plan.intents
        until = chosen(form, till="until-cleared").plan()
        assert until.intents[0].arguments == {"level": 0.3}
        short = throttled(cell("images", "free", 0.3, expires_at=AT + 1560), of=plane(ttl_max_s=2700))
        form = extend_form(short, target)
        assert isinstance(form, ThrottleForm)
        assert [bool(one.why) for one in choice(form, "for").options] == [False, False, True, True, False]
        assert choice(form, "for").chosen == ("15m",)
        form = form.seen(replace(short, plane=plane(ttl_max_s=1600)))
        assert form.plan().intents[0].arguments == {"level": 0.3, "ttl_s": 1600}

    def test_without_an_end_there_is_none_to_add_to(self) -> None:
        """Then the time counts from now, as anywhere."""
        form = extend_form(throttled(cell("images", "free", 0.3)), Target("throttle", "images", "free"))
        assert isinstance(form, ThrottleForm)
        assert choice(form, "for").options[0].label == "5m"

    def test_by_its_target(self) -> None:
        """A cell in force has a form; one that is open has nothing to extend."""
        frame = throttled(cell("images", "free", 0.3, expires_at=AT + 60))
        form = extend_form(frame, Target("throttle", "images", "free"))
        assert isinstance(form, ThrottleForm)
        assert form.plan().summary.startswith("extend images/free")
        assert "nothing to extend" in str(extend_form(frame, Target("throttle", "images", "pro")))
        assert "nothing to extend" in str(extend_form(frame, Target("throttle", "music", "pro")))
        assert "no control plane" in str(extend_form(bare_frame(), Target("throttle", "images", "free")))


class TestClearing:
    """A throttle in force can be cleared: to the setting before, or altogether."""

    FRAME = throttled(
        cell("images", "free", 0.3, revert_to=Revert(0.5, None), return_ramp_per_min=0.1),
        cell("images", "team", 0.1),
    )

    def test_to_what_was_before(self) -> None:
        """It says what that is, and how fast."""
        form = chosen(opened(self.FRAME), do="clear")
        plan = form.plan()
        assert (plan.intents[0].operation, plan.intents[0].arguments) == ("throttle.clear", {})
        assert plan.summary == "clear images/free: admit 30% → admit 50%"
        assert not plan.is_brake
        assert choice(form, "ramp").note == "back by 10 %/min"
        admit = choice(form, "admit")
        assert all(option.why for option in admit.options)
        assert (admit.chosen, admit.note) == ((), "cleared: admit 50%")
        assert "exact" not in [row.id for row in form.fields]

    def test_altogether(self) -> None:
        """To 100%, whatever it remembers; what is open is left out."""
        form = chosen(
            opened(self.FRAME).with_choice("tier", ("team", "pro", "free")), do="clear", then="open"
        )
        plan = form.plan()
        assert [(str(one.target), one.arguments) for one in plan.intents] == [
            ("images/team", {"revert_to": "open"}),
            ("images/free", {"revert_to": "open"}),
        ]
        assert plan.summary.endswith("admit 10% to 30% → admit 100% (2 cells); 1 already so")

    def test_what_has_run_out_does_not_come_back(self) -> None:
        """The setting before had an end of its own."""
        frame = throttled(cell("images", "free", 0.3, revert_to=Revert(0.5, AT - 1)))
        plan = chosen(opened(frame), do="clear").plan()
        assert plan.summary == "clear images/free: admit 30% → admit 100%"

    def test_back_to_less_is_a_brake(self) -> None:
        """What was before let in less."""
        frame = throttled(cell("images", "free", 0.7, expires_at=AT + 60, revert_to=Revert(0.1, None)))
        assert chosen(opened(frame), do="clear").plan().is_brake

    def test_where_it_may_not_be(self) -> None:
        """The option is greyed, and cannot be chosen."""
        facts = plane(closed={"throttle.clear": "needs operator"})
        form = opened(throttled(cell("images", "free", 0.3), of=facts))
        assert choice(form, "do").options[1].why == "needs operator"
        assert choice(chosen(form, do="clear"), "do").chosen == ("set",)

    def test_a_limit_is_cleared_by_its_limit(self) -> None:
        """Where no level is known the precondition names the limit."""
        frame = throttled(cell("images", "free", None, unit="rpm", limit=30.0))
        (intent,) = chosen(opened(frame), do="clear").plan().intents
        assert intent.seen == {"limit": 30.0}


class TestTyping:
    """An exact percentage, typed."""

    @pytest.mark.parametrize(
        ("text", "share"),
        [("12.5", 0.125), ("12.5%", 0.125), (" 0 ", 0.0), ("100", 1.0), ("33.33", 0.3333), ("7.", 0.07)],
    )
    def test_a_percentage_is_taken(self, text: str, share: float) -> None:
        """Exactly as typed, to what a plane compares."""
        assert read_percent(text) == share
        form = opened(throttled(cell("images", "free", 0.9))).with_text("exact", text)
        assert entry(form).wrong == ""
        assert form.plan().intents[0].arguments["level"] == share

    @pytest.mark.parametrize("text", ["300", "-5", "abc", "1e1", "12,5", "nan", "12.345", "%", "٣", "100.01"])
    def test_anything_else_is_refused_in_words(self, text: str) -> None:
        """Nothing can be applied, and the text stays to be mended."""
        form = opened(throttled()).with_text("exact", text)
        assert entry(form).wrong
        assert entry(form).text == text
        assert form.plan().problem.startswith("Exact: ")
        assert form.plan().intents == ()

    def test_the_newest_wins(self) -> None:
        """A preset chosen later takes the typed text away; empty text gives the preset back."""
        form = chosen(opened(throttled()), admit="T3").with_text("exact", "12.5")
        assert choice(form, "admit").chosen == ("exact",)
        assert form.with_text("exact", "").plan().intents[0].arguments["level"] == 0.3
        assert entry(chosen(form, admit="T4")).text == ""

    def test_other_rows_take_no_text(self) -> None:
        """Nor do rows that are not there, nor options that are not."""
        form = opened(throttled())
        assert form.with_text("admit", "5") is form
        assert form.with_choice("nothing", ("x",)) is form
        assert form.with_choice("admit", ("T9",)) is form


class TestProblems:
    """Why nothing can be done, one reason at a time."""

    def test_no_tier(self) -> None:
        """All unticked."""
        assert opened(throttled()).with_choice("tier", ()).plan().problem == "no tier is ticked: tick one"

    def test_a_cell_that_is_not_told(self) -> None:
        """Nothing is changed unseen."""
        frame = throttled()
        frame = replace(frame, throttles=frame.throttles[:5])
        problem = chosen(opened(frame).with_choice("tier", TIERS), admit="T3").plan().problem
        assert problem == "what is set for images/plus and 2 more is not told, and nothing is changed unseen"

    def test_a_unit_without_a_baseline(self) -> None:
        """A share of what is not known."""
        form = opened(throttled(cell("images", "free", None, unit="rpm", limit=30.0)))
        assert chosen(form, admit="T3").plan().problem == (
            "images/free cannot be set by share: no baseline says how much rpm is all of it"
        )
        assert "enforced as 30 rpm, no baseline" in text_of(form)

    def test_an_unknown_level(self) -> None:
        """A backend that cannot be read."""
        form = opened(throttled(cell("images", "free", None, state="unknown")))
        assert "is unknown" in chosen(form, admit="T3").plan().problem


class TestSeeing:
    """A newer frame: the same ids, the values of now."""

    def test_what_was_chosen_stays(self) -> None:
        """Bound to ids, with the etags and levels of now."""
        form = chosen(opened(throttled()), admit="T3")
        newer = form.seen(throttled(cell("images", "free", 0.5, etag="t-9")))
        (intent,) = newer.plan().intents
        assert (intent.etag, intent.seen, intent.arguments["level"]) == ("t-9", {"level": 0.5}, 0.3)
        assert (form.revision, newer.revision) == ("rev t-images-free", "rev t-9")

    def test_nobody_chose_a_level(self) -> None:
        """Then it follows what is set: somebody else's change is not undone by `y`."""
        newer = opened(throttled()).seen(throttled(cell("images", "free", 0.1, expires_at=AT + 60)))
        assert newer.plan().summary.startswith("extend images/free, admit 10%")

    def test_the_plan_stays_while_only_time_goes_by(self) -> None:
        """The dry run of a plan is that of the same intents a second later."""
        form = chosen(opened(throttled(cell("images", "free", 0.3, expires_at=AT + 600))), admit="T4")
        assert form.seen(replace(form.frame, at=AT + 1)).plan().intents == form.plan().intents

    def test_a_feature_that_is_gone(self) -> None:
        """It is said, and greyed."""
        form = chosen(opened(throttled()), admit="T3")
        gone = form.seen(throttled(frame=replace(demo_frame(), features=demo_frame().features[:1])))
        assert "no longer names the feature images" in gone.plan().problem
        assert choice(gone, "feature").options[0].why

    def test_a_tier_that_is_gone(self) -> None:
        """It is said, and cannot be ticked again."""
        form = chosen(opened(throttled()), admit="T3")
        gone = form.seen(throttled(of=replace(plane(), tiers=TIERS[:3])))
        assert gone.plan().problem == "the control plane no longer names the tier free: tick another"
        assert choice(gone, "tier").options[-1].why

    def test_a_plane_that_is_gone(self) -> None:
        """Nothing can be asked of it."""
        form = chosen(opened(throttled()), admit="T3").seen(replace(throttled(), plane=None))
        assert form.plan().problem == "no control plane answers, so nothing can be asked of it"

    def test_many_etags_are_folded(self) -> None:
        """Any one that moves still shows."""
        form = chosen(opened(throttled()).with_choice("tier", TIERS), feature="*")
        newer = form.seen(throttled(cell("images", "plus", etag="t-9")))
        assert form.revision.startswith("rev of 12 cells ")
        assert newer.revision != form.revision
