"""The fleet table: what each state looks like, which columns fit, how it sorts, what it keeps."""

from dataclasses import replace

import pytest

from collectors.fleet import Alert, Frame, Model, Severity, SourceState, Throttle, Tier
from collectors.readings import Quality, Reading, Reason, reading
from tests.cluster_frames import FEW, clusters_frame, having, having_in, little, p95, served_by, with_means
from tests.frames import (
    AT,
    OBJECTIVES,
    TIERS,
    bare_frame,
    big_frame,
    demo_frame,
    following,
    healthy_frame,
    lost,
    model,
    release,
    stale,
)
from tests.operated_frames import cell, operated_frame
from tui.format import ASCII, UNICODE, Glyphs
from tui.store import History
from tui.widgets.fleet_columns import fleet_columns
from tui.widgets.fleet_row import NO_ALERTS, RowCache, alerts_by_model, has_no_data, severity_of
from tui.widgets.fleet_table import FEATURE, SORTS, FleetView, fleet_lines
from tui.widgets.lines import Line

CALM = ((0.2, 0.3, 0.25), (0.4, 0.5, 0.45), (0.8, 1.0, 0.9), (1.3, 1.6, 1.4))
COLOURED = {"p1", "p2", "p3", "breach", "missing", "suspect", "shelved", "fault", "thermal", "idle", "lost"}


BY_NAME = FleetView()


def drawn(frame: Frame, width: int, view: FleetView = BY_NAME, glyphs: Glyphs = UNICODE) -> tuple[Line, ...]:
    """The table of a frame that was the only one so far."""
    history = History()
    history.add(frame)
    return fleet_lines(frame, history, view, width, glyphs)


def row(frame: Frame, width: int, id: str) -> Line:
    """One row of it."""
    return next(line for line in drawn(frame, width) if line.id == id)


def one(*models: Model, **changes: object) -> Frame:
    """A frame of these models and nothing else in the way."""
    return replace(healthy_frame(), models=models, releases=(), **changes)  # type: ignore[arg-type]  # a Frame's fields


def test_a_healthy_fleet_has_no_colour() -> None:
    """D1, D3: accelerators at 100 % and a full pool are on target, not alarming."""
    for width in (40, 80, 120, 200, 300):
        assert not {cell.role for line in drawn(healthy_frame(), width) for cell in line.cells} & COLOURED


def test_a_bare_fleet_has_no_colour_either() -> None:
    """What was never measured is no alarm, and the table says how to get an objective."""
    lines = drawn(bare_frame(), 120)
    assert not {cell.role for line in lines for cell in line.cells} & COLOURED
    assert "no objective: set one in [contexts.us-east.objectives]" in lines[3].text


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
@pytest.mark.parametrize("width", [80, 120, 200])
def test_all_states_differ_without_colour(width: int, glyphs: Glyphs) -> None:
    """D2: a model in each state, drawn without roles: no two rows look the same."""
    breach = model("m", ((2.5, 3.2, 2.9), *CALM[1:]))
    states = {
        "well": (model("m", CALM), ()),
        "straddles": (model("m", ((1.9, 2.4, 2.1), *CALM[1:])), ()),
        "over": (breach, ()),
        "p1": (breach, (Alert("a", Severity.P1, "m", "pro", AT, ""),)),
        "p2": (breach, (Alert("a", Severity.P2, "m", "pro", AT, ""),)),
        "p3": (breach, (Alert("a", Severity.P3, "m", "", AT, ""),)),
        "stale": (stale(model("m", CALM)), ()),
        "lost": (lost(model("m", CALM)), ()),
        "throttled": (model("m", CALM, throttle=0.3), ()),
        "unthrottled?": (model("m", CALM, throttle=None), ()),
        "idle": (model("m", CALM, busy=0.05, waiting=9), ()),
    }
    texts = {
        state: drawn(one(found, alerts=alerts), width, glyphs=glyphs)[1].text
        for state, (found, alerts) in states.items()
    }
    assert len(set(texts.values())) == len(states), texts


def test_one_tier_in_breach_is_seen_at_every_width() -> None:
    """D5: one tier at three times its objective among idle ones, never averaged away."""
    frame = one(model("m", (*CALM[:3], (17.0, 20.0, 18.0))))
    for width in range(32, 301):
        line = row(frame, width, "m")
        assert "18.0" in line.text, width
        assert any(cell.role == "breach" and "18.0" in cell.text for cell in line.cells)
        assert "»" in line.text


