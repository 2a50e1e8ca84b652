"""The alerts screen: first-out order, silences, the way to a model and back, every size, hostile text."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from rich.cells import cell_len
from syrupy.assertion import SnapshotAssertion
from textual.geometry import Region

from collectors.fleet import Alert, Frame, Severity, SourceHealth, SourceState
from collectors.text import clean
from tests.frames import AT, demo_frame, healthy_frame, worst_frame
from tests.screens.test_app import cockpit, plain_environment, press, screen_text, still_clock, until
from tui.format import UNICODE
from tui.screens.alerts import AlertsScreen, counted, detail_lines, first_out
from tui.screens.fleet import FleetScreen
from tui.screens.lists import worst_first
from tui.screens.model import ModelScreen
from tui.screens.panel import Panel

__all__ = ["plain_environment", "still_clock"]

SIZES = [(60, 18), (80, 24), (120, 40), (200, 60), (300, 80)]

SHELVED = Alert(
    "told/1",
    Severity.P1,
    "boreal-4",
    "",
    AT - 2531,
    "hottest accelerator 93 °C, e1b-r3/n02",
    "alertmanager",
    AT + 1069,
    "bob: fan swap booked",
)
TOLD = Alert(
    "told/2",
    Severity.P3,
    "",
    "",
    AT - 700,
    "disk of node e1a-r3/n01 is 91 % full",
    "prom-alerts",
    name="NodeDiskFillsUp",
    labels={"alertname": "NodeDiskFillsUp", "severity": "info", "cluster": "eu-1", "device": "nvme0n1"},
    description="It holds models that engines load: a new replica will not start.",
    runbook="https://runbooks.example/NodeDiskFillsUp",
    link="http://prometheus.eu-1:9090/graph?g0.expr=node_filesystem_avail_bytes&g0.tab=1",
)


def told_frame() -> Frame:
    """The demo fleet with an alert that names no model, and one that somebody silenced."""
    frame = demo_frame()
    source = SourceHealth("alertmanager", "alerts", SourceState.OK, AT - 3, 0.02)
    return replace(frame, alerts=(*frame.alerts, SHELVED, TOLD), sources=(*frame.sources, source))


def listed(app: object) -> Panel:
    """The list of the alerts screen."""
    assert isinstance(app.screen, AlertsScreen)  # type: ignore[attr-defined]
    return app.screen.query_one("#list", Panel)  # type: ignore[attr-defined,no-any-return]


def ids(alerts: Sequence[Alert]) -> list[str]:
    return [alert.id for alert in alerts]


def test_the_oldest_is_first_and_the_silenced_are_last() -> None:
    """First-out (D7): by age, of one moment the worst; a silenced one is last, however old and bad it is."""
    twin = replace(TOLD, id="told/3", severity=Severity.P1)
    assert ids(first_out([SHELVED, TOLD, twin])) == ["told/3", "told/2", "told/1"]
    assert ids(worst_first([SHELVED, TOLD, replace(twin, since=AT)])) == ["told/3", "told/2"]


def test_the_count_names_the_silenced() -> None:
    """D8: they are counted, and said to be silenced."""
    assert counted([]) == "no alerts"
    assert counted([TOLD]) == "1 alert"
    assert counted([TOLD, SHELVED, replace(TOLD, id="x")]) == "3 alerts, 1 silenced"


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_alerts_at_every_tier(size: tuple[int, int], snapshot: SnapshotAssertion) -> None:
    """T4: the screen as it is at each size, character by character, and no wider."""
    async with cockpit([told_frame()], size) as (app, pilot, _):
        press(app, "A")
        await until(pilot, lambda: isinstance(app.screen, AlertsScreen))
        lines = screen_text(app)
        assert len(lines) == size[1]
        assert max(map(cell_len, lines)) <= size[0]
        assert "\n".join(lines) == snapshot


@pytest.mark.parametrize("glyphs", ["unicode", "ascii"])
async def test_hostile_text_is_only_text(glyphs: str) -> None:
    """Markup, escapes and 10 kB names of any server are drawn as they are, cut, and never wider."""
    raw = ("[/nope]", "[@click=app.quit]x[/]", "\x1b[31mred\x1b[0m", "\u202eabc", "x" * 10_000, "北京" * 60)
    hostile = tuple(
        Alert(
            str(n),
            Severity.P2,
            clean(name),
            clean(name),
            AT - n,
            clean(name * 3, 256),
            clean(name, 40),
            AT + 9e9 if n % 2 else None,
            clean(name, 256),
            name=clean(name),
            labels={clean(name): clean(name)} if n % 3 else {},
            description=clean(name * 9, 256),
            runbook=clean(name, 1024),
            link=clean(name, 1024),
        )
        for n, name in enumerate(raw)
    )
    frame = replace(worst_frame(), alerts=(*worst_frame().alerts, *hostile))
    for size in ((60, 18), (120, 40), (31, 7), (3, 2)):
        async with cockpit([frame], size, glyphs=glyphs) as (app, pilot, _):
            press(app, "A")
            await until(pilot, lambda: isinstance(app.screen, AlertsScreen))
            for key in ("j", "G", "pageup", "/", "escape", "enter", "escape", "g"):
                press(app, key)
                await pilot.pause()
                lines = screen_text(app)
                assert len(lines) == size[1]
                assert max(map(cell_len, lines)) <= size[0]
                assert not any(c in line for line in lines for c in "\x1b\u202e")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=lambda size: f"{size[0]}x{size[1]}")
async def test_the_selected_alert_says_what_to_look_up(size: tuple[int, int]) -> None:
    """The rule's name, the runbook and the labels stand below the list; wide rows begin with the name."""
    async with cockpit([told_frame()], size) as (app, pilot, _):
        press(app, "A")
        await until(pilot, lambda: isinstance(app.screen, AlertsScreen))
        lines = screen_text(app)
        below = lines[2 + next(n for n, line in enumerate(lines[2:]) if line.startswith("────")) :]
        assert below[1] == "   NodeDiskFillsUp (severity info)"
        assert "   runbook  https://runbooks.example/NodeDiskFillsUp" in below
        assert "   labels   cluster=eu-1, device=nvme0n1" in below
        assert ("NodeDiskFillsUp: disk of node" in lines[2]) is (size[0] >= 120)
        strips = app.screen._compositor.render_strips()
        assert not [s for strip in strips for s in strip if s.style and s.style.link]
        await pilot.press("G")
        await until(pilot, lambda: "bob: fan swap" in "\n".join(screen_text(app)[-len(below) :]))


