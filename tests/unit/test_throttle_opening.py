"""How the throttle dialog's form opens: on what is selected, to undo an action, or not at all."""

from dataclasses import replace

import pytest

from collectors.fleet import LastChange
from collectors.intents import Logged, Target
from tests.frames import AT, bare_frame, demo_frame
from tests.throttle_frames import cell, plane, sharing, throttled
from tests.unit.test_throttle_form import IMAGES, MINUTE, choice, chosen, opened, text_of
from tui.dialogs.throttle import ThrottleForm, throttle_form, throttle_inverse
from tui.screens.base import Selection
from tui.screens.trends import Trends


class TestNothingToThrottle:
    """Where there is nothing to throttle, a sentence says why."""

    def test_without_a_plane(self) -> None:
        """No plane at all says how to get one; one that has not spoken is waited for."""
        assert throttle_form(bare_frame(), IMAGES, None) == "no control plane: give --plane URL"
        waiting = replace(demo_frame(), plane=None)
        assert throttle_form(waiting, IMAGES, None) == (
            "no control plane answers, so nothing can be asked of it yet"
        )

    def test_without_the_role(self) -> None:
        """The plane's own reason is given."""
        frame = throttled(of=plane(closed={"throttle.set": "needs operator"}))
        assert throttle_form(frame, IMAGES, None) == "no throttle can be set: needs operator"

    @pytest.mark.parametrize("lacks", ["features", "tiers"])
    def test_without_cells(self, lacks: str) -> None:
        """A plane without features, or without tiers, has no cells."""
        frame = throttled()
        frame = replace(frame, features=()) if lacks == "features" else frame
        frame = replace(frame, plane=replace(plane(), tiers=())) if lacks == "tiers" else frame
        assert lacks in str(throttle_form(frame, IMAGES, None))