def test_the_worst_tier_is_the_one_nearest_its_promise() -> None:
    """Team at 2.8 of 3.0 is worse than free at 4 of 6."""
    assert (
        "Te   ≈2.8/3.0" in row(one(model("m", (*CALM[:2], (2.5, 2.9, 2.8), (3.0, 5.0, 4.0)))), 80, "m").text
    )


def test_a_breach_beats_a_higher_share_that_decides_nothing() -> None:
    """D18: a bucket that spans its objective is no breach, however high its estimate."""
    line = row(one(model("m", ((1.0, 9.0, 5.0), (3.1, 3.4, 3.2), *CALM[2:]))), 80, "m")
    assert "Pl   ≈3.2/3.0" in line.text
    assert line.cells[1].text == "»"


def test_a_straddling_bucket_is_marked_and_not_coloured() -> None:
    """D18: ≈, no alarm."""
    line = row(one(model("m", ((1.9, 2.4, 2.1), *CALM[1:]))), 120, "m")
    assert line.cells[1].text == "≈"
    assert not {cell.role for cell in line.cells} & COLOURED


def test_quantiles_widen_with_the_screen() -> None:
    """D18: below 200 cells the estimate, from there the bucket."""
    frame = one(model("m", ((2.5, 3.2, 2.6), *CALM[1:])))
    assert "≈2.6" in row(frame, 199, "m").text
    assert "2.6 (2.5-3.2)" in row(frame, 200, "m").text


def test_the_ends_of_the_scale_say_so() -> None:
    """Below the first bucket and past the last there is no estimate to show."""
    line = row(one(model("m", ((60.0, float("inf"), 60.0), (0.0, 0.3, 0.1), *CALM[2:]))), 120, "m").text
    assert "≥60" in line
    assert "<0.3" in line
    assert "inf" not in line


def test_stale_values_are_dim_and_lost_ones_are_gone() -> None:
    """D10: a stale number carries `~`; past five intervals only the age is left."""
    late = row(one(stale(model("m", CALM))), 120, "m")
    assert "~85%" in late.text
    assert "~0.9" in late.text
    assert {cell.role for cell in late.cells if "~0.9" in cell.text} == {"stale"}
    gone = row(one(lost(model("m", CALM))), 80, "m").text
    assert "~ no data 90s" in gone
    narrow = row(one(stale(model("m", CALM))), 80, "m").text
    assert "Te   ~0.9/3.0  ~ 30s old" in narrow
    assert "85%" not in gone
    assert "T" not in gone


def test_a_stale_value_is_never_judged() -> None:
    """No colour comes from stale data."""
    line = row(one(stale(model("m", ((20.0, 30.0, 25.0), *CALM[1:])))), 120, "m")
    assert "breach" not in {cell.role for cell in line.cells}


def test_a_stalled_queue_is_worst_of_all() -> None:
    """Requests wait and none leaves: there is no number, and no number is needed."""
    stuck = model("m", CALM)
    readings = {"queue_wait_p99": Reading(None, AT, Quality.MISSING, Reason("stalled", (41,)))}
    stuck = replace(stuck, tiers={**stuck.tiers, "plus": readings})
    line = row(one(stuck), 80, "m")
    assert "Pl  stall/3.0" in line.text
    assert line.cells[1].text == "»"


def test_while_rates_collect_the_row_says_so() -> None:
    """A rate needs four scrapes."""
    young = model("m", CALM)
    collecting = {"queue_wait_p99": Reading(None, AT, Quality.MISSING, Reason("collecting", (2, 4)))}
    young = replace(young, tiers=dict.fromkeys(young.tiers, collecting))
    assert "collecting 2/4" in row(one(young), 80, "m").text
    assert "…" in row(one(young), 120, "m").text
    odd = {"queue_wait_p99": Reading(None, AT, Quality.MISSING, Reason("collecting"))}
    assert row(one(replace(young, tiers=dict.fromkeys(young.tiers, odd))), 80, "m").text


def test_an_idle_accelerator_with_a_queue_is_marked() -> None:
    """D3: busy 5 % is abnormal only while requests wait."""
    waiting = row(one(model("m", CALM, busy=0.05, waiting=9)), 80, "m")
    assert ("i 5%", "idle") in waiting.cells
    assert "idle" not in {cell.role for cell in row(one(model("m", CALM, busy=0.05)), 80, "m").cells}


