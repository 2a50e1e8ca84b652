"""What must hold of every drawing, whatever is in the frame: widths, glyphs, and text left as it is."""

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.fleet import Alert, Event, EventKind, Frame, Node, Severity, Tier
from collectors.readings import Interval, Quality, Reason, reading
from collectors.text import clean
from tests.cluster_frames import FEW, having, having_in, little, p95, served_by
from tests.frames import AT, HOSTILE, Waits, demo_frame, lost, model, release, stale
from tui.format import ASCII, UNICODE, fit, quantile, wait, wide_quantile, width_of
from tui.store import GAP, STEPS, History
from tui.widgets.fleet_table import SORTS, FleetView, fleet_lines
from tui.widgets.freshness import header_lines, note_lines, status_line
from tui.widgets.heat_map import heat_lines
from tui.widgets.lines import Line
from tui.widgets.spark import spark
from tui.widgets.tier_names import tier_codes
from tui.widgets.timeline import alert_lines, event_lines, strip_line

names = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(max_size=40),
    st.text(alphabet="北京大模型é\u0301👩‍[/]~■", max_size=20),
).map(clean)
seconds = st.floats(0, 1e6, allow_nan=False)
quiet = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def intervals(draw: st.DrawFn) -> tuple[float, float, float]:
    """A bucket and an estimate inside it; the last bucket is endless."""
    lo, estimate, hi = sorted((draw(seconds), draw(seconds), draw(seconds)))
    return (lo, float("inf"), estimate) if draw(st.integers(0, 9)) == 0 else (lo, hi, estimate)


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    """Any fleet of up to five models and eight tiers."""
    tiers = tuple(
        Tier(f"{n}{name}", name) for n, name in enumerate(draw(st.lists(names, min_size=1, max_size=8)))
    )
    models = []
    for name in draw(st.lists(names, max_size=5, unique=True)):
        waits: Waits = [draw(st.none() | intervals()) for _ in tiers]
        one = model(
            name,
            waits,
            tiers=tiers,
            busy=draw(st.floats(0, 9)),
            waiting=draw(st.integers(0, 10**9)),
            kv=draw(st.floats(0, 2)),
            throttle=draw(st.none() | st.floats(0, 1)),
            objectives=draw(st.dictionaries(st.sampled_from([t.name for t in tiers]), st.floats(0.001, 1e5))),
        )
        if error := draw(st.none() | st.floats(0, 9)):
            one = having(one, little_error=little(error))
        if cluster := draw(st.just("") | names):
            one = served_by(one, cluster)
        for tier in draw(st.lists(st.sampled_from(tiers), max_size=3)):
            one = having_in(one, tier.name, queue_wait_p99=draw(st.just(FEW) | seconds.map(p95)))
        models.append(draw(st.sampled_from((one, stale(one), lost(one)))))
    shares = st.lists(st.floats(0, 1), min_size=len(tiers), max_size=len(tiers))
    return replace(
        demo_frame(),
        context=draw(names),
        tiers=tiers,
        models=tuple(models),
        releases=tuple(
            release(name, draw(shares), kind=kind, tiers=tiers)
            for name, kind in [*((m.name, "model") for m in models[:2]), ("f", "feature")]
        ),
        nodes=tuple(
            Node(name, draw(names), draw(st.binary(max_size=20)), draw(st.text("Xet ", max_size=20)))
            for name in draw(st.lists(names, max_size=9, unique=True))
        ),
        alerts=tuple(
            Alert(
                str(n),
                draw(st.sampled_from(Severity)),
                name,
                "",
                AT - n * 100,
                clean(name * 3, 256),
                draw(names),
                draw(st.none() | st.floats(allow_nan=True)),
                draw(names),
            )
            for n, name in enumerate(draw(st.lists(names, max_size=9)))
        ),
        events=tuple(
            Event(AT - n, draw(st.sampled_from(EventKind)), name, name, name)
            for n, name in enumerate(draw(st.lists(names, max_size=5)))
        ),
        notes=tuple(Reason("unmatched", (name,)) for name in draw(st.lists(names, max_size=2))),
    )


def everything(frame: Frame, width: int, glyphs: object) -> list[Line]:
    """All that is drawn of a frame."""
    g = ASCII if glyphs is ASCII else UNICODE
    history = History()
    history.add(frame)
    lines = [*header_lines(frame, width, g), *note_lines(frame, width, g)]
    lines += fleet_lines(frame, history, FleetView(), width, g)
    lines += heat_lines(frame.nodes, width, 12, g, 1, frozenset(m.name for m in frame.models))
    lines += alert_lines(frame, width, 8, g) + event_lines(frame.events, width, 6, g)
    return [
        *lines,
        strip_line(frame.events, frame.at, 1800, width, g),
        status_line(frame, width, g, sort="name"),
    ]