def test_what_does_not_fit_below_the_list_ends_in_an_ellipsis() -> None:
    """D13: the first lines are whole, and the last one says that there is more."""
    for rows in range(2, 9):
        lines = [line.text.rstrip() for line in detail_lines(TOLD, told_frame(), 60, rows, UNICODE)]
        assert len(lines) == rows
        assert lines[-1].endswith("…"), lines
        assert lines[1].startswith("   NodeDiskFillsUp")
    whole = [line.text.rstrip() for line in detail_lines(TOLD, told_frame(), 60, 40, UNICODE)]
    assert not any("…" in line for line in whole)
    assert all(value in "".join(whole) for name, value in TOLD.labels.items())


async def test_an_alert_is_found_by_its_rules_name_and_labels() -> None:
    """The filter reads what the row has no room for."""
    async with cockpit([told_frame()], (80, 24)) as (app, pilot, _):
        await pilot.press("A")
        await until(pilot, lambda: isinstance(app.screen, AlertsScreen))
        for text in ("nodedisk", "device=nvme"):
            await pilot.press("/", *text, "enter")
            await pilot.pause()
            assert [line.id for line in listed(app).lines if line.id] == ["told/2"]
            await pilot.press("escape")


async def test_enter_opens_the_model_and_tier_and_esc_returns_to_the_row() -> None:
    """D6: one key from an alert to its model and tier; back on the same row, and from there to the fleet."""
    async with cockpit([told_frame()]) as (app, pilot, _):
        await pilot.press("A")
        await until(pilot, lambda: isinstance(app.screen, AlertsScreen))
        assert listed(app).cursor_id == "told/2"
        await pilot.press("enter")
        await until(pilot, lambda: "this alert names no model" in screen_text(app)[-2])
        await pilot.press("j", "j")
        assert listed(app).cursor_id == "a2"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ModelScreen))
        lines = screen_text(app)
        assert "aurora-5" in lines[0]
        assert next(line for line in lines if line.startswith("›")).split()[1] == "Team"
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, AlertsScreen))
        assert listed(app).cursor_id == "a2"
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, FleetScreen))


async def test_one_key_from_the_fleet_to_the_worst_alert() -> None:
    """D6: the worst that nobody silenced, whichever panel has the keys; one older and worse is silenced."""
    async with cockpit([told_frame()]) as (app, pilot, _):
        for panel in ("fleet", "alerts", "events"):
            press(app, "!")
            await until(pilot, lambda: isinstance(app.screen, ModelScreen))
            assert "delta-code" in screen_text(app)[0], panel
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(app.screen, FleetScreen))
            await pilot.press("tab")


@pytest.mark.parametrize(
    ("alerts", "said"),
    [
        ((), "no alert that is not silenced"),
        ((SHELVED,), "not silenced"),
        ((TOLD,), "no alert names a model"),
    ],
)
async def test_without_such_an_alert_the_key_says_so(alerts: tuple[Alert, ...], said: str) -> None:
    """D16: it opens nothing by chance."""
    async with cockpit([replace(healthy_frame(), alerts=alerts)]) as (app, pilot, _):
        press(app, "!")
        await pilot.pause()
        assert isinstance(app.screen, FleetScreen)
        assert said in screen_text(app)[-2]


