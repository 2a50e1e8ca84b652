"""The one widget: what it repaints, where its cursor goes, how it scrolls, and what reaches the terminal."""

from collections.abc import Sequence

from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.strip import Strip

import themes
from tui.widgets.lines import Cell, Line, LineView, _span, line_of


class CountingView(LineView):
    """Remembers which lines were drawn, and which regions were asked to be."""

    def __init__(self, *, cursor: bool = False) -> None:
        super().__init__(cursor=cursor)
        self.drawn: list[int] = []
        self.asked: list[Region] = []

    def render_line(self, y: int) -> Strip:
        """As the widget does, counted."""
        self.drawn.append(y)
        return super().render_line(y)

    def refresh(self, *regions: Region, **options: bool) -> "CountingView":  # type: ignore[override]  # same call
        """As the widget does, counted."""
        self.asked += regions
        super().refresh(*regions, **options)
        return self


class Bench(App[None]):
    """A view alone on the screen."""

    def __init__(self, *, cursor: bool = True) -> None:
        super().__init__(ansi_color=True)
        self.view = CountingView(cursor=cursor)
        self.heard: list[tuple[str, str]] = []
        for path in themes.THEMES:
            self.register_theme(themes.to_textual(themes.read_theme(path)))
        self.theme = "tidegate-dark"

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Every role."""
        return themes.role_defaults()

    def compose(self) -> ComposeResult:
        """The view."""
        yield self.view

    def on_line_view_selected(self, message: LineView.Selected) -> None:
        """Remember it."""
        self.heard.append(("selected", message.id))

    def on_line_view_moved(self, message: LineView.Moved) -> None:
        """Remember it."""
        self.heard.append(("moved", message.id))

    def screen_text(self) -> list[str]:
        """What the screen shows, line by line."""
        return [strip.text.rstrip() for strip in self.screen._compositor.render_strips()]

    def escape_codes(self) -> str:
        """What would be written to the terminal for the whole screen."""
        return "".join(strip.render(self.console) for strip in self.screen._compositor.render_strips())


def rows(number: int, *, first: int = 0, values: Sequence[str] = ()) -> list[Line]:
    """A heading and `number` rows with ids, of three cells each."""
    made = [Line((Cell("   NAME      VALUE"),))]
    for index in range(first, first + number):
        value = values[index - first] if values else "0.50"
        made.append(Line((Cell(f"   row-{index:03d}   "), Cell(value), Cell(" tail")), f"row-{index:03d}"))
    return made


def with_value(lines: list[Line], index: int, value: str) -> list[Line]:
    """The same lines, one value changed."""
    name, _, tail = lines[index].cells
    return [*lines[:index], Line((name, Cell(value), tail), lines[index].id), *lines[index + 1 :]]


async def test_one_changed_cell_draws_one_line() -> None:
    """500 rows on screen, one reading moved: one line is rendered again, from its changed cell on."""
    app = Bench()
    async with app.run_test(size=(120, 40)) as pilot:
        lines = rows(500)
        app.view.show(lines, header=1)
        await pilot.pause()
        app.view.drawn.clear()
        app.view.asked.clear()
        app.view.show(with_value(lines, 5, "0.91"), header=1)
        await pilot.pause()
        assert app.view.drawn == [5]
        assert app.view.asked == [Region(13, 5, 4, 1)]
        assert "0.91" in app.screen_text()[5]


async def test_equal_lines_draw_nothing() -> None:
    """D17: a frame that draws the same text emits nothing."""
    app = Bench()
    async with app.run_test(size=(80, 24)) as pilot:
        app.view.show(rows(50), header=1)
        await pilot.pause()
        app.view.drawn.clear()
        app.view.show(rows(50), header=1)
        await pilot.pause()
        assert app.view.drawn == []


async def test_a_change_out_of_view_draws_nothing() -> None:
    """What is scrolled away costs nothing."""
    app = Bench()
    async with app.run_test(size=(80, 24)) as pilot:
        lines = rows(50)
        app.view.show(lines, header=1)
        await pilot.pause()
        app.view.drawn.clear()
        app.view.show(with_value(lines, 45, "0.91"), header=1)
        await pilot.pause()
        assert app.view.drawn == []


async def test_partial_repaints_end_in_the_same_picture() -> None:
    """Rows come, go, change and scroll; the screen equals a fresh one at the end."""
    app, fresh = Bench(), Bench()
    async with app.run_test(size=(60, 12)) as pilot:
        for number, first in ((5, 0), (30, 0), (30, 3), (8, 1), (40, 0)):
            app.view.show(rows(number, first=first), header=1)
            await pilot.pause()
            app.view.move(7)
            await pilot.pause()
        shown, cursor = app.screen_text(), app.view.cursor_id
    async with fresh.run_test(size=(60, 12)) as pilot:
        fresh.view.show(rows(40), header=1)
        fresh.view.go_to(cursor)
        fresh.view.scroll_lines(app.view.hidden[0] - fresh.view.hidden[0])
        await pilot.pause()
        assert fresh.screen_text() == shown


async def test_the_cursor_follows_its_id() -> None:
    """D12: two rows swap under the cursor; the selected id stays, and nobody is told that it moved."""
    app = Bench()
    async with app.run_test(size=(80, 24)) as pilot:
        lines = rows(10)
        app.view.show(lines, header=1)
        app.view.go_to("row-003")
        await pilot.pause()
        app.heard.clear()
        app.view.show([*lines[:4], lines[5], lines[4], *lines[6:]], header=1)
        await pilot.pause()
        assert app.view.cursor_id == "row-003"
        assert app.heard == []
        assert app.screen_text()[5].startswith("›")


async def test_a_cursor_whose_row_is_gone_goes_to_the_nearest() -> None:
    """And says so, because what enter would open has changed."""
    app = Bench()
    async with app.run_test(size=(80, 24)) as pilot:
        lines = rows(10)
        app.view.show(lines, header=1)
        app.view.go_to("row-003")
        await pilot.pause()
        app.view.show([line for line in lines if line.id != "row-003"], header=1)
        await pilot.pause()
        assert app.view.cursor_id == "row-004"
        assert app.heard[-1] == ("moved", "row-004")
        app.view.show(lines[:1], header=1)
        assert app.view.cursor_id == ""


async def test_moving_stops_at_the_ends_and_skips_lines_without_id() -> None:
    """The cursor stands only on what can be selected."""
    app = Bench()
    async with app.run_test(size=(80, 24)) as pilot:
        lines = rows(6)
        app.view.show([*lines[:3], Line((Cell("── a rule ──"),)), *lines[3:]], header=1)
        await pilot.pause()
        assert app.view.cursor_id == "row-000"
        app.view.move(2)
        assert app.view.cursor_id == "row-002"
        app.view.move(-100)
        assert app.view.cursor_id == "row-000"
        app.view.move(100)
        assert app.view.cursor_id == "row-005"
        assert not app.view.go_to("no such row")
        assert app.view.cursor_id == "row-005"


async def test_the_header_stays_and_the_cursor_is_kept_in_view() -> None:
    """Scrolling moves rows under a fixed header; what is hidden can be told."""
    app = Bench()
    async with app.run_test(size=(80, 10)) as pilot:
        app.view.show(rows(30), header=1)
        await pilot.pause()
        assert app.view.hidden == (0, 21)
        app.view.move(20)
        await pilot.pause()
        text = app.screen_text()
        assert text[0].strip().startswith("NAME")
        assert text[9].startswith("›  row-020")
        assert app.view.hidden == (12, 9)
        app.view.move_page(1)
        await pilot.pause()
        assert app.view.cursor_id == "row-028"


async def test_enter_and_a_second_click_select() -> None:
    """S16: the first click only puts the cursor."""
    app = Bench()
    async with app.run_test(size=(80, 24)) as pilot:
        app.view.show(rows(10), header=1)
        app.view.focus()
        await pilot.pause()
        app.heard.clear()
        await pilot.press("enter")
        await pilot.click(CountingView, offset=(5, 4))
        await pilot.click(CountingView, offset=(5, 4))
        await pilot.click(CountingView, offset=(5, 0))
        await pilot.pause()
        assert app.heard == [("selected", "row-000"), ("moved", "row-003"), ("selected", "row-003")]


async def test_the_wheel_scrolls_without_moving_the_cursor() -> None:
    """Looking is not selecting."""
    app = Bench()
    async with app.run_test(size=(80, 10)) as pilot:
        app.view.show(rows(30), header=1)
        await pilot.pause()
        app.view.on_mouse_scroll_down()
        await pilot.pause()
        assert app.view.hidden == (3, 18)
        assert app.view.cursor_id == "row-000"
        app.view.on_mouse_scroll_up()
        assert app.view.hidden == (0, 21)


async def test_plain_cells_need_no_escape_code() -> None:
    """D1: on the terminal's own background, what is normal is written as bare text."""
    app = Bench(cursor=False)
    async with app.run_test(size=(80, 24)) as pilot:
        app.view.show(rows(10), header=1)
        await pilot.pause()
        assert "\x1b" not in app.escape_codes()