@quiet
@given(frames(), st.integers(1, 300), st.sampled_from([UNICODE, ASCII]))
def test_no_line_exceeds_the_width(frame: Frame, width: int, glyphs: object) -> None:
    """T4: measured as the terminal draws it, cell by cell and as a whole."""
    for line in everything(frame, width, glyphs):
        assert sum(width_of(cell.text) for cell in line.cells) <= width
        assert width_of(line.text) <= width
        assert all(cell.text for cell in line.cells)


@quiet
@given(frames(), st.integers(40, 300))
def test_both_glyph_sets_lay_out_alike(frame: Frame, width: int) -> None:
    """The table has the same rows in the same order, whichever set draws it."""
    history = History()
    ids = [[line.id for line in fleet_lines(frame, history, FleetView(), width, g)] for g in (UNICODE, ASCII)]
    assert ids[0] == ids[1]


@quiet
@given(frames(), st.sampled_from(SORTS), st.booleans())
def test_sorting_and_filtering_lose_nobody(frame: Frame, sort: str, reverse: bool) -> None:
    """D13: any order has every model, and a filter none that does not match."""
    history = History()
    rows = {line.id for line in fleet_lines(frame, history, FleetView(sort, reverse), 120) if line.id}
    assert {m.name for m in frame.models if m.name} <= rows
    some = [line.id for line in fleet_lines(frame, history, FleetView(sort, filter="a"), 120) if line.id]
    assert all("a" in id.casefold() for id in some)


@given(st.text(max_size=60).map(clean), st.integers(0, 80), st.booleans())
def test_fitted_text_has_exactly_the_width(text: str, width: int, right: bool) -> None:
    """Padded or cut, in either glyph set."""
    assert width_of(fit(text, width, right=right)) == width
    assert width_of(fit(text, width, ASCII, right=right)) == width


@given(intervals())
def test_quantiles_fit_their_columns(bucket: tuple[float, float, float]) -> None:
    """Five cells narrow, fourteen wide, and never `inf` or `nan`."""
    value = Interval(*bucket)
    assert len(quantile(value)) <= 5
    assert len(quantile(value, ASCII)) <= 6
    assert len(wide_quantile(value)) <= 16
    assert "inf" not in wide_quantile(value)
    assert len(wait(value.estimate)) <= 4


@given(
    st.lists(names, min_size=1, max_size=8).map(
        lambda titles: tuple(Tier(str(n), t) for n, t in enumerate(titles))
    )
)
def test_tier_codes_are_short_and_differ(tiers: tuple[Tier, ...]) -> None:
    """T5, for any titles."""
    codes = tier_codes(tiers)
    assert len(set(codes)) == len(tiers)
    assert all(1 <= width_of(code) <= 4 for code in codes)


@given(st.lists(st.one_of(st.just(GAP), st.floats(0, 1e9)), max_size=60), st.none() | st.floats(1e-3, 1e6))
def test_a_spark_has_one_glyph_a_value(values: list[float], objective: float | None) -> None:
    """And higher values never draw lower blocks."""
    drawn = spark(values, objective)
    assert len(drawn) == len(values)
    heights = [(value, "·▁▂▃▄▅▆▇█".index(glyph)) for value, glyph in zip(values, drawn, strict=True)]
    ordered = sorted(heights)
    assert [h for _, h in ordered] == sorted(h for _, h in heights)


@given(
    st.lists(st.tuples(st.integers(0, 5000), st.floats(0, 1000, width=32)), min_size=1, max_size=40),
    st.sampled_from([1, 8, 10, 20, 60, 120]),
)
def test_history_shows_the_worst_of_each_span(moments: list[tuple[int, float]], n: int) -> None:
    """Held against a plain list of all that was ever fed, in order of time."""
    history = History()
    fed: list[tuple[int, float]] = []
    for at, value in sorted(moments):
        one = model("m", (*((0.0, 0.1, 0.05),) * 3, (0.0, 2000.0, value)))
        readings = {
            "queue_wait_p99": reading("queue_wait_p99", Interval(0.0, 2000.0, value), at, Quality.GOOD)
        }
        history.add(replace(demo_frame(at), models=(replace(one, tiers={"free": readings}),), events=()))
        fed.append((at // 5, reading("queue_wait_p99", value, at).estimate or 0.0))
    now, span = fed[-1][0], STEPS // n
    newest = now // span
    for place, shown in enumerate(history.spark_values("m", "free", n)):
        bucket = newest - (n - 1) + place
        inside = [v for step, v in fed if step // span == bucket and now - STEPS < step <= now]
        assert abs(shown - max(inside, default=GAP)) < 1e-3
