"""Throttles and stages on the pages of models and features: as set, in force, and seen."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from collectors.fleet import Check, Exposure, Frame, LastChange, Stage, Throttle
from tests.frames import AT, demo_frame, worst_frame
from tests.operated_frames import cell, feature_release, operated_frame, worst_operated_frame
from tests.unit.test_model_lines import WIDTHS, page, text
from tui.format import ASCII, GLYPHS, width_of
from tui.screens.feature_lines import feature_model, feature_page_lines
from tui.screens.model_lines import events_of, model_header, model_lines
from tui.screens.page import Page
from tui.screens.selecting import selected_alert, selected_feature, selected_model
from tui.widgets.badges import writes_badge


def section(shown: str, title: str) -> list[str]:
    """The lines of a section, without its heading."""
    return shown.split(f"─ {title}")[1].split("\n─ ")[0].splitlines()[1:]


def throttles(frame: Frame, name: str = "delta-code", width: int = 120) -> list[str]:
    return section(text(page(frame, name, width=width)), "THROTTLES")


def about(lines: list[str], cell_name: str) -> str:
    """A cell's row and what is said below it, as one text."""
    start = next(n for n, line in enumerate(lines) if cell_name in line)
    end = next((n for n in range(start + 1, len(lines)) if not lines[n].startswith("     ")), len(lines))
    return " ".join(" ".join(line.split()) for line in lines[start:end])


def test_set_in_force_and_seen_stand_beside_each_other() -> None:
    """Three columns for three facts, and the time since the write."""
    lines = throttles(operated_frame())
    assert lines[0].split() == ["cell", "set", "in", "force", "seen", "since"]
    row = next(line for line in lines if "images/free" in line)
    assert row.split() == ["images/free", "T3", "30%", "30%", "31%", "4m"]


def test_who_why_until_when_and_then_what() -> None:
    """T5: all that is known of a throttle stands below it."""
    told = about(throttles(operated_frame()), "images/free")
    assert "ends in 25m45s, then admit 50% by 10 %/min" in told
    assert "by alice@example.com at 13:57:59Z: launch spike" in told
    assert "rev t-9" in told
    assert "seen of 1 280 requests/s" in told


def test_a_throttle_without_effect_has_a_mark_and_a_sentence() -> None:
    """S10: not seen to work after a minute; the shape differs, not the colour alone."""
    lines = throttles(operated_frame())
    row = next(line for line in lines if "images/team" in line)
    assert row.startswith(" ≠ images/team")
    assert "applied 30%, seen 97%: no effect seen, 4m after the write" in about(lines, "images/team")


def test_a_ramp_says_how_far_and_how_long() -> None:
    """What is in force now, where it goes, when it is there."""
    lines = throttles(operated_frame())
    row = next(line for line in lines if "images/plus" in line)
    assert row.split() == ["/", "images/plus", "T3", "30%", "52%", "ramp", "55%", "4m"]
    assert "ramping to admit 30% by 10 %/min, there in 2m12s" in about(lines, "images/plus")


def test_those_that_outlived_their_time_come_first() -> None:
    """Overdue, then without an end for more than a day, then the others."""
    frame = operated_frame()
    late = cell("images", "team", 0.3, ttl=-600)
    frame = replace(frame, throttles=(frame.throttles[0], late, *frame.throttles[2:]))
    lines = throttles(frame)
    assert "images/team" in lines[1]
    assert "overdue: should have ended 10m03s ago" in about(lines, "images/team")
    assert "no end, set 3d ago" in about(lines, "longctx/free")
    places = [
        next(n for n, line in enumerate(lines) if name in line)
        for name in ("images/team", "longctx/free", "images/plus", "images/free")
    ]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("state", "mark", "words"),
    [
        ("pending", "…", "pending: the plane has not confirmed that it is in force"),
        ("unknown", "?", "unknown: the plane cannot tell what is in force"),
        ("drifted", "≠", "drifted: set to admit 30%, in force 90%"),
    ],
)
def test_what_the_plane_is_not_sure_of_is_said(state: str, mark: str, words: str) -> None:
    """Never shown as if it were applied."""
    one = cell("images", "free", 0.3, state=state, effective=None if state == "unknown" else 0.9)
    lines = throttles(replace(operated_frame(), throttles=(one,)))
    assert next(line for line in lines if "images/free" in line).startswith(f" {mark} ")
    assert words in about(lines, "images/free")