async def test_another_theme_redraws() -> None:
    """The cache of strips does not outlive the theme it was made for."""
    app = Bench(cursor=False)
    async with app.run_test(size=(80, 24)) as pilot:
        app.view.show([Line((Cell("bad", "breach"),))])
        await pilot.pause()
        dark = app.escape_codes()
        app.theme = "tidegate-light"
        await pilot.pause()
        light = app.escape_codes()
        app.theme = "textual-dark"
        await pilot.pause()
        assert len({dark, light, app.escape_codes()}) == 3
        assert "\x1b" not in app.escape_codes()


async def test_markup_is_only_text() -> None:
    """A label that looks like markup, or like a link, is drawn as it is."""
    app = Bench()
    async with app.run_test(size=(80, 24), tooltips=True, notifications=True) as pilot:
        app.view.show([Line((Cell("   [/nope] [@click=app.quit]x[/]"),), "[/nope]")])
        await pilot.pause()
        await pilot.click(CountingView, offset=(20, 0))
        assert app.screen_text()[0] == "›  [/nope] [@click=app.quit]x[/]"
        assert app.is_running


async def test_the_cursor_does_not_reverse_bars() -> None:
    """A reversed full block reads as an empty one."""
    app = Bench()
    async with app.run_test(size=(80, 24)) as pilot:
        app.view.show([Line((Cell("   name "), Cell("█████", "graph"), Cell(" T2")), "a")])
        await pilot.pause()
        strip = app.view.render_line(0)
        reversed_text = [segment.text for segment in strip if segment.style and segment.style.reverse]
        assert reversed_text == ["›  name ", " T2"]