def test_headroom_without_a_capacity_model_is_unknown_not_a_number() -> None:
    """The reason is on the model screen; here it is a dim question mark."""
    assert ("   ?", "unknown") in row(demo_frame(), 80, "aurora-5").cells


def test_stages_follow_the_release() -> None:
    """Released, partial, paused by an operator, closed, and no release at all."""
    paused = replace(release("m", (1, 0.5, 0, 0), phase="paused"), pause_reason="operator")
    frame = replace(one(model("m", CALM), model("n", CALM)), releases=(paused,))
    assert "● ◇ ○ ○    50" in row(frame, 80, "m").text
    assert "– – – –     –" in row(frame, 80, "n").text
    waits = replace(paused, pause_reason="gate")
    assert "● ◐ ○ ○    50" in row(replace(frame, releases=(waits,)), 80, "m").text
    assert "●Pro─◐Plus─○Team─○Free" in row(replace(frame, releases=(waits,)), 200, "m").text


def test_the_objective_stands_below_its_tier() -> None:
    """D4: limit beside value; a model with others is named."""
    line = next(line.text for line in drawn(demo_frame(), 120) if "SLO p99" in line.text)
    assert line.split() == ["SLO", "p99,", "s", "(embed-2:", "1.0)", "2.0", "3.0", "3.0", "6.0"]
    heading = drawn(demo_frame(), 120)[0].text
    assert line.index("6.0") + 3 == heading.index("Free p99") + 8


def test_features_with_a_release_have_rows() -> None:
    """T5: the lowest level among a feature's tiers; unknown wins over a guess."""
    line = row(demo_frame(), 120, FEATURE + "longctx").text
    assert "● ● ● ◐    50" in line
    assert line.rstrip().endswith("T2")
    unknown = replace(demo_frame(), throttles=(Throttle("longctx", "free", 1, "t", None),))
    assert row(unknown, 120, FEATURE + "longctx").text.rstrip().endswith("?")


def test_features_that_somebody_throttles_have_rows() -> None:
    """A row for each feature with a release or a throttle in force, and for no other; all can be selected."""
    frame = operated_frame()
    ids = [line.id for line in drawn(frame, 120) if line.id.startswith(FEATURE)]
    assert ids == [FEATURE + "deep-research", FEATURE + "images", FEATURE + "longctx"]
    assert row(frame, 120, FEATURE + "images").text.split()[1:5] == ["–", "–", "–", "–"]
    opened = replace(frame, throttles=tuple(replace(t, level=1.0, state="applied") for t in frame.throttles))
    ids = [line.id for line in drawn(opened, 120) if line.id.startswith(FEATURE)]
    assert ids == [FEATURE + "deep-research", FEATURE + "longctx"]


def test_a_feature_that_gets_a_row_moves_no_column_away() -> None:
    """A throttle in mid-incident: whatever its feature's name is long, the table has the columns it had."""
    plain = healthy_frame()
    throttled = replace(plain, throttles=(*plain.throttles, cell("image-generation", "free", 0.3)))
    for width in range(40, 260):
        before, after = (drawn(frame, width)[0].text.split() for frame in (plain, throttled))
        assert len(before) == len(after), (width, before, after)
    assert " image-generation " in row(throttled, 200, FEATURE + "image-generation").text


def test_a_filter_of_features_counts_what_it_leaves() -> None:
    """D13: a throttle on a row that is filtered away still counts."""
    shown = drawn(operated_frame(), 80, FleetView(filter="long"))
    heading = next(line.text for line in shown if "FEATURES" in line.text)
    assert "FEATURES 1 of 3" in heading


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_a_throttle_on_its_way_is_marked(width: int) -> None:
    """T5: the exact level in force and the mark of a ramp, though the column is three cells."""
    ramping = (cell("chat", "free", 0.3, state="ramping", effective=0.42, ramp=0.1),)
    frame = replace(one(model("m", CALM, throttle=0.42)), throttles=ramping)
    assert row(frame, width, "m").text.rstrip().endswith("42/")
    assert row(frame, width, FEATURE + "chat").text.rstrip().endswith("42/")
    lower = (*ramping, cell("chat", "pro", 0.1))
    frame = replace(one(model("m", CALM, throttle=0.1)), throttles=lower)
    assert row(frame, width, "m").text.rstrip().endswith("T4")


def test_exact_levels_are_shown_exactly() -> None:
    """T5: a level between the presets keeps its number."""
    assert row(one(model("m", CALM, throttle=0.37)), 80, "m").text.rstrip().endswith("37%")