async def test_enter_on_an_alert_row_of_the_fleet_opens_its_model() -> None:
    """D6 on the fleet screen; an alert without a model says that there is no page."""
    async with cockpit([replace(told_frame(), alerts=(TOLD,))]) as (app, pilot, _):
        await pilot.press("tab", "enter")
        await until(pilot, lambda: "no page to open" in screen_text(app)[-2])
    async with cockpit([told_frame()]) as (app, pilot, _):
        await pilot.press("tab", "enter")
        await until(pilot, lambda: isinstance(app.screen, ModelScreen))


async def test_a_silenced_alert_colours_no_model() -> None:
    """Its row on the fleet screen has no mark: somebody has seen to it."""
    quiet = healthy_frame()
    for alert, mark in ((replace(SHELVED, silenced_until=None), "■"), (SHELVED, " ")):
        async with cockpit([replace(quiet, alerts=(alert,))]) as (app, _, _):
            row = next(line for line in screen_text(app) if "boreal-4" in line)
            assert row[1] == mark, row


async def test_the_filter_leaves_the_count() -> None:
    """D8: what is filtered away still counts; esc drops the filter before it leaves the screen."""
    async with cockpit([told_frame()]) as (app, pilot, _):
        await pilot.press("A")
        await until(pilot, lambda: isinstance(app.screen, AlertsScreen))
        await pilot.press("/", *"BOB", "enter")
        await pilot.pause()
        lines = screen_text(app)
        assert "6 alerts, 1 silenced · /BOB 1 of 6" in lines[1]
        assert [line.id for line in listed(app).lines if line.id] == ["told/1"]
        await pilot.press("/", *"zzz", "enter")
        await pilot.pause()
        assert "no alert matches the filter" in screen_text(app)[2]
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, AlertsScreen)
        assert len([line for line in listed(app).lines if line.id]) == 6
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, FleetScreen))


async def test_a_second_later_only_what_changed_is_painted(monkeypatch: pytest.MonkeyPatch) -> None:
    """D17: no flicker. The next frame with the same alerts repaints ages and clocks, not rows."""
    painted: list[int] = []
    frame = told_frame()
    async with cockpit([frame]) as (app, pilot, source):
        await pilot.press("A")
        await until(pilot, lambda: isinstance(app.screen, AlertsScreen))
        panel = listed(app)

        def refresh(*regions: Region, **_: object) -> Panel:
            painted.extend(region.area for region in regions)
            if not regions:
                painted.append(panel.size.area)
            return panel

        monkeypatch.setattr(panel, "refresh", refresh)
        source.send(replace(frame, at=AT, tick=frame.tick + 1))
        await until(pilot, lambda: app.latest is not frame)
        assert painted == []
        source.send(replace(frame, at=AT + 60, tick=frame.tick + 2))
        await until(pilot, lambda: app.latest is not None and app.latest.at > AT)
        assert 0 < sum(painted) < 0.15 * panel.size.area


async def test_the_cursor_follows_the_alert() -> None:
    """D12: older alerts end, the selected one stays selected; when it ends itself, the nearest is."""
    frame = told_frame()
    async with cockpit([frame]) as (app, pilot, source):
        await pilot.press("A")
        await until(pilot, lambda: isinstance(app.screen, AlertsScreen))
        await pilot.press("j", "j")
        assert listed(app).cursor_id == "a2"
        fewer = replace(frame, alerts=tuple(a for a in frame.alerts if a.id not in ("told/2", "a1")))
        source.send(fewer)
        await until(pilot, lambda: app.latest is fewer)
        assert listed(app).cursor_id == "a2"
        none = replace(frame, alerts=())
        source.send(none)
        await until(pilot, lambda: app.latest is none)
        assert "no alerts" in screen_text(app)[1]
        assert "nothing alerts" in screen_text(app)[2]


async def test_the_key_goes_there_and_back_from_every_screen() -> None:
    """A lists the alerts, also from a model's page, and never stacks two lists; A on the list goes back."""
    async with cockpit([told_frame()]) as (app, pilot, _):
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ModelScreen))
        await pilot.press("A")
        await until(pilot, lambda: isinstance(app.screen, AlertsScreen))
        await pilot.press("G", "k", "enter")
        await until(pilot, lambda: isinstance(app.screen, ModelScreen))
        await pilot.press("A")
        await until(pilot, lambda: isinstance(app.screen, AlertsScreen))
        assert sum(isinstance(screen, AlertsScreen) for screen in app.screen_stack) == 1
        await pilot.press("A")
        await until(pilot, lambda: isinstance(app.screen, ModelScreen))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, FleetScreen))


async def test_every_key_on_the_list_answers() -> None:
    """D16: what cannot be done yet says so, in place of the hints; help lists the keys."""
    async with cockpit([told_frame()]) as (app, pilot, _):
        await pilot.press("A")
        await until(pilot, lambda: isinstance(app.screen, AlertsScreen))
        for key, said in (
            ("z", "a silence made in Alertmanager"),
            ("x", "acknowledging comes"),
            ("s", "not on"),
        ):
            await pilot.press(key)
            await pilot.pause()
            assert said in screen_text(app)[-2]
        await pilot.press("?")
        await pilot.pause()
        assert "KEYS of the alerts screen" in screen_text(app)[0]
