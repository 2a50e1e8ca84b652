"""What the throttle dialog's form tells: who is hit, what is set, who waits, what is let in."""

from dataclasses import replace

import pytest

from collectors.fleet import Feature, LastChange, Revert, SourceHealth, SourceState, Tier
from collectors.readings import Quality, Reading, Reason, reading
from tests.frames import AT, demo_frame, model
from tests.throttle_frames import TIERS, cell, counting, plane, throttled
from tests.unit.test_throttle_form import chosen, opened, text_of
from tui.dialogs.throttle import ThrottleForm
from tui.format import width_of
from tui.screens.base import Selection
from tui.throttles import Change, changed, course_now, minutes


class TestFacts:
    """What is to be known before deciding."""

    def test_other_features_of_its_models_that_are_throttled_already_are_told(self) -> None:
        """By whom and for how long; not those of other models, nor its own."""
        change = LastChange("a-2", "throttle.set", "alice", "hot", AT - 20)
        frame = throttled(
            cell("longctx", "free", 0.3, expires_at=AT + 720, last_change=change),
            cell("longctx", "pro", 1.0, state="ramping", effective_level=0.5),
            cell("images", "free", 0.1),
        )
        assert (
            "Already    longctx/pro is in force admit 50%, ramping to admit 100%;"
            " longctx/free is at T3 admit 30%, by alice, 12m00s left" in text_of(opened(frame))
        )
        assert "Already" not in text_of(opened(throttled(cell("images", "free", 0.1))))

    def test_every_model_is_named_with_what_is_not_open(self) -> None:
        """By its release, for the tiers that are ticked; then the feature's own release."""
        text = text_of(opened(throttled()).with_choice("tier", ("plus", "free")))
        assert "cirrus-vision (Plus, Free not open there), delta-code (Free 25% open there)" in text
        assert "longctx is itself released: Free 50% open" in text_of(
            opened(throttled(), Selection(feature="longctx"))
        )

    def test_thirty_models_are_all_there_at_any_width(self) -> None:
        """Wrapped, never cut; names of models that no metric knows too."""
        names = tuple(f"北京-大模型-推理服务-{n:02d}" for n in range(30))
        known = tuple(model(name, ((0.1, 0.2, 0.1),) * 4) for name in names[:20])
        frame = replace(demo_frame(), models=known, features=(Feature("images", "images", names),))
        form = opened(throttled(frame=frame))
        assert form.title == "Throttle · images · 30 models"
        for width in (30, 41, 80):
            lines = form.facts(width, "unicode")
            assert max(width_of(line.text) for line in lines) <= width
            joined = "".join(line.text.replace(" ", "") for line in lines)
            assert all(name in joined for name in names)

    def test_a_model_by_another_name_is_hit(self) -> None:
        """A plane's own name for it is no further model."""
        known = replace(model("llama@eu", ((0.1, 0.2, 0.1),) * 4, features=("images",)), cluster="eu")
        frame = replace(demo_frame(), models=(known,), features=(Feature("images", "i", ("llama-70b",)),))
        assert opened(throttled(frame=frame)).title == "Throttle · images · 1 model"

    def test_a_cell_tells_level_state_end_and_who(self) -> None:
        """All of it in one paragraph."""
        change = LastChange("a-2", "throttle.set", "bob", "GPU pool B saturated", AT - 20)
        one = cell(
            "images", "free", 0.3, state="ramping", effective_level=0.43, expires_at=AT + 599,
            revert_to=Revert(0.5, None), last_change=change,
        )  # fmt: skip
        assert (
            "images/free in force admit 43%, ramping to T3 admit 30%, 9m59s left, to 14:12Z, then admit 50%,"
            " by bob at 14:01:51Z: GPU pool B saturated"
        ) in text_of(opened(throttled(one)))

    def test_the_worst_wait_of_each_tier_with_its_promise(self) -> None:
        """And of the other features on the same models."""
        frame = throttled()
        chat = {"chat": {"queue_wait_p99": reading("queue_wait_p99", 12.0, AT - 3)}}
        frame = replace(
            frame,
            models=tuple(replace(m, by_feature=chat) if m.name == "delta-code" else m for m in frame.models),
        )
        text = text_of(opened(frame))
        assert "Free ≈14.9 s on delta-code, promised 6.0 s: above it, 0s old" in text
        assert "chat 12.0 s on delta-code, 3s old" in text

    def test_a_wait_without_a_promise_hides_no_broken_one(self) -> None:
        """It cannot be compared; a queue that stands still is worse than all."""
        frame = throttled()
        waits = {"free": {"queue_wait_p99": reading("queue_wait_p99", 90.0, AT)}}
        slow = replace(frame.models[3], tiers=waits, objectives={})
        frame = replace(frame, models=(*frame.models[:3], slow, *frame.models[4:]))
        assert (slow.name, "≈14.9 s on delta-code" in text_of(opened(frame))) == ("cirrus-vision", True)
        stalled = {"free": {"queue_wait_p99": Reading(None, AT, Quality.MISSING, Reason("stalled", (7,)))}}
        frame = replace(
            frame, models=tuple(replace(m, tiers=stalled) if m.name == slow.name else m for m in frame.models)
        )
        assert "Free stall: stalled: 7 waiting and none left the queue, on cirrus-vision" in text_of(
            opened(frame)
        )

    def test_a_wait_that_is_not_known_says_why(self) -> None:
        """Never a number in its place."""
        gone = Reading(None, AT - 94, Quality.MISSING, Reason("removed", (94,)))
        frame = throttled()
        models = tuple(replace(m, tiers={**m.tiers, "free": {"queue_wait_p99": gone}}) for m in frame.models)
        text = text_of(opened(replace(frame, models=models)))
        assert "Free not known: no sample for 94 s" in text

    def test_what_is_turned_away(self) -> None:
        """As a share, and of how many models."""
        frame = throttled(cell("images", "free", 0.3))
        assert "not measured for images/free" in text_of(opened(frame))
        frame = counting(frame, "images", "free", 40.0, 28.0, on=["delta-code"])
        assert "images/free 70% of 40.0/s" in text_of(opened(frame))

    def test_a_plane_that_does_not_answer(self) -> None:
        """What it said is said to be old."""
        lost = SourceHealth("plane", "plane", SourceState.LOST, AT - 60)
        assert "does not answer" in text_of(opened(replace(throttled(), sources=(lost,))))