class TestOpening:
    """What is offered and chosen when the dialog opens."""

    def test_the_selected_cell_is_chosen_and_nothing_would_change(self) -> None:
        """An open cell: its level is chosen, so that `y` alone does nothing."""
        form = opened(throttled())
        assert choice(form, "feature").chosen == ("images",)
        assert choice(form, "tier").chosen == ("free",)
        assert choice(form, "admit").chosen == ("T0",)
        assert choice(form, "for").chosen == ("30m",)
        assert choice(form, "ramp").chosen == ("0",)
        assert [row.id for row in form.fields] == ["feature", "tier", "admit", "exact", "ramp", "for", "then"]
        assert form.plan().problem == "nothing would change: images/free admit 100% already"
        assert (form.title, form.main) == ("Throttle · images · 2 models", "admit")
        assert (form.key, form.revision) == ("throttle images", "rev t-images-free")

    def test_a_model_offers_the_features_that_it_serves(self) -> None:
        """Others are left out, all features together are not."""
        form = opened(throttled(), Selection(model="delta-code"))
        assert [option.id for option in choice(form, "feature").options] == ["images", "longctx", "*"]

    def test_a_model_that_serves_nothing_known_offers_all(self) -> None:
        """A fleet's features are still there to throttle."""
        form = opened(throttled(), Selection(model="fable-voice"))
        assert [option.id for option in choice(form, "feature").options] == ["chat", "images", "longctx", "*"]

    def test_a_feature_stands_first_among_all(self) -> None:
        """The selected one, then the others in the plane's order."""
        form = opened(throttled(), Selection(feature="longctx"))
        assert [option.id for option in choice(form, "feature").options] == ["longctx", "chat", "images", "*"]

    def test_the_release_of_a_feature_selects_it(self) -> None:
        """A row of the group of features is a release."""
        assert opened(throttled(), Selection(release="longctx-rollout")).feature == "longctx"
        assert opened(throttled(), Selection(release="delta-code-rollout")).offered == ("images", "longctx")

    def test_an_only_feature_has_no_all(self) -> None:
        """All of one is that one."""
        frame = replace(demo_frame(), features=demo_frame().features[:1])
        assert [o.id for o in choice(opened(throttled(frame=frame)), "feature").options] == ["chat"]

    def test_without_a_tier_the_least_privileged_is_ticked(self) -> None:
        """Tiers run from the most to the least privileged; a tier that the plane does not know is none."""
        for tier in ("", "all"):
            form = opened(throttled(), Selection(feature="images", tier=tier))
            assert choice(form, "tier").chosen == ("free",)
        assert [option.label for option in choice(form, "tier").options] == ["Pro", "Plus", "Team", "Free"]

    def test_the_feature_that_grew_most_is_chosen(self) -> None:
        """Not the largest one, and it says why."""
        frame = throttled()
        trends = Trends()
        trends.add(sharing(frame, "delta-code", images=12, longctx=88))
        later = replace(sharing(frame, "delta-code", images=38, longctx=62), at=AT + 5 * MINUTE)
        trends.add(later)
        form = opened(later, Selection(model="delta-code"), trends)
        assert (form.feature, choice(form, "feature").note) == ("images", "grew 12→38% of delta-code")
        assert opened(later, Selection(), trends).feature == "images"

    def test_an_hour_into_a_surge_it_is_still_chosen(self) -> None:
        """By the share that it had before."""
        frame, trends = throttled(), Trends()
        trends.add(sharing(frame, "delta-code", images=12, longctx=88))
        for minute in range(5, 65):
            later = replace(sharing(frame, "delta-code", images=38, longctx=62), at=AT + minute * MINUTE)
            trends.add(later)
        assert opened(later, Selection(model="delta-code"), trends).feature == "images"

    @pytest.mark.parametrize("selection", [Selection(model="delta-code"), Selection()])
    def test_without_growth_none_is_chosen(self, selection: Selection) -> None:
        """However large one is: no key throttles it before somebody chose it."""
        form = opened(sharing(throttled(), "delta-code", images=38, longctx=62), selection)
        row = choice(form, "feature")
        assert (form.feature, row.chosen) == ("", ())
        assert row.note == "none is throttled, and none has grown: choose one"
        assert (form.title, form.key) == ("Throttle · no feature chosen", "throttle")
        for touched in (form, chosen(form, admit="T2")):
            assert touched.plan().problem == "choose a feature first: left or right in the row Feature"
            assert touched.plan().intents == ()
        assert "choose one" in text_of(form)
        assert chosen(form, feature="images", admit="T3").plan().intents[0].target.id == "images"

    @pytest.mark.parametrize("selection", [Selection(model="delta-code"), Selection()])
    def test_while_none_is_chosen_the_sentence_follows_the_frames(self, selection: Selection) -> None:
        """Left open while images grow: it says so and chooses nothing by itself (S7)."""
        frame, trends = sharing(throttled(), "delta-code", images=12, longctx=88), Trends()
        trends.add(frame)
        form = opened(frame, selection, trends)
        quiet = "none is throttled, and none has grown: choose one"
        assert choice(form.seen(replace(frame, at=AT + MINUTE)), "feature").note == quiet
        later = replace(sharing(frame, "delta-code", images=38, longctx=62), at=AT + 5 * MINUTE)
        trends.add(later)
        now = form.seen(later)
        assert choice(now, "feature").note == "images grew 12→38% of delta-code: choose one"
        assert (now.feature, now.plan().intents, now.revision) == ("", (), form.revision)
        assert "images grew 12→38% of delta-code: choose one" in text_of(now)
        assert opened(later, selection, trends).feature == "images", "opened anew it is chosen"
        over = replace(sharing(frame, "delta-code", images=12, longctx=88), at=AT + 9 * MINUTE)
        trends.add(over)
        assert choice(now.seen(over), "feature").note == quiet
        picked = chosen(now, feature="longctx")
        assert choice(picked.seen(later), "feature").note == ""
        assert picked.seen(later).feature == "longctx"

    def test_while_none_is_chosen_a_throttle_of_somebody_else_is_told(self) -> None:
        """Of the selected model it is what is being dealt with; of the fleet, none is chosen for it."""
        form, fleet = opened(throttled(), Selection(model="delta-code")), opened(throttled(), Selection())
        held = throttled(cell("longctx", "team", 0.3, expires_at=AT + 720))
        assert choice(form.seen(held), "feature").note == "longctx/team at T3 admit 30%: choose one"
        assert form.seen(held).feature == ""
        assert choice(fleet.seen(held), "feature").note == "none has grown: choose one"
        assert opened(held, Selection()).why == "none has grown: choose one"

    @pytest.mark.parametrize(
        ("members", "note"),
        [
            ({"level": 0.3, "expires_at": AT + 720}, "longctx/team at T3 admit 30%"),
            (
                {"state": "ramping", "effective_level": 0.66},
                "longctx/team in force admit 66%, ramping to admit 100%",
            ),
            (
                {"last_change": LastChange("a", "throttle.clear", "system:expiry", "", AT - 1000)},
                "longctx/team throttled until 13:45Z",
            ),
        ],
    )
    def test_what_is_throttled_there_already_is_chosen(self, members: dict[str, object], note: str) -> None:
        """Before one that grew: in force, ramping, or ended a short while ago; with the tier of it."""
        frame, trends = throttled(replace(cell("longctx", "team"), **members)), Trends()
        trends.add(sharing(frame, "delta-code", images=12, longctx=88))
        later = replace(sharing(frame, "delta-code", images=38, longctx=62), at=AT + MINUTE)
        trends.add(later)
        form = opened(later, Selection(model="delta-code"), trends)
        assert (form.feature, form.tiers, choice(form, "feature").note) == ("longctx", ("team",), note)
        assert opened(later, Selection(model="delta-code", tier="pro"), trends).tiers == ("pro",)

    def test_what_ended_long_ago_is_over(self) -> None:
        """And what is throttled on other models is another matter."""
        over = LastChange("a", "throttle.clear", "system:expiry", "", AT - 1900)
        frame = throttled(cell("longctx", "free", last_change=over), cell("chat", "free", 0.3))
        assert opened(frame, Selection(model="delta-code")).feature == ""

    def test_an_exact_level_stands_between_its_neighbours(self) -> None:
        """A level that is no preset has an option of its own, from which the arrows lead on."""
        row = choice(opened(throttled(cell("images", "free", 0.375))), "admit")
        assert [option.id for option in row.options] == ["T0", "T1", "T2", "exact", "T3", "T4", "T5"]
        assert (row.chosen, row.note) == (("exact",), "now admit 37.5%, no preset")

    def test_times_that_the_plane_does_not_allow_are_greyed(self) -> None:
        """The longest that is allowed is chosen; with none of them, the plane's own longest."""
        form = opened(throttled(of=plane(ttl_max_s=1200)))
        row = choice(form, "for")
        assert row.chosen == ("15m",)
        assert {option.id: bool(option.why) for option in row.options} == {
            "5m": False, "15m": False, "30m": True, "1h": True, "until-cleared": False,
        }  # fmt: skip
        assert choice(form.with_choice("for", ("1h",)), "for").chosen == ("15m",)
        short = chosen(opened(throttled(of=plane(ttl_max_s=90))), admit="T3")
        assert short.plan().intents[0].arguments["ttl_s"] == 90

    def test_without_ramps_only_at_once_is_left(self) -> None:
        """The plane's reason stands beside it, and no ramp is asked for."""
        frame = throttled(cell("images", "free", 0.3), of=plane(closed={"throttle.ramp": "no ramps here"}))
        form = chosen(opened(frame), admit="T1", ramp="20")
        row = choice(form, "ramp")
        assert (row.chosen, row.note) == (("0",), "no ramps here")
        assert [bool(option.why) for option in row.options] == [False, True, True, True]
        assert "ramp_per_min" not in form.plan().intents[0].arguments