def test_tiers_that_do_not_fit_are_counted() -> None:
    """D13: with eight tiers on 120 cells some have no column; the heading says how many."""
    lines = drawn(big_frame(3, 8, 8), 120)
    assert "WORST p99/SLO" in lines[0].text
    assert "+5" in lines[0].text
    assert "Tier2" in lines[0].text
    assert "Tier3" not in lines[0].text


def test_columns_drop_in_the_order_of_t1() -> None:
    """T1: as the screen narrows, each column goes after those right of it in the list have gone."""
    order = ["worst", "stage", "throttle", "headroom", "weight", "busy", "spark", "tier", "accelerators"]
    last_seen = {}
    for width in range(30, 200):
        for column in fleet_columns(width, TIERS, 14).all:
            last_seen.setdefault("stage" if column.id == "track" else column.id, width)
    widths = [last_seen[id] for id in order]
    assert widths == sorted(widths), last_seen


def test_every_size_fits_exactly() -> None:
    """T4: no line exceeds any width, for one to eight tiers."""
    for tiers in range(1, 9):
        frame = big_frame(3, tiers, 8)
        for width in range(20, 300, 7):
            assert all(len(line.text) <= width for line in drawn(frame, width)), (tiers, width)


def test_sorting_puts_the_largest_first_and_ties_by_name() -> None:
    """Every sort that is offered works, both ways."""
    frame = demo_frame()
    for sort in SORTS:
        down = [line.id for line in drawn(frame, 120, FleetView(sort)) if line.id and ":" not in line.id]
        up = [line.id for line in drawn(frame, 120, FleetView(sort, True)) if line.id and ":" not in line.id]
        assert sorted(down) == sorted(up)
        assert down != up
    assert [line.id for line in drawn(frame, 120, FleetView("severity"))][1:4] == [
        "delta-code",
        "aurora-5",
        "fable-voice",
    ]
    assert [line.id for line in drawn(frame, 120, FleetView("worst"))][1:3] == ["delta-code", "aurora-5"]


def test_a_held_order_stays_whatever_the_sort_says() -> None:
    """D12: nothing moves while it is held; a model that is new comes last."""
    view = FleetView("worst", order=("embed-2", "aurora-5"))
    assert [line.id for line in drawn(demo_frame(), 120, view)][1:4] == ["embed-2", "aurora-5", "delta-code"]


def test_a_filter_counts_what_it_hides() -> None:
    """D13: the heading tells how many there are."""
    lines = drawn(demo_frame(), 120, FleetView(filter="AURORA"))
    assert [line.id for line in lines if line.id] == ["aurora-5", "aurora-5-mini"]
    assert "2 of 7" in lines[0].text
    assert (
        "no model matches the filter; 7 hidden" in drawn(demo_frame(), 120, FleetView(filter="zzz"))[1].text
    )


def test_severity_ranks_what_needs_a_look() -> None:
    """P1, P2, no data, P3, above its objective, straddles, nothing."""
    breach, calm = model("m", ((2.5, 3.2, 2.9), *CALM[1:])), model("m", CALM)
    alerts = {s: alerts_by_model(one(calm, alerts=(Alert("a", s, "m", "", AT, ""),)))["m"] for s in Severity}
    ranks = [
        severity_of(calm, alerts[Severity.P1]),
        severity_of(breach, alerts[Severity.P2]),
        severity_of(lost(calm), alerts[Severity.P3]),
        severity_of(breach, alerts[Severity.P3]),
        severity_of(breach, NO_ALERTS),
        severity_of(model("m", ((1.9, 2.4, 2.1), *CALM[1:])), NO_ALERTS),
        severity_of(calm, NO_ALERTS),
    ]
    assert ranks == [6, 5, 4, 3, 2, 1, 0]


def test_idle_models_are_not_without_data() -> None:
    """NaN with an empty queue is idle; a model that was never seen is not lost."""
    idle = Reading(None, AT, Quality.MISSING, Reason("idle"))
    quiet = Model("m", {"waiting": reading("waiting", 0, AT)}, {"pro": {"queue_wait_p99": idle}}, OBJECTIVES)
    assert not has_no_data(quiet)
    assert not has_no_data(Model("m", {}, {}))
    assert has_no_data(lost(model("m", CALM)))
    assert has_no_data(stale(model("m", CALM)))


