"""Sparks."""

from tui.format import ASCII
from tui.store import GAP
from tui.widgets.spark import spark


def test_a_full_block_is_the_objective() -> None:
    """D4: at the objective the block is full, a hair below it is not, above it cannot be fuller."""
    assert spark((0.0, 1.5, 2.999, 3.0, 30.0), 3.0) == "▁▄▇██"


def test_values_stored_as_32_bit_floats_still_fill_the_block() -> None:
    """0.7 in 32 bits is a little less than 0.7; the picture must not say so."""
    assert spark((0.699999988,), 0.7) == "█"


def test_gaps_are_seen_as_gaps() -> None:
    """No value is neither zero nor the value before."""
    assert spark((1.0, GAP, 0.0), 1.0) == "█·▁"
    assert spark((GAP, 0.0), 1.0, ASCII) == " _"


def test_without_an_objective_the_scale_holds_still() -> None:
    """A decade is the scale, so small moves of the largest value move nothing else."""
    assert spark((1.2, 5.0)) == spark((1.2, 5.4))
    assert spark((10.0, 5.0)) == "█▄"
    assert spark((GAP, GAP)) == "··"
    assert spark(()) == ""
