"""The heat map: cells, marks, pages, and what a change costs."""

from dataclasses import replace

import pytest

from collectors.changes import BUSY_MARGIN, kept_nodes
from collectors.fleet import MISSING_CELL, STALE_CELL, Node
from tests.frames import demo_frame, nodes
from tests.newcomer_frames import hosts
from tui.format import ASCII, UNICODE, width_of
from tui.widgets import heat_map
from tui.widgets.heat_map import HeatCache, heat_height, heat_lines


def node(
    name: str, busy: list[int], marks: str = "", pool: str = "gpu", models: tuple[str, ...] = ("m",)
) -> Node:
    """A host with accelerators of the given busy time."""
    return Node(name, pool, bytes(busy), marks.ljust(len(busy)), models)


def test_five_shades_by_fixed_thresholds() -> None:
    """Each fifth of busy time has a shade; stale and drained cells have shapes of their own."""
    host = node("r1/n01", [0, 19, 20, 59, 80, 100, STALE_CELL, MISSING_CELL])
    assert heat_lines((host,), 120, 4)[1].text == "r1/n01│  ░▒██~·│"
    assert heat_lines((host,), 120, 4, ASCII)[1].text == "r1/n01|..:-##~_|"


def test_busy_has_no_colour_and_faults_do() -> None:
    """D3: 100 % is on target; X, t, e and no data are not, and each has its letter."""
    host = node("r1/n01", [100, 100, 100, 100, STALE_CELL], " Xte")
    cells = heat_lines((host,), 120, 4)[1].cells
    assert [(c.text, c.role) for c in cells] == [
        ("r1/n01│", "muted"),
        ("█", "heat"),
        ("X", "fault"),
        ("t", "thermal"),
        ("e", "fault"),
        ("~", "missing"),
        ("│", "muted"),
    ]


def test_an_idle_accelerator_is_marked_only_while_its_model_queues() -> None:
    """D3: nothing to do is not abnormal; nothing done while requests wait is."""
    hosts = (node("r1/n01", [5, 90]), node("r1/n02", [5, 90], models=("other",)))
    assert heat_lines(hosts, 120, 4)[1].text == "r1/n01│ █│  r1/n02│ █│"
    assert heat_lines(hosts, 120, 4, queued=frozenset({"m"}))[1].text == "r1/n01│i█│  r1/n02│ █│"


def test_the_worst_mark_of_a_node_wins() -> None:
    """D5: at one cell a node, one fault among idle thermal marks is seen."""
    hosts = (
        node("r1/n01", [90, 90, STALE_CELL], "tX "),
        node("r1/n02", [90, 50, STALE_CELL]),
        node("r1/n03", [90, 50]),
    )
    assert heat_lines(hosts, 34, 2)[1].text == "r1 X~▓"


def test_jitter_around_a_threshold_draws_nothing() -> None:
    """D17: two percent either way of a threshold changes no cell; a real move does."""
    seen, before = set(), (node("r1/n01", [79] * 8),)
    for busy in (79, 80, 81, 80, 79, 78, 82, 79):
        before = kept_nodes(before, (node("r1/n01", [busy] * 8),))
        seen.add(heat_lines(before, 120, 4)[1].text)
    assert len(seen) == 1
    after = kept_nodes(before, (node("r1/n01", [90] * 8),))
    assert heat_lines(after, 120, 4)[1].text == f"r1/n01│{'█' * 8}│"


@pytest.mark.parametrize(
    ("before", "busy", "told"),
    [
        (79, 80, 79), (79, 82, 79), (79, 83, 83), (80, 79, 80), (80, 77, 80), (80, 76, 76), (0, 22, 19),
        (0, 23, 23), (0, 0, 0), (100, 100, 100), (85, 100, 100), (100, 80, 80), (100, 78, 80), (19, 60, 60),
        (STALE_CELL, 20, 20), (19, STALE_CELL, STALE_CELL), (MISSING_CELL, 20, 20),
        (19, MISSING_CELL, MISSING_CELL),
    ],
)  # fmt: skip
def test_a_value_near_an_edge_stays_on_its_side(before: int, busy: int, told: int) -> None:
    """By less than the margin past it the edge itself is told, and no value is further off than that."""
    (kept,) = kept_nodes((node("n", [before]),), (node("n", [busy]),))
    assert kept.busy == bytes([told])
    assert abs(busy - told) <= BUSY_MARGIN


