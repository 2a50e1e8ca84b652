"""The name of a model in a column: its cluster, and the mark of how far its numbers go together."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.readings import NEVER, Quality, reading
from collectors.text import clean
from tests.cluster_frames import DRIFTING, having, little, served_by
from tests.frames import AT, HOSTILE, model
from tui.format import ASCII, GLYPHS, UNICODE, width_of
from tui.widgets.name import grade, name_cells, name_width, named, truth_mark

OPEN = ((0.1, 0.2, 0.1),) * 4
LLAMA = "llama-3-70b-instruct@eu-west-1"


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (40, "llama-3-70b-instruct@eu-west-1          "),
        (30, "llama-3-70b-instruct@eu-west-1"),
        (23, "llama-3-70b-…@eu-west-1"),
        (20, "llama-3-70b…@…west-1"),
        (17, "llama-3-7…@…est-1"),
        (12, "llama…@…st-1"),
        (8, "lla…@…-1"),
    ],
)
def test_a_cut_name_keeps_both_its_parts(width: int, shown: str) -> None:
    """The model down to twelve cells, then the cluster from its front, then the model: never one alone."""
    assert "".join(named(LLAMA, "eu-west-1", width)) == shown.ljust(width)


def test_two_clusters_of_one_model_differ_in_every_column() -> None:
    """However narrow, `eu-west-1` and `eu-west-2` are two rows that can be told apart."""
    for width in range(8, 40):
        assert named(LLAMA, "eu-west-1", width) != named(LLAMA[:-1] + "2", "eu-west-2", width), width


@given(
    st.one_of(st.sampled_from(HOSTILE), st.text(max_size=30)).map(clean),
    st.one_of(st.just(""), st.sampled_from(HOSTILE), st.text(max_size=20)).map(clean),
    st.integers(1, 60),
    st.sampled_from(sorted(GLYPHS)),
)
def test_a_name_has_exactly_its_width(name: str, cluster: str, width: int, glyphs: str) -> None:
    """T4: any text in any width, whichever set draws it."""
    full = f"{name}@{cluster}" if cluster else name
    assert width_of("".join(named(full, cluster, width, GLYPHS[glyphs]))) == width
    one = having(replace(model("m", OPEN), name=full, cluster=cluster), little_error=little(0.02))
    assert sum(width_of(cell.text) for cell in name_cells(one, width, GLYPHS[glyphs])) == width


def test_the_cluster_is_dim_and_the_mark_stands_at_the_end() -> None:
    """What differs between rows of one model is beside the name, not in its way."""
    one = having(served_by(model("m", OPEN), "eu"), little_error=little(0.41))
    assert name_width(one) == len("m@eu") + 1
    cells = name_cells(one, 12)
    assert [(cell.text.strip(), cell.role) for cell in cells] == [
        ("m", "text"),
        ("@eu", "muted"),
        ("≠", "suspect"),
    ]
    assert {cell.role for cell in name_cells(one, 12, no_data=True)[:2]} == {"stale"}


def test_every_truth_has_a_shape_of_its_own() -> None:
    """D2: agrees, nearly, differs, old, cannot be told, gone, never checked; none is loud but `differs`."""
    old = replace(little(0.02), quality=Quality.STALE)
    for glyphs in (UNICODE, ASCII):
        marks = [
            truth_mark(one, glyphs)
            for one in (little(0.10), little(0.25), little(0.26), old, DRIFTING, NEVER)
        ]
        texts = [mark.text for mark in marks if mark is not None]
        assert len(set(texts)) == len(texts) == 6
        assert all(width_of(text) == 1 for text in texts)
        assert [mark.role for mark in marks if mark is not None].count("suspect") == 1
    assert truth_mark(None) is None


def test_grades_follow_the_error() -> None:
    """Up to 10 % A, up to 25 % B; above, and for whatever the source calls suspect, none."""
    assert [grade(little(error)) for error in (0.0, 0.1, 0.11, 0.25, 0.26)] == ["A", "A", "B", "B", ""]
    assert grade(reading("little_error", 0.02, AT, Quality.SUSPECT)) == ""
    assert grade(NEVER) == ""


def test_a_narrow_column_is_all_name() -> None:
    """Below ten cells the name needs each of them."""
    one = having(model("abcdefghij", OPEN), little_error=little(0.02))
    assert [cell.text for cell in name_cells(one, 9)] == ["abcdefgh…", ""]
    assert [cell.text for cell in name_cells(one, 11)] == ["abcdefghij", "", "="]