class TestUndoing:
    """An action of the log taken back, for what is left."""

    CELL = cell("images", "free", 0.3, expires_at=AT + 600)

    def logged(self, before: dict[str, object], after: float = 0.3, **members: object) -> Logged:
        """An entry of the log that set images/free."""
        made = Logged(
            "a-1", AT - 90, "alice", "throttle.set", Target("throttle", "images", "free"), "spike", "applied",
            before=before, after={"level": after, "expires_at": None},
        )  # fmt: skip
        return replace(made, **members)

    def test_to_open_it_is_cleared_altogether(self) -> None:
        """Not to whatever it remembers."""
        form = throttle_inverse(throttled(self.CELL), self.logged({"level": 1.0, "expires_at": None}))
        assert isinstance(form, ThrottleForm)
        (intent,) = form.plan().intents
        assert (intent.operation, intent.arguments) == ("throttle.clear", {"revert_to": "open"})
        assert "undoes throttle.set of images/free by alice at 14:00:41Z: spike" in text_of(form)

    def test_for_what_is_left(self) -> None:
        """By a time of day, so that the plan stays; then open, not back to what was undone."""
        before = {"level": 0.125, "expires_at": "2026-11-21T14:20:00Z"}
        form = throttle_inverse(throttled(self.CELL), self.logged(before))
        assert isinstance(form, ThrottleForm)
        plan = form.plan()
        assert plan.intents[0].arguments == {
            "level": 0.125, "revert_to": "open", "expires_at": "2026-11-21T14:20:00.000Z",
        }  # fmt: skip
        assert plan.summary == "images/free: admit 30% → admit 12.5% until 14:20Z, then admit 100%"
        assert plan.is_brake
        assert form.seen(replace(form.frame, at=AT + 5)).plan().intents == plan.intents
        over = form.seen(replace(form.frame, at=AT + 3600))
        assert "is over" in over.plan().problem

    def test_a_time_that_is_over_opens(self) -> None:
        """Nothing of the setting before is left."""
        before = {"level": 0.1, "expires_at": "2026-11-21T14:02:00Z"}
        form = throttle_inverse(throttled(self.CELL), self.logged(before))
        assert isinstance(form, ThrottleForm)
        assert form.plan().intents[0].operation == "throttle.clear"

    @pytest.mark.parametrize(
        ("operation", "before", "after"),
        [
            ("throttle.set", {"level": 1.0, "expires_at": None}, 0.3),
            ("throttle.clear", {"level": 0.3, "expires_at": "2026-11-21T14:02:00Z"}, 1.0),
        ],
    )
    def test_while_it_reopens_the_ramp_is_stopped(
        self, operation: str, before: dict[str, object], after: float
    ) -> None:
        """The level is as before already, what is in force is not: back to the level it comes from."""
        ramping = cell("images", "free", 1.0, state="ramping", effective_level=0.66)
        form = throttle_inverse(throttled(ramping), self.logged(before, after, operation=operation))
        assert isinstance(form, ThrottleForm)
        plan = form.plan()
        assert plan.intents[0].arguments == {"level": 0.3, "ttl_s": 1800, "revert_to": "open"}
        assert plan.is_brake
        assert (
            "in force admit 66%, ramping to admit 100%: this stops the ramp, and sets admit 30% again"
            in text_of(form)
        )

    def test_what_happened_since_is_told(self) -> None:
        """It would be undone too."""
        change = LastChange("a-2", "throttle.set", "bob", "more", AT - 20)
        frame = throttled(replace(self.CELL, level=0.1, last_change=change))
        form = throttle_inverse(frame, self.logged({"level": 0.5, "expires_at": None}))
        assert isinstance(form, ThrottleForm)
        assert "changed again by bob at 14:01:51Z, from admit 30% to admit 10%" in text_of(form)

    @pytest.mark.parametrize(
        ("members", "words"),
        [
            (
                {"before": {"level": 0.3, "expires_at": None}, "after": {"level": 0.1}},
                "is at admit 30% again",
            ),
            ({"result": "refused"}, "was refused: nothing to undo"),
            ({"before": {}}, "the log does not tell what"),
            ({"before": {"level": "half"}}, "the log does not tell what"),
            ({"before": {"level": 0.5, "expires_at": "soon"}}, "the log does not tell what"),
            ({"target": Target("throttle", "music", "free")}, "tells of no throttle music/free"),
            ({"target": Target("release", "aurora-5")}, "is no throttle"),
        ],
    )
    def test_where_there_is_nothing_to_undo(self, members: dict[str, object], words: str) -> None:
        """A sentence says why."""
        logged = replace(self.logged({"level": 0.5, "expires_at": None}), **members)
        assert words in str(throttle_inverse(throttled(self.CELL), logged))
