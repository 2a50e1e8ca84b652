"""What must hold of the throttle dialog's form, whatever is set and whatever is chosen."""

from dataclasses import replace

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.control.server.commands import BODIES
from collectors.fleet import Alert, Feature, Frame, LastChange, Revert, Severity, Throttle, Tier
from collectors.intents import OPERATIONS, Ability, Intent, PlaneFacts
from collectors.readings import reading
from collectors.text import clean
from tests.frames import AT, HOSTILE, demo_frame, lost, model, stale
from tui.dialogs.form import Choice
from tui.dialogs.throttle import ThrottleForm, throttle_form
from tui.format import width_of
from tui.screens.base import Selection
from tui.throttles import read_percent

levels = st.sampled_from((0.0, 0.1, 0.3, 0.5, 0.7, 1.0)) | st.floats(0, 1).map(lambda level: round(level, 4))
times = st.none() | st.integers(-600, 20_000).map(lambda left: AT + left)
names = st.sampled_from([clean(name) for name in HOSTILE if clean(name)]) | st.text("ab北京-[/]", min_size=1)
changes = st.builds(LastChange, st.just("a-1"), st.just("op"), names, names, st.just(AT))
quiet = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
typed = st.sampled_from(("", "12.5", "300", "-5", "abc", "0", "100", "33.33")) | st.text(max_size=12)


@st.composite
def cells(draw: st.DrawFn, feature: str, tier: str) -> Throttle:
    """A cell as a plane may tell it, also one that it cannot tell the level of."""
    level = draw(levels)
    has_level = draw(st.integers(0, 9)) > 0
    return Throttle(
        feature,
        tier,
        1,
        draw(st.sampled_from(("t-1", "t-2", "t-9"))),
        level if has_level else None,
        unit="share" if has_level else draw(st.sampled_from(("share", "rpm"))),
        limit=None if has_level else 30.0,
        state=draw(st.sampled_from(("applied", "ramping", "drifted", "pending", "unknown"))),
        effective_level=draw(st.none() | levels),
        return_ramp_per_min=draw(st.none() | st.just(0.1)),
        expires_at=draw(times),
        revert_to=draw(st.none() | st.builds(Revert, levels, times)),
        last_change=draw(st.none() | changes),
    )


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    """A plane of up to three features and eight tiers over a few models; some cells may be missing."""
    tiers = tuple(dict.fromkeys(draw(st.lists(names, min_size=1, max_size=8))))
    features = tuple(dict.fromkeys(draw(st.lists(names, min_size=1, max_size=3))))
    models = tuple(dict.fromkeys(draw(st.lists(names, max_size=6))))
    made = []
    for name in models:
        one = model(
            name, [draw(st.none() | st.just((0.5, 2.0, 1.0))) for _ in tiers],
            tiers=[Tier(tier, tier) for tier in tiers], objectives=dict.fromkeys(tiers, 1.0),
        )  # fmt: skip
        counted = {"arrivals": reading("arrivals", draw(st.floats(0, 1e6)), AT)}
        if draw(st.booleans()):
            counted["rejected"] = reading("rejected", draw(st.floats(0, 1e6)), AT)
        one = replace(
            one, cells={features[0]: {tiers[0]: counted}}, by_feature=dict.fromkeys(features, counted)
        )
        made.append(draw(st.sampled_from((one, stale(one), lost(one)))))
    told = [draw(cells(feature, tier)) for feature in features for tier in tiers]
    abilities = {name: Ability(True, draw(st.integers(0, 19)) > 0, "not for you") for name in OPERATIONS}
    alerts = [Alert("a", Severity.P1, models[0], "", AT, "hot")] if models and draw(st.booleans()) else []
    return replace(
        demo_frame(),
        tiers=tuple(Tier(tier, tier) for tier in tiers),
        models=tuple(made),
        features=tuple(Feature(name, name, models) for name in features),
        throttles=tuple(told[: len(told) - draw(st.sampled_from((0, 0, 0, 1)))]),
        alerts=tuple(alerts),
        plane=PlaneFacts(
            "alice", "operator", abilities, tiers, ttl_max_s=draw(st.sampled_from((60, 900, 604_800)))
        ),
    )