def test_unchanged_models_keep_their_line() -> None:
    """A frame costs what changed in it: the very same line objects come back."""
    frame, history, cache = big_frame(40, 4, 8), History(), RowCache()
    history.add(frame)
    before = fleet_lines(frame, history, FleetView(), 120, UNICODE, cache)
    later = next(following(frame, share=0.1))
    after = fleet_lines(later, history, FleetView(), 120, UNICODE, cache)
    same = [new is old for new, old in zip(after[1:41], before[1:41], strict=True)]
    unmoved = [new is old for new, old in zip(later.models, frame.models, strict=True)]
    assert same == unmoved
    assert 0 < sum(unmoved) < 40
    assert after == fleet_lines(later, history, FleetView(), 120, UNICODE)


def test_a_cached_row_of_a_lost_model_still_ages() -> None:
    """D10: ages count on though nothing else changes."""
    frame, history, cache = one(lost(model("m", CALM))), History(), RowCache()
    assert "90s" in fleet_lines(frame, history, FleetView(), 80, UNICODE, cache)[1].text
    later = replace(frame, at=frame.at + 60)
    assert "2m" in fleet_lines(later, history, FleetView(), 80, UNICODE, cache)[1].text


def test_the_cache_forgets_models_that_left() -> None:
    """Names come and go; memory stays bounded."""
    cache, history = RowCache(), History()
    for number in range(60):
        fleet_lines(one(model(f"m{number}", CALM)), history, FleetView(), 80, UNICODE, cache)
    assert len(cache) < 30


def test_an_empty_fleet_says_so() -> None:
    """No frame is a blank screen."""
    assert "no model seen yet" in drawn(one(tiers=(Tier("all", "all"),)), 80)[1].text


def test_a_lost_plane_marks_what_it_said() -> None:
    """Stage, weight and throttle of a plane that no longer answers stand, marked with `~`."""
    frame = demo_frame()
    ctl = next(s for s in frame.sources if s.kind == "plane")
    lost = replace(frame, sources=(replace(ctl, state=SourceState.LOST),))
    told, untold = (
        "\n".join(line.text for line in fleet_lines(f, History(), FleetView(), 120, UNICODE))
        for f in (frame, lost)
    )
    assert "~T3" in untold
    assert "~T3" not in told
    assert "~100" in untold


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
def test_a_p95_in_place_of_a_p99_is_marked_at_every_width(glyphs: Glyphs) -> None:
    """Whoever reads the cell sees that it is no p99; it is never drawn as one that keeps its promise."""
    frame = one(having_in(model("m", (*CALM[:3], None)), "free", queue_wait_p99=p95(5.5)))
    honest = one(model("m", (*CALM[:3], (4.95, 6.05, 5.5))))
    for width in range(32, 301):
        line = next(line for line in drawn(frame, width, glyphs=glyphs) if line.id == "m")
        assert "p5.5" in line.text or "p95 5.5" in line.text or "5.5 p95" in line.text, (width, line.text)
        assert line.text != next(x for x in drawn(honest, width, glyphs=glyphs) if x.id == "m").text
        assert line.cells[1].text == glyphs.straddles
        assert len(line.text) <= width
    assert "≈5.5 p95" in row(frame, 200, "m").text


def test_a_p95_above_the_objective_breaks_it() -> None:
    """The p99 is no smaller."""
    line = row(one(having_in(model("m", CALM), "free", queue_wait_p99=p95(9.0))), 120, "m")
    assert line.cells[1].text == "»"
    assert any(cell.role == "breach" and "p95 9.0" in cell.text for cell in line.cells)


def test_few_observations_have_no_number_and_no_mark() -> None:
    """Quiet: neither a dash, which is idle, nor zero, nor lost data."""
    quiet = model("m", CALM)
    for tier in TIERS:
        quiet = having_in(quiet, tier.name, queue_wait_p99=FEW, queue_wait_p50=FEW)
    for width in (80, 120, 200):
        line = row(one(quiet), width, "m")
        assert "few" in line.text
        assert not {cell.role for cell in line.cells} & COLOURED
        assert line.cells[1].text == " "
    assert row(one(quiet), 200, "m").text.count("few") == 8
    alone = Model("m", {}, {"all": {"queue_wait_p99": FEW}})
    assert not has_no_data(alone)