class TestForecast:
    """Unknown without a capacity model; plain arithmetic is named as such."""

    def forecast(self, form: ThrottleForm) -> str:
        """All of it, each paragraph in one line."""
        return "\n".join(line.text for line in form.forecast({}, 500, "unicode"))

    def test_unknown_says_why(self) -> None:
        """Each of what nobody computes, in one paragraph."""
        (line,) = chosen(opened(throttled()), admit="T3").forecast({}, 500, "unicode")
        assert line.text.startswith("UNKNOWN:   let in: requests are not measured: images/free; wait p99")
        assert "wait p99, headroom: no capacity model in this version" in line.text
        assert "users: nothing that is measured counts them" in line.text

    @pytest.mark.parametrize(
        ("level", "arrivals", "rejected", "words"),
        [
            (1.0, 40.0, None, "images/free: ≈40.0/s → ≈12.0/s if demand stays (arithmetic, no model)"),
            (0.5, 40.0, 20.0, "images/free: ≈20.0/s → ≈12.0/s"),
            (0.5, 20.0, 0.0, "images/free: ≈20.0/s → ≈12.0/s"),
            (0.0, 40.0, 40.0, "images/free: ≈0/s → ≈12.0/s"),
            (0.5, 40.0, None, "let in: rejections are not measured"),
            (0.0, 0.0, 0.0, "let in: nothing arrives that could be counted"),
        ],
    )
    def test_what_is_let_in(self, level: float, arrivals: float, rejected: float | None, words: str) -> None:
        """Right whether requests are counted before the throttle or behind it."""
        frame = counting(
            throttled(cell("images", "free", level)), "images", "free", arrivals, rejected, on=["delta-code"]
        )
        assert words in self.forecast(chosen(opened(frame), admit="T3"))

    def test_of_several_cells_what_is_known(self) -> None:
        """And which are not."""
        frame = counting(throttled(), "images", "free", 40.0, 0.0, on=["delta-code"])
        text = self.forecast(chosen(opened(frame).with_choice("tier", ("team", "free")), admit="T2"))
        assert "1 of 2 cells: ≈40.0/s → ≈20.0/s" in text
        assert "UNKNOWN: requests are not measured: images/team" in text


class TestCourse:
    """What a cell admits from now on, and after a change."""

    def test_it_runs_out_step_by_step(self) -> None:
        """The level, what it remembers for what is left, then open."""
        one = cell("images", "free", 0.3, expires_at=AT + 60, revert_to=Revert(0.5, AT + 600))
        assert [step.level for step in course_now(one)] == [0.3, 0.5, 1.0]
        late = cell("images", "free", 0.3, expires_at=AT + 60, revert_to=Revert(0.5, AT + 30))
        assert [step.level for step in course_now(late)] == [0.3, 1.0]

    def test_one_earlier_setting_is_remembered(self) -> None:
        """Not the one before it: from a setting that ends soon it is open after the new one."""
        one = cell("images", "free", 0.5, expires_at=AT + 900, revert_to=Revert(0.1, None))
        move = changed(one, Change(False, 0.3, AT + 1800, False), AT)
        assert [step.level for step in move.course] == [0.3, 1.0]
        assert (move.rises, move.later_rise) == (False, AT + 900)

    def test_lengths_of_time(self) -> None:
        """In whole units where they are whole."""
        assert [minutes(s) for s in (300, 3600, 7200, 90, 0)] == ["5 min", "1 h", "2 h", "1m30s", "0s"]


def test_ascii_has_no_glyph_of_ours() -> None:
    """All that is drawn goes through the glyph set."""
    frame = counting(throttled(cell("images", "free", 0.3)), "images", "free", 40.0, 28.0, on=["delta-code"])
    form = chosen(opened(frame).with_choice("tier", TIERS), admit="T2")
    for line in (*form.facts(60, "ascii"), *form.forecast({}, 60, "ascii")):
        assert line.text.isascii()


def test_eight_tiers_with_long_names_fit() -> None:
    """Names of tiers are cut nowhere; no line is wider than it may be."""
    names = tuple(f"企业客户-高级-{n}" for n in range(8))
    frame = replace(demo_frame(), tiers=tuple(Tier(name, name * 3) for name in names))
    form = opened(throttled(frame=frame, of=replace(plane(), tiers=names))).with_choice("tier", names)
    form = form.with_choice("admit", ("T3",))
    assert len(form.plan().intents) == 8
    for line in (*form.facts(40, "unicode"), *form.forecast({}, 40, "unicode")):
        assert width_of(line.text) <= 40
