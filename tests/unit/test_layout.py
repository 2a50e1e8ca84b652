"""Rows of the fleet screen's panels: the mock-ups' proportions, at any size."""

from hypothesis import given
from hypothesis import strategies as st

from tui.screens.layout import Wants, panel_rows

FULL = Wants(header=2, fleet=52, heat=90, alerts=12, events=30, notes=2)


def test_the_usual_tiers() -> None:
    """80x24 has no events, 120x40 and 200x60 have every panel; the table is the largest."""
    small = panel_rows(80, 24, FULL._replace(header=1))
    assert small.events == 0
    assert (small.heat, small.alerts) == (6, 3)
    for width, height in ((120, 40), (200, 60)):
        rows = panel_rows(width, height, FULL)
        assert min(rows.heat, rows.alerts, rows.events, rows.hints, rows.status) > 0
        assert rows.fleet > max(rows.heat, rows.alerts, rows.events)


def test_below_the_smallest_tier_only_the_table_is_kept() -> None:
    """T1: no heat map and no panels, but the status line stays."""
    rows = panel_rows(79, 24, FULL)
    assert (rows.heat, rows.alerts, rows.events) == (0, 0, 0)
    assert rows.status == 1


def test_spare_rows_go_to_alerts_then_events() -> None:
    """T4: a short table leaves its rows to alerts first."""
    rows = panel_rows(120, 40, FULL._replace(fleet=5))
    assert rows.alerts == 12
    assert rows.events > 3
    few = panel_rows(120, 40, Wants(header=2, fleet=5, heat=3, alerts=2, events=2))
    assert (few.heat, few.alerts, few.fleet) == (3, 2, 5)


def test_the_own_last_action_has_a_row_at_the_smallest_tier() -> None:
    """It costs the table one row, the alerts none; below the smallest tier there is no room for it."""
    without = panel_rows(80, 24, FULL)
    own = panel_rows(80, 24, FULL._replace(own=1))
    assert (own.own, own.alerts) == (1, without.alerts)
    assert panel_rows(79, 24, FULL._replace(own=1)).own == 0


def test_a_replay_has_its_rows_in_place_of_the_status() -> None:
    """What is live is not told there; the keys stay below it."""
    rows = panel_rows(120, 40, FULL._replace(replay=6))
    assert (rows.replay, rows.hints, rows.status) == (6, 1, 0)


_size = st.integers(1, 400)
_wants = st.builds(
    Wants,
    header=st.integers(1, 2),
    fleet=st.integers(1, 600),
    heat=st.integers(0, 200),
    alerts=st.integers(1, 50),
    events=st.integers(1, 500),
    notes=st.integers(0, 3),
    own=st.integers(0, 1),
    replay=st.integers(0, 6),
)


@given(_size, _size, _wants)
def test_rows_add_up_to_the_screen_and_none_is_negative(width: int, height: int, wants: Wants) -> None:
    """Whatever is wanted, the panels fill the terminal exactly; a panel is never a heading alone."""
    rows = panel_rows(width, height, wants)
    assert sum(rows) == height
    assert min(rows) >= 0
    assert 1 not in (rows.heat, rows.alerts, rows.events)
    assert rows.fleet >= 1
