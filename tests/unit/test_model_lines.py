"""The model page without an application: every reading with its quality, and why a cell is empty."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.fleet import Event, EventKind, Frame
from collectors.readings import NEVER, Interval, Quality, Reading, Reason, reading
from collectors.text import clean
from tests.cluster_frames import DRIFTING, clusters_frame, having, having_in, little
from tests.frames import AT, HOSTILE, bare_frame, demo_frame, stale, worst_frame
from tests.newcomer_frames import mixed_frame
from tui.format import ASCII, GLYPHS, UNICODE, Glyphs, width_of
from tui.screens.model_lines import events_of, model_header, model_lines
from tui.screens.page import Page
from tui.screens.readings import amount, explained, reading_row, wrapped
from tui.screens.trends import Span

WIDTHS = (20, 40, 60, 80, 100, 120, 139, 140, 200, 300)


def page(frame: Frame, name: str, *, width: int = 120, glyphs: Glyphs = UNICODE, tier: str = "") -> Page:
    """The page of one model, without any past."""
    model = next(m for m in frame.models if m.name == name)
    events = events_of(model, frame.events)
    return Page(frame, model, frame.at + 3, events, lambda signal, parts: None, width, glyphs, tier)


def text(shown: Page) -> str:
    """Header and page as the terminal shows them, without colours."""
    return "\n".join(line.text for line in (*model_header(shown), *model_lines(shown)))


def hostile_features() -> Frame:
    """Features with names that break naive screens, and numbers of every kind."""
    frame = clusters_frame()
    wanted = list(frame.models[0].by_feature.values())
    named = {clean(name): wanted[n % 3] for n, name in enumerate(HOSTILE)}
    return replace(frame, models=(replace(frame.models[0], by_feature=named), *frame.models[1:]))


@pytest.mark.parametrize(
    "make",
    [demo_frame, bare_frame, worst_frame, clusters_frame, hostile_features],
    ids=lambda make: make.__name__,
)
@pytest.mark.parametrize("glyphs", sorted(GLYPHS))
def test_every_line_is_exactly_as_wide_as_the_page(make: Callable[[], Frame], glyphs: str) -> None:
    """T4: at any width, for any model, hostile names included."""
    frame = make()
    for width in WIDTHS:
        for model in frame.models:
            shown = page(frame, model.name, width=width, glyphs=GLYPHS[glyphs])
            for line in (*model_header(shown), *model_lines(shown)):
                assert width_of(line.text) == width, (width, line.text)


def test_ascii_pages_hold_ascii_only() -> None:
    """The whole glyph set switches."""
    assert text(page(demo_frame(), "delta-code", glyphs=ASCII)).isascii()


def test_the_header_says_what_the_model_is_and_how_far_it_is_open() -> None:
    """Name, context, badges, size; then each tier's share, the stage, phase, gate and revision."""
    shown = text(page(demo_frame(), "delta-code")).splitlines()
    assert " ".join(shown[0].split()) == "delta-code ┃PROD/us-east┃ SIMULATED 256 accelerators serves chat"
    assert "●Pro──●Plus──●Team──◐Free 25%" in shown[1]
    assert "stage 4 of 4  progressing" in shown[1]
    assert "gate open   rev m-17" in shown[1]


def test_each_tier_is_held_against_what_it_was_promised() -> None:
    """D18: breach and straddle have marks of their own; the limit stands in the bar beside the value."""
    lines = {line.split()[1]: line for line in text(page(demo_frame(), "delta-code")).splitlines()[3:8]}
    assert lines["Pro"].startswith(" »")
    assert lines["Plus"].startswith(" ≈")
    assert lines["Free"].startswith(" ■")
    assert "≈14.9     6.0 s  ████████████│███»" in lines["Free"]


def test_the_tier_of_an_alert_is_pointed_at() -> None:
    """D6: who opens an alert sees which tier it meant."""
    lines = text(page(demo_frame(), "delta-code", tier="team")).splitlines()
    assert [line.split()[1] for line in lines if line.startswith("›")] == ["Team"]


def test_capacity_is_unknown_and_says_why() -> None:
    """Headroom and saturation are not guessed."""
    shown = text(page(demo_frame(), "delta-code"))
    for title in ("saturation (rho)", "headroom"):
        line = next(line for line in shown.splitlines() if line.strip().startswith(title))
        why = " ".join(line.split(title)[1].split())
        assert why == "? needs the capacity model, not in this version"


def test_a_lost_source_leaves_reasons_not_numbers() -> None:
    """D10: nothing frozen, nothing zero; the reason stands where the value was and once for all below."""
    shown = text(page(demo_frame(), "fable-voice"))
    busy = next(line for line in shown.splitlines() if "accelerator busy time" in line)
    assert busy.split()[3:5] == ["--", "no"]
    assert "missing   no sample for 94 s: accelerator busy time" in shown
    assert "0.4" not in shown