def test_a_node_of_another_size_or_pool_is_taken_as_it_is() -> None:
    """Its accelerators are others."""
    was = node("n", [19, 19])
    for now in (node("n", [20]), node("n", [20, 20], pool="other"), node("other", [20, 20])):
        assert kept_nodes((was,), (now,)) == (now,)
    assert kept_nodes((was,), (node("n", [20, 20]),))[0] is was


def test_a_node_that_is_the_same_object_is_not_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame costs what changed in it."""
    drawn: list[str] = []
    original = heat_map._draw

    def counted(one: Node, *rest: object) -> object:
        drawn.append(one.name)
        return original(one, *rest)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(heat_map, "_draw", counted)
    cache, hosts = HeatCache(), nodes(4)
    heat_lines(hosts, 120, 10, cache=cache)
    assert len(drawn) == len(hosts)
    drawn.clear()
    heat_lines((replace(hosts[0], busy=bytes(8)), *hosts[1:]), 120, 10, cache=cache)
    assert drawn == [hosts[0].name]


def test_the_finest_cell_that_needs_few_pages() -> None:
    """T2: an accelerator, else a node, else a rack."""
    hosts = nodes(22)
    assert "one a cell" in heat_lines(hosts, 120, 10)[0].text
    assert "rows 1-9 of 22" in heat_lines(hosts, 120, 10)[0].text
    assert "cell = node" in heat_lines(hosts, 80, 8)[0].text
    assert "rows" not in heat_lines(hosts, 80, 8)[0].text
    assert "one a cell" in heat_lines(hosts, 200, 30)[0].text
    assert "cell = rack" in heat_lines(nodes(200), 80, 4)[0].text


def test_marks_on_other_pages_are_counted_in_the_heading() -> None:
    """T2, D13: nothing abnormal vanishes because it is on another page."""
    hosts = demo_frame().nodes
    first, last = heat_lines(hosts, 120, 10), heat_lines(hosts, 120, 10, page=2)
    assert "off page ~ 8" in first[0].text
    assert "X 2 t 4 ~ 8" in last[0].text
    assert heat_lines(hosts, 120, 10, page=3) == first
    whole = heat_lines(hosts, 120, 60)
    assert "off page" not in whole[0].text


def test_marks_in_use_are_explained() -> None:
    """A letter nobody knows says nothing; a legend for letters not there is noise."""
    heading = heat_lines(demo_frame().nodes, 160, 40)[0].text
    assert "X fault" in heading
    assert "ECC" not in heading
    assert "X" not in heat_lines(nodes(3), 120, 10)[0].text


def test_racks_are_told_by_name_and_pool() -> None:
    """Names without their last number make a rack; pools never share a row; addresses lose their port."""
    hosts = (
        *(node(f"gpu-node-{n}", [90], pool="a") for n in range(9)),
        node("10.0.3.17:9400", [90], pool="a"),
        node("ip-10-0-3-17.ec2.internal", [90], pool="b"),
    )
    rows = [line.text for line in heat_lines(hosts, 60, 3)[1:]]
    assert rows == ["gpu-node  █████████ █", "ip-10-0-3 █"]
    rows = [line.text for line in heat_lines(hosts, 100, 3)[1:]]
    assert rows == ["gpu-node  █ █ █ █ █ █ █ █ █  █", "ip-10-0-3 █"]
    assert heat_lines(hosts, 100, 9)[2].text.split() == [
        "gpu-node-6",
        "│█│",
        "gpu-node-7",
        "│█│",
        "gpu-node-8",
        "│█│",
        "10.0.3.17",
        "│█│",
    ]


def test_names_that_form_no_racks_are_shown_by_pool() -> None:
    """Random names would be one rack each."""
    hosts = tuple(node(f"gke-{letter * 4}x", [90] * 2) for letter in "abcdefghijklmnop")
    assert heat_lines(hosts, 120, 2)[1].text == "gpu" + " ██" * 16


def test_few_hosts_have_places_of_their_own() -> None:
    """Which of eight hosts has the fault is read, not counted in cells; a name keeps its number."""
    eight = heat_lines(hosts(8), 120, 8)
    assert [line.text for line in eight[1:]] == [
        "gpu-node-01│████████│  gpu-node-02│████████│  gpu-node-03│██X█████│  gpu-node-04│████████│  "
        "gpu-node-05│██████e█│",
        "gpu-node-06│████████│  gpu-node-07│████████│  gpu-node-08│████████│",
    ]
    assert heat_height(hosts(8), 120) == 3
    assert heat_lines(hosts(1), 120, 8)[1].text == "gpu-node-01│████████│"
    assert "gpu-node-03│██X█████│" in heat_lines(hosts(8), 80, 4)[1].text


def test_hosts_without_a_place_of_their_own_stand_apart_where_that_fits() -> None:
    """A gap between two hosts, a wider one between racks; without the room for it, all of them close by."""
    one_row = heat_lines(hosts(8), 120, 2)[1].text
    assert one_row == "gpu-node ████████ ████████ ██X█████ ████████ ██████e█ ████████ ████████ ████████"
    assert heat_lines(hosts(14), 124, 2)[1].text == "gpu-node " + 18 * "█" + "X" + 19 * "█" + "e" + 73 * "█"


def test_who_has_a_fault_is_named() -> None:
    """The host, and which of its accelerators, as many as there is room for; among slices the host alone."""
    heading = heat_lines(hosts(60), 120, 9)[0].text
    assert "X fault gpu-node-03/2  e ECC gpu-node-05/6" in heading
    many = tuple(replace(one, marks="X X     ") for one in hosts(8))
    named = "X fault gpu-node-01/0,2 gpu-node-02/0,2"
    assert f"{named} gpu-node-03/0,2 gpu-node-04/0,2 +4 " in heat_lines(many, 120, 9)[0].text
    assert f"{named} +6 " in heat_lines(many, 80, 9)[0].text
    assert "X fault gpu-node-03  e ECC" in heat_lines(hosts(60), 120, 9, slices=2)[0].text


def test_cells_that_are_not_accelerators_are_told_apart_from_them() -> None:
    """Three cards and two slices of a fourth: five cells, four accelerators."""
    five = hosts(1, 5)
    assert (
        "one a cell, slices too: 5 cells, 4 GPUs "
        in heat_lines(five, 120, 4, accelerators=4, slices=2)[0].text
    )
    assert "one a cell, slices too " in heat_lines(five, 120, 4, accelerators=5, slices=2)[0].text
    assert "one a cell " in heat_lines(five, 120, 4, accelerators=5)[0].text
    assert "one a cell: 5 cells, 1 GPU " in heat_lines(five, 120, 4, accelerators=1)[0].text


def test_a_long_rack_goes_over_several_rows_and_loses_nothing() -> None:
    """Every accelerator is drawn once, even of a node wider than a row."""
    hosts = (node("r1/n01", [100] * 300), *(node(f"r1/n{n:02d}", [100] * 8) for n in range(2, 40)))
    lines = heat_lines(hosts, 120, 20)
    assert sum(line.text.count("█") for line in lines) == 300 + 38 * 8
    assert lines[2].text.startswith("   █")


@pytest.mark.parametrize("width", [8, 20, 40, 80, 120, 300])
def test_no_line_exceeds_the_width_and_the_page_its_height(width: int) -> None:
    """T4."""
    for height in (2, 3, 10, 60):
        lines = heat_lines(demo_frame().nodes, width, height)
        assert len(lines) <= height
        assert all(width_of(line.text) <= width for line in lines)


def test_height_wanted_is_the_height_of_the_whole_map() -> None:
    """A screen with that many rows shows all of it on one page."""
    hosts = nodes(22)
    for width in (80, 120, 200):
        wanted = heat_height(hosts, width)
        assert len(heat_lines(hosts, width, wanted)) == wanted
        assert "rows" not in heat_lines(hosts, width, wanted)[0].text
    assert heat_height((), 120) == 0


def test_nothing_without_nodes_or_room() -> None:
    """No heading over nothing."""
    assert heat_lines((), 120, 10) == heat_lines(nodes(2), 120, 1) == heat_lines(nodes(2), 5, 10) == ()
    assert heat_lines((node("empty", []),), 120, 4)[0].text.startswith("─ ACCELERATORS")


def test_both_glyph_sets_are_as_wide() -> None:
    """The set switches as a whole."""
    wide = [width_of(line.text) for line in heat_lines(demo_frame().nodes, 120, 10, UNICODE)]
    assert wide == [width_of(line.text) for line in heat_lines(demo_frame().nodes, 120, 10, ASCII)]