def test_tiers_that_are_open_are_named_in_one_line() -> None:
    """Quiet when normal."""
    lines = throttles(operated_frame())
    assert "   images open to Pro" in [line.rstrip() for line in lines]
    plain = replace(operated_frame(), throttles=())
    assert "   images  not throttled anywhere" in [line.rstrip() for line in throttles(plain)]


def test_a_lifted_throttle_that_still_refuses_is_not_hidden() -> None:
    """Open by the plane, half refused by the gateway: somebody touched it, so it is told."""
    one = cell("images", "plus", 1.0)
    lines = throttles(replace(operated_frame(), throttles=(one,)))
    assert "applied 100%, seen 55%: they differ" in about(lines, "images/plus")
    untouched = Throttle("images", "plus", 1, "t", 1.0)
    lines = throttles(replace(operated_frame(), throttles=(untouched,)))
    assert all("images/plus" not in line for line in lines)


def test_nothing_is_seen_where_no_metric_tells() -> None:
    """A dot and the reason; never the level that was asked for."""
    told = about(throttles(operated_frame(), "aurora-5"), "longctx/team")
    assert " · 4m" in told
    assert "not seen: no metric tells features apart" in told


def test_a_release_shows_its_tiers_stages_checks_and_last_change() -> None:
    """Set, in force and seen of each tier; each check of the gate with its state; who moved it last."""
    frame = demo_frame()
    one = frame.releases[0]
    changed = replace(
        one,
        gate="closed",
        exposure=(*one.exposure[:2], Exposure("team", 0.25, 0.6), Exposure("free", 0.0)),
        stages=(*one.stages[:3], Stage("free", "free", 1.0, "auto", 1800)),
        checks=(
            Check("bake", "pending", "12m of 30m", AT + 603),
            Check("errors", "pass"),
            Check("p99", "fail"),
        ),
        pause_reason="operator",
        last_change=LastChange("a-2", "release.set_weight", "bob", "", AT - 90),
    )
    shown = text(page(replace(frame, releases=(changed,)), "aurora-5"))
    lines = [" ".join(line.split()) for line in section(shown, "RELEASE")]
    assert "≠ Team 25% 25% 60% 90s" in lines
    assert "applied 25%, seen 60%: they differ, 90s after the write" in lines
    assert "Free 0% 0% ·" in lines
    assert "not seen of Free: no metric observes it" in lines
    assert "› team         to 100%  manual" in shown
    assert "free         to 100%  auto, holds 30m00s" in shown
    assert "~ bake               pending  ready in 10m00s  12m of 30m" in shown
    assert "✔ errors             pass" in shown
    assert "✖ p99                fail" in shown
    assert "paused: operator" in shown
    assert "release.set_weight by bob at 14:00:41Z" in shown


def test_a_hold_is_told_by_what_is_left_of_it() -> None:
    """The plane's count is of when it last told: a minute later it contradicts the time that is left."""
    hold = Check("hold", "fail", "0 of 300 s", AT + 103)
    shown = gate_of(hold)
    assert "✖ hold               fail  ready in 1m40s" in shown
    assert "of 300 s" not in shown
    assert "✖ hold               fail  due" in gate_of(hold._replace(ready_at=AT - 2))
    assert "fail  0 of 300 s when last told" in gate_of(hold._replace(ready_at=None))
    assert "✔ hold               pass  300 of 300 s" in gate_of(
        hold._replace(state="pass", detail="300 of 300 s", ready_at=AT - 2)
    )


def gate_of(check: Check) -> str:
    frame = demo_frame()
    return text(page(replace(frame, releases=(replace(frame.releases[0], checks=(check,)),)), "aurora-5"))


def feature_page(frame: Frame, feature: str, width: int = 120, glyphs: str = "unicode") -> Page:
    model = feature_model(frame, feature)
    assert model is not None
    events = events_of(model, frame.events)
    badge = writes_badge("[ARMED alice 09:12 left]")
    return Page(
        frame, model, frame.at, events, lambda *_: None, width, GLYPHS[glyphs], kind="feature", writes=badge
    )