@st.composite
def forms(draw: st.DrawFn) -> ThrottleForm | str:
    """A form after any number of keys, some of them at rows and options that are not there."""
    frame = draw(frames())
    selected = draw(st.sampled_from(("", *(one.id for one in frame.features))))
    form = throttle_form(frame, Selection(feature=selected), None)
    for _ in range(draw(st.integers(0, 6))):
        if isinstance(form, str):
            break
        if draw(st.integers(0, 4)) == 0:
            form = form.with_text(draw(st.sampled_from(("exact", "admit", "?"))), draw(typed))
            continue
        rows = [row for row in form.fields if isinstance(row, Choice)]
        row = draw(st.sampled_from(rows))
        options = [option.id for option in row.options]
        picked = draw(st.lists(st.sampled_from([*options, "?"]), max_size=8 if row.many else 1))
        form = form.with_choice(draw(st.sampled_from((row.id, row.id, row.id, "?"))), tuple(picked))
    if draw(st.booleans()) and not isinstance(form, str):
        form = form.seen(draw(frames()))
    return form


def _level_after(intent: Intent, cell: Throttle) -> float:
    """What the cell is set to by the intent."""
    if intent.operation == "throttle.set":
        level = intent.arguments["level"]
        assert isinstance(level, float)
        return level
    back = cell.revert_to
    if intent.arguments.get("revert_to") == "open" or back is None or back.level is None:
        return 1.0
    return back.level if back.expires_at is None or back.expires_at > AT else 1.0


@quiet
@given(forms())
def test_a_plan_does_what_was_chosen_and_nothing_else(form: ThrottleForm | str) -> None:
    """Cells that were chosen, once each, with what is seen of them now, at levels that there are."""
    if isinstance(form, str):
        return
    plan = form.plan()
    assert bool(plan.problem) != bool(plan.intents)
    if plan.problem:
        assert not (plan.summary or plan.is_brake or plan.phrase)
        return
    cells_now = {(cell.feature, cell.tier): cell for cell in form.frame.throttles}
    assert len({intent.target for intent in plan.intents}) == len(plan.intents)
    rises = False
    for intent in plan.intents:
        cell = cells_now[intent.target.id, intent.target.tier]
        assert form.feature in ("*", cell.feature)
        assert cell.tier in form.tiers
        assert intent.etag == cell.etag
        # The embedded plane refuses what the contract does not name.
        msgspec.convert({**intent.arguments, "from": intent.seen, "reason": "why"}, BODIES[intent.operation])
        assert intent.seen == ({"level": cell.level} if cell.level is not None else {"limit": cell.limit})
        after = _level_after(intent, cell)
        assert 0 <= after <= 1
        assert round(after, 4) == after
        ttl = intent.arguments.get("ttl_s")
        assert ttl is None or (isinstance(ttl, int) and 1 <= ttl <= form.frame.plane.ttl_max_s)  # type: ignore[union-attr]  # it was asked for
        held = cell.effective_level if cell.state == "ramping" else None
        rises |= cell.level is None or after > cell.level or (held is not None and after > held)
    if plan.is_brake:
        assert not rises
        assert not plan.phrase
    elif all(
        (cell := cells_now[one.target.id, one.target.tier]).level is not None
        and _level_after(one, cell) < cell.level
        for one in plan.intents
    ):
        assert rises, "what only tightens is a brake"


@quiet
@given(forms(), st.integers(1, 120), st.sampled_from(("unicode", "ascii")))
def test_lines_are_never_wider_than_they_may_be(form: ThrottleForm | str, width: int, glyphs: str) -> None:
    """Whatever there is to tell."""
    if isinstance(form, str):
        return
    for line in (*form.facts(width, glyphs), *form.forecast({}, width, glyphs)):
        assert width_of(line.text) <= width


@quiet
@given(forms())
def test_what_is_chosen_is_there(form: ThrottleForm | str) -> None:
    """No row has an option chosen that it does not offer."""
    if isinstance(form, str):
        return
    for row in form.fields:
        if isinstance(row, Choice):
            assert set(row.chosen) <= {option.id for option in row.options}
            assert row.many or len(row.chosen) <= 1


@given(st.integers(0, 10_000))
def test_every_percentage_a_plane_can_tell_apart_can_be_typed(hundredths: int) -> None:
    """To the last of its four decimals."""
    assert read_percent(f"{hundredths / 100:.2f}") == round(hundredths / 10_000, 4)


@given(typed)
def test_what_is_no_percentage_is_never_taken(text: str) -> None:
    """A share, or a sentence."""
    found = read_percent(text)
    assert isinstance(found, str) or 0 <= found <= 1