def test_stale_values_are_marked_and_explained() -> None:
    """A value some scrapes late stays, with `~`, its age and its reason."""
    frame = demo_frame()
    late = replace(frame, models=tuple(stale(m) for m in frame.models))
    shown = text(page(late, "delta-code"))
    busy = next(line for line in shown.splitlines() if "accelerator busy time" in line)
    assert busy.split()[3:] == ["~96%", "30s", "31", "s", "old,", "expected", "every", "10", "s"]


def test_without_a_plane_it_says_how_to_get_one() -> None:
    """Throttles and release: what is missing and what to give, not an empty section."""
    shown = text(page(bare_frame(), "qwen-2"))
    assert shown.count("no control plane: give --plane URL") == 3
    assert "no metric tells tiers apart: map one in [contexts.default.identity]" in shown


def test_events_are_those_of_the_model_and_its_features() -> None:
    """Newest first; a cell `feature/tier` counts for the feature."""
    frame = demo_frame()
    model = replace(frame.models[0], features=("images",))
    assert [e.subject for e in events_of(model, frame.events[::-1])] == [
        "images/free",
        "aurora-5",
        "aurora-5",
    ]
    other = Event(AT, EventKind.NOTE, "ctl", "imagesx", "no")
    assert events_of(model, (other,)) == ()


def test_wide_pages_stand_in_two_columns() -> None:
    """From 140 cells on throttles and release are beside the readings, so that 40 rows hold the page."""
    narrow, wide = (text(page(demo_frame(), "delta-code", width=w)).splitlines() for w in (139, 140))
    assert len(wide) < len(narrow) - 8
    assert any("SERVING" in line and "THROTTLES" in line for line in wide)


@pytest.mark.parametrize(
    ("signal", "value", "shown"),
    [
        ("busy_ratio", 0.93, "93%"),
        ("errors", 0.0002, "0.02%"),
        ("power_w", 812.0, "812W"),
        ("power_w", 37_100.0, "37.1kW"),
        ("power_w", 3_771_600.0, "3.8MW"),
        ("temperature_c", 61.0, "61°C"),
        ("tokens_out", 12_340.0, "12.3k/s"),
        ("preemptions", 0.2, "0.2/s"),
        ("waiting", 1812.0, "1 812"),
        ("token_gap_p99", Interval(0.04, 0.05, 0.041), "≈41ms"),
        ("token_gap_p99", Interval(0.0, 0.04, 0.02), "<40ms"),
        ("first_token_p99", Interval(2.5, 5.0, 3.9), "≈3.9s"),
        ("first_token_p99", Interval(60.0, float("inf"), 60.0), "≥60s"),
        ("first_token_p99", 0.25, "250ms"),
    ],
)
def test_amounts_have_their_unit(signal: str, value: float | Interval, shown: str) -> None:
    """Each signal in the unit an operator thinks in."""
    assert amount(signal, value, UNICODE) == shown


def test_a_row_shows_trend_age_and_coverage() -> None:
    """Value with the sign of a part, range of ten minutes, spark, age, targets that answered."""
    one = reading("kv_ratio", 0.93, AT, coverage=(57, 58))
    span = Span(0.6, 0.94, (-1.0,) * 6 + (0.6, 0.7, 0.8, 0.9, 0.93, 0.94))
    row = "".join(cell.text for cell in reading_row("kv_ratio", one, span, AT + 4, 120, UNICODE))
    assert row.split() == ["KV", "cache", "used", "93%*", "60%..94%", "······▅▅▆▇▇▇", "4s", "57/58"]


def test_reasons_are_told_once_with_all_they_concern() -> None:
    """One cause, one entry: signals of the model first, then those that tiers miss in common."""
    gone = Reading(None, None, Quality.MISSING, Reason("no-metric", ("vllm", "it")))
    found = explained(
        [
            ("power_w", "", gone),
            ("kv_ratio", "", reading("kv_ratio", 0.5, AT)),
            ("waiting", "Pro", gone),
            ("waiting", "Free", gone),
            ("arrivals", "Pro", gone),
            ("arrivals", "Free", gone),
            ("served", "Free", gone),
            ("errors", "", NEVER),
        ]
    )
    assert found == [
        (
            "missing",
            "vllm exports no it: accelerator power; of Pro, Free: waiting, arrivals; of Free: served",
        ),
        ("missing", "no sample yet: errors"),
    ]