def test_a_feature_has_a_page() -> None:
    """Its stages as set and seen, its throttles in every tier, the models that serve it, what happened."""
    shown = feature_page(operated_frame(), "deep-research", 100)
    header = [line.text.rstrip() for line in model_header(shown)]
    assert header[0] == (" deep-research  ┃PROD/us-east┃  [ARMED alice 09:12 left]  SIMULATED  feature")
    assert "●Pro──●Plus──●Team──◐Free 5%" in header[1]
    lines = "\n".join(line.text.rstrip() for line in feature_page_lines(shown))
    assert ["Free", "5%", "5%", "3%", "10m"] in [line.split() for line in lines.splitlines()]
    assert "deep-research  not throttled anywhere" in lines
    assert "aurora-5" in lines.split("MODELS")[1]
    assert "advance, stage free@5, reason: p99 ok" in lines
    images = feature_page_lines(feature_page(operated_frame(), "images"))
    words = "\n".join(line.text for line in images)
    assert "no release opens this feature in stages" in words
    assert "images/team" in words
    assert "delta-code" in words and "cirrus-vision" in words
    assert feature_model(operated_frame(), "nothing") is None


@pytest.mark.parametrize(
    "make", [operated_frame, worst_operated_frame, worst_frame], ids=lambda make: make.__name__
)
@pytest.mark.parametrize("glyphs", sorted(GLYPHS))
def test_every_line_is_exactly_as_wide_as_its_page(make: Callable[[], Frame], glyphs: str) -> None:
    """T4: eight tiers, CJK, names of any length; at any width."""
    frame = make()
    for width in WIDTHS:
        for one in (frame.models[0], frame.models[-1]):
            shown = page(frame, one.name, width=width, glyphs=GLYPHS[glyphs])
            for line in (*model_header(shown), *model_lines(shown)):
                assert width_of(line.text) == width, (width, line.text)
        for feature in frame.features[:3]:
            shown = feature_page(frame, feature.id, width, glyphs)
            for line in (*model_header(shown), *feature_page_lines(shown)):
                assert width_of(line.text) == width, (width, line.text)


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_no_name_and_no_warning_is_cut(width: int) -> None:
    """What a key would act on, and what is wrong with it, are whole at any width."""
    frame = operated_frame()
    long = "a-feature-with-a-name-that-is-as-long-as-an-id-may-be-63-chars-"
    one = replace(cell(long, "team", 0.3, ttl=1548), feature=long)
    model = replace(frame.models[4], features=(long,), cells={long: frame.models[4].cells["images"]})
    frame = replace(frame, models=(model,), throttles=(one,))
    shown = [line.text for line in model_lines(page(frame, model.name, width=width))]
    half = width // 2 if width >= 140 else 0
    words = "".join(line[half:].strip() + " " for line in shown) if half else " ".join(map(str.strip, shown))
    flat = " ".join(words.split())
    assert f"{long}/team" in flat.replace(" ", "") or f"{long}/team" in flat
    assert "applied 30%, seen 97%: no effect seen" in flat
    assert "ends in 25m45s, then admit 100% by 10 %/min" in flat


def test_ascii_pages_hold_ascii_only() -> None:
    """The whole glyph set switches."""
    frame = operated_frame()
    assert text(page(frame, "delta-code", glyphs=ASCII)).isascii()
    shown = feature_page(frame, "images", glyphs="ascii")
    assert all(line.text.isascii() for line in (*model_header(shown), *feature_page_lines(shown)))


def test_a_row_stands_for_ids() -> None:
    """S7: what a dialog opens for is named by ids, never by a row."""
    frame = operated_frame()
    assert selected_model(frame, "aurora-5") == ("aurora-5", "", "", "aurora-5-rollout")
    assert selected_feature(frame, "deep-research") == ("", "deep-research", "", "deep-research-rollout")
    assert selected_feature(frame, "images") == ("", "images", "", "")
    assert selected_alert(frame, "a2") == ("aurora-5", "", "team", "aurora-5-rollout")
    assert selected_alert(frame, "nothing") == ("", "", "", "")


def test_a_feature_and_a_model_of_one_name_keep_their_releases_apart() -> None:
    """The page of each finds its own."""
    frame = operated_frame()
    twin = replace(feature_release(), subject="aurora-5", id="twin")
    frame = replace(frame, releases=(twin, *frame.releases))
    found = page(frame, "aurora-5").release
    assert found is not None and found.id == "aurora-5-rollout"
    assert selected_model(frame, "aurora-5").release == "aurora-5-rollout"
    assert selected_feature(frame, "aurora-5").release == "twin"