def test_a_mean_is_called_a_mean_and_never_judged() -> None:
    """Servers that export sums alone: the objective is of a p99, so nothing is said about it."""
    frame = one(with_means("m"))
    narrow, usual, wide = (row(frame, width, "m").text for width in (80, 120, 200))
    assert "a0.4" in narrow
    assert "a0.4/" not in narrow
    assert usual.count("avg 0.4") == 4
    assert wide.count("≈") == 0
    assert wide.count("0.4 avg") == 4
    slow = having_in(with_means("m"), "pro", queue_wait_mean=reading("queue_wait_mean", 99, AT))
    assert not {cell.role for cell in row(one(slow), 120, "m").cells} & COLOURED
    assert has_no_data(stale(with_means("m")))
    assert not has_no_data(with_means("m"))


def test_the_truth_mark_stands_behind_each_name() -> None:
    """One cell in one column: grade A quiet, beyond 25 % in the suspect colour."""
    frame = clusters_frame()
    lines = [row(frame, 80, name) for name in ("aurora-5", "boreal-4", "cirrus-vision", "triton-embed")]
    marks = [(cell.text, cell.role) for line in lines for cell in line.cells[3:6] if cell.text in "=≃≠?"]
    assert marks == [("=", "muted"), ("≃", "muted"), ("≠", "suspect"), ("?", "unknown")]
    assert len({line.text.index(mark) for line, (mark, _) in zip(lines, marks, strict=True)}) == 1
    ascii_rows = [line.text for line in drawn(frame, 80, glyphs=ASCII) if line.id]
    assert all(text.isascii() for text in ascii_rows)
    assert " % " in ascii_rows[1]
    assert " / " in ascii_rows[2]


def test_the_truth_mark_costs_one_cell_and_no_column() -> None:
    """At 80 cells a name as long as its column loses one character, and the table keeps what it had."""
    named = model("a-name-longer-than-any-column", CALM)
    plain, marked = (
        row(one(each), 80, named.name) for each in (named, having(named, little_error=little(0.0)))
    )
    column = next(c for c in fleet_columns(80, TIERS, 30).all if c.id == "name").width
    assert plain.text[3 : 3 + column] == named.name[: column - 1] + "…"
    assert marked.text[3 : 3 + column] == named.name[: column - 2] + "…="
    assert plain.text[3 + column :] == marked.text[3 + column :]


def test_one_cluster_lost_leaves_the_others_fresh() -> None:
    """The rows of a server that does not answer say so; those of the same model elsewhere do not."""
    for width in (60, 80, 120, 200, 300):
        here, there = (
            row(clusters_frame(), width, f"llama-3-70b-instruct@{c}") for c in ("eu-west-1", "us-east-2")
        )
        assert here.cells[1].text == " "
        assert there.cells[1].text == "~"
        assert "missing" not in {cell.role for cell in here.cells}
        assert "0.9" in here.text
        assert "0.9" not in there.text
        assert "st-1" in here.text
        assert "st-2" in there.text
        assert "@" in next(cell.text for cell in here.cells if cell.role == "muted")
    assert "no data 90s" in row(clusters_frame(), 80, "llama-3-70b-instruct@us-east-2").text


def test_a_release_and_an_alert_without_a_cluster_are_about_every_one() -> None:
    """Planes and rules know the model; the row of each cluster shows what they say."""
    both = tuple(served_by(model("m", CALM), cluster) for cluster in ("eu", "us"))
    alerts = (Alert("a", Severity.P1, "m", "pro", AT, ""), Alert("b", Severity.P2, "m@us", "free", AT, ""))
    frame = replace(one(*both, alerts=alerts), releases=(release("m", (1, 0.5, 0, 0)),))
    here, there = (row(frame, 120, f"m@{cluster}") for cluster in ("eu", "us"))
    assert here.cells[1].text == there.cells[1].text == "■"
    assert here.text.count("■") == 2
    assert "▲" not in here.text
    assert "▲" in there.text
    assert "● ◐ ○ ○    50" in here.text
    assert "● ◐ ○ ○    50" in there.text


def test_a_silenced_alert_colours_no_row() -> None:
    """It is put aside until its time: the row is as without it."""
    loud = Alert("a", Severity.P1, "m", "pro", AT, "")
    silenced = replace(loud, silenced_until=AT + 60)
    assert row(one(model("m", CALM), alerts=(silenced,)), 120, "m") == row(one(model("m", CALM)), 120, "m")
    assert row(one(model("m", CALM), alerts=(silenced, loud)), 120, "m").cells[1].text == "■"