@given(st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=200), st.integers(2, 60))
def test_wrapped_text_fits_and_loses_no_word(words: str, width: int) -> None:
    """Any cleaned text, in any script, in any width: no line is wider, every letter stays."""
    lines = wrapped(words, width)
    assert all(width_of(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(words.split())


def line_with(shown: str, words: str) -> str:
    """The first line that has these words."""
    return next(line for line in shown.splitlines() if words in line)


def test_features_show_their_share_of_the_demand() -> None:
    """Whose requests these are: a bar, the rate, the wait as marked as everywhere, and what no rule names."""
    shown = text(page(clusters_frame(), "aurora-5"))
    rows = {line.split()[0]: line.split()[1:] for line in shown.split("FEATURES")[1].splitlines()[2:6]}
    assert rows["chat"] == ["████████····", "64%", "410", "≈0.5'", "0", "3s"]
    assert rows["image-generation"] == ["████········", "33%", "212", "p95", "3.8", "14.2", "3s"]
    assert rows["voice"] == ["············", "0%", "3.1", "few", "0", "3s"]
    assert rows["other"][1:3] == ["2%", "14.7"]


def test_shares_are_of_what_is_known() -> None:
    """All that arrives leaves no remainder; nor does a feature that nobody counts, which has no share."""
    frame = clusters_frame()
    found = frame.models[0].by_feature
    total = sum(one["arrivals"].estimate or 0 for one in found.values())

    def shown(arrivals: float | None, lacking: bool) -> str:
        features = {**found, "voice": {}} if lacking else found
        whole = reading("arrivals", arrivals, AT) if arrivals is not None else NEVER
        model = replace(having(frame.models[0], arrivals=whole), by_feature=features)
        return (
            text(page(replace(frame, models=(model,)), model.name)).split("FEATURES")[1].split("THROTTLES")[0]
        )

    assert "other" not in shown(total * 1.005, False)
    assert "other" in shown(total * 1.02, False)
    assert "66%" in shown(None, False)
    assert "other" not in shown(None, False)
    assert "64%" in shown(640, True)
    assert "other" not in shown(640, True)
    assert "%" not in shown(None, True)
    assert shown(None, True).count("?") == 2


def test_without_features_one_line_says_how_to_get_them() -> None:
    """The table to write, by its name."""
    shown = text(page(demo_frame(), "delta-code"))
    assert (
        "no features: map a label in [[contexts.us-east.identity.features]], by label, regex and feature"
        in shown
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("aurora-5", "= 4% off  grade A: 812 in engines now, 780 by rate x time"),
        ("boreal-4", "≃ 18% off  grade B: 812 in engines now, 666 by rate x time"),
        ("cirrus-vision", "≠ 41% off  suspect: 812 in engines now, 479 by rate x time"),
        ("triton-embed", "?  changing too fast for Little's law"),
    ],
)
def test_little_shows_what_was_counted_and_what_the_law_says(name: str, said: str) -> None:
    """Both numbers, how far they are apart, and the grade; in full below where they are suspect."""
    shown = text(page(clusters_frame(), name))
    assert line_with(shown, "   Little's law").split("Little's law", 1)[1].strip() == said
    assert ("suspect ≠ Little's law is off by 41 %" in shown) == (name == "cirrus-vision")
    assert "Little" not in text(page(demo_frame(), "delta-code"))


def test_little_says_where_its_scale_ends() -> None:
    """999 % is a number; more than that is not 999 %."""
    beyond = reading("little_error", 11.46, AT, Quality.SUSPECT, Reason("little", (1146,)))
    frame = clusters_frame()
    frame = replace(frame, models=(having(frame.models[0], little_error=beyond), *frame.models[1:]))
    for width in (60, 120):
        line = next(
            row for row in text(page(frame, "aurora-5", width=width)).splitlines() if "Little's" in row
        )
        assert "≠ >999% off  suspect" in line


def test_a_model_that_tells_no_tiers_has_a_row_of_its_own() -> None:
    """No row of nothing for the tiers of others; a model that tells them has both, and each reason once."""
    mixed = text(page(mixed_frame(), "sglang-mix")).splitlines()
    queue = mixed.index(next(row for row in mixed if "QUEUE" in row))
    assert mixed[queue + 2].split()[:4] == ["All", "--", "--", "≈9.0"]
    assert "FEATURES" in mixed[queue + 3]
    told = text(page(mixed_frame(), "llama-3-70b"))
    assert [line.split()[0] for line in told.splitlines()[4:9]] == ["prio", "prio", "prio", "prio", "All"]
    assert "of All: waiting" not in told


def test_few_a_second_stand_in_the_queue() -> None:
    """A request each minute is no zero."""
    quiet = having_in(demo_frame().models[0], "pro", arrivals=reading("arrivals", 0.013, AT))
    line = text(page(replace(demo_frame(), models=(quiet,)), quiet.name)).splitlines()[4]
    assert "<0.1" in line.split()


def test_one_replica_is_not_replicas() -> None:
    """Grammar, and of two it says how many there should be."""
    one = replace(
        bare_frame(),
        models=(
            having(
                bare_frame().models[0],
                replicas=reading("replicas", 1, AT),
                accelerators=reading("accelerators", 1, AT),
            ),
        ),
    )
    assert "1 accelerator  1 replica " in text(page(one, "llama-3-70b")).splitlines()[0]


def test_little_fits_a_narrow_page() -> None:
    """At 80 cells both numbers are there."""
    for name, both in (("aurora-5", "812 in engines, 780 rate x time"), ("cirrus-vision", "479 rate x time")):
        assert both in line_with(text(page(clusters_frame(), name, width=80)), "Little's law ")
    lone = clusters_frame().models[0]
    bare = replace(lone, readings={"little_error": little(0.02)})
    frame = replace(
        clusters_frame(), models=(bare, replace(bare, name="b", readings={"little_error": DRIFTING}))
    )
    assert line_with(text(page(frame, lone.name)), "Little's law").rstrip().endswith("= 2% off  grade A")


def test_busy_stands_beside_the_work_it_does() -> None:
    """98 % busy with 4 % of the tensor cores is waste, and seen as such."""
    shown = text(page(clusters_frame(), "aurora-5")).splitlines()
    assert "38/40 replicas  busy 98%, tensor 4%" in shown[0]
    place = next(n for n, line in enumerate(shown) if "accelerator busy time" in line)
    assert shown[place + 1].split()[:4] == ["tensor", "cores", "active", "4%"]


def test_answers_of_each_tier_stand_beside_its_waits() -> None:
    """At every width from 80 on; where nothing measures them, there is no column."""
    for width in (80, 100, 120, 140, 200):
        shown = text(page(clusters_frame(), "aurora-5", width=width))
        assert "ans p50 ans p99" in shown, width
        assert "≈4.4" in line_with(shown, " Free ")
        assert "≈24.0" in line_with(shown, " Free ")
    assert "ans p" not in text(page(demo_frame(), "delta-code"))


def test_what_too_few_observations_allow_is_marked_and_explained() -> None:
    """The p95 by its word, a longer window by a quiet mark, none by `few`; each in a sentence below."""
    shown = text(page(clusters_frame(), "boreal-4"))
    assert "p95 0.2" in line_with(shown, " Pro ") or "p0.2" in line_with(shown, " Pro ")
    assert "few" in line_with(shown, " Plus ")
    assert "≈0.9'" in line_with(shown, " Team ")
    assert "good p    the p95: 412 observations in 60 s, a p99 needs 1000: of Pro: queue wait p99" in shown
    assert "good '    over 300 s, to have 1012 observations: of Team: queue wait p99" in shown
    assert "missing   37 observations in 300 s: a quantile needs 200: of Plus: queue wait p99" in shown


def test_a_mean_in_the_column_of_the_p99_says_so() -> None:
    """Nothing promised is held against it."""
    pro = line_with(text(page(clusters_frame(), "triton-embed")), " Pro ")
    assert "avg 0.4" in pro
    assert "│" not in pro


def test_a_release_that_is_only_seen_says_why() -> None:
    """Shown with its stages, and why nothing can be done; no gate and no revision that it does not have."""
    shown = text(page(clusters_frame(), "aurora-5"))
    assert "nothing can be done to it from here: Argo Rollouts is seen by its metrics alone" in shown
    assert "only seen from here" in shown.splitlines()[1]
    assert "rev" not in shown.splitlines()[1]


def test_a_model_of_a_cluster_finds_its_release_and_its_events() -> None:
    """Both go by the model's own name."""
    frame = demo_frame()
    model = replace(frame.models[0], name="aurora-5@eu", cluster="eu", features=())
    shown = page(replace(frame, models=(model,)), "aurora-5@eu")
    assert "stage 3 of 4" in text(shown)
    assert [event.subject for event in shown.events] == ["aurora-5", "aurora-5"]
    assert ("@eu", "muted") in model_header(shown)[0].cells


def test_the_last_ten_minutes_of_each_tier_are_drawn_where_they_fit() -> None:
    """From the store, the past before anybody watched included."""
    shown = replace(page(demo_frame(), "delta-code", width=140), waits=lambda tier, parts: (1.0,) * parts)
    assert line_with(text(shown), " Free ").rstrip().endswith("▂" * 12)
    narrow = replace(shown, width=80)
    assert "10m p99" not in text(narrow)