async def test_changing_the_pointer_redraws_the_cursor() -> None:
    """With the glyph set, the pointer changes too."""
    app = Bench()
    async with app.run_test(size=(80, 24)) as pilot:
        app.view.show(rows(3), header=1)
        await pilot.pause()
        app.view.set_pointer(">")
        await pilot.pause()
        assert app.screen_text()[1].startswith(">  row-000")


def test_a_span_covers_what_differs_in_screen_columns() -> None:
    """Wide glyphs count twice; cells of other widths repaint to the end."""
    was = (Cell("北京"), Cell("1"), Cell("2"), Cell("3"))
    assert _span(was, (Cell("北京"), Cell("1"), Cell("9"), Cell("3")), 80) == Region(5, 0, 1, 1)
    assert _span(was, (Cell("北京"), Cell("7"), Cell("2"), Cell("9")), 80) == Region(4, 0, 3, 1)
    assert _span(was, (Cell("北京"), Cell("12"), Cell("2"), Cell("3")), 80) == Region(4, 0, 80, 1)
    assert _span(was, (Cell("北京"),), 80) == Region(0, 0, 80, 1)


def test_a_line_never_exceeds_its_width() -> None:
    """What would stick out is cut, and the cut is shown."""
    line = line_of((Cell("abc"), Cell("北京大", "p1"), Cell("never")), 7)
    assert line.text == "abc北… " or line.text == "abc北…"
    assert line_of((Cell("abc"), Cell("")), 7).cells == (Cell("abc"),)


async def test_the_cursor_is_drawn_where_it_is_though_the_text_is_the_same() -> None:
    """Two rows that look alike swap: only the cursor tells, so it must be painted."""
    app = Bench()
    async with app.run_test(size=(40, 6)) as pilot:
        alike = (Cell("   same"),)
        app.view.show([Line(alike, "a"), Line(alike, "b")])
        await pilot.pause()
        app.view.show([Line(alike, "b"), Line(alike, "a")])
        await pilot.pause()
        assert app.screen_text()[:2] == ["   same", "›  same"]
