"""A replay shows what the operator saw, cell by cell."""

from pathlib import Path

import pytest

from collectors.demo import DemoOptions
from tests.faithful import SIZES, VIEWS, differences, recorded

pytestmark = pytest.mark.slow


async def test_a_replay_draws_what_was_seen(tmp_path: Path) -> None:
    """A demo is recorded while it is looked at on three screens at three sizes; the replay of each instant
    equals it in every cell, but for the lines that tell the clock and the mode."""
    file = tmp_path / "demo.tgrec"
    seen = await recorded(file, DemoOptions(speed=30.0), 2 * len(SIZES) * len(VIEWS), (0.1, 0.5))
    wrong = await differences(file, seen)
    assert len({one.rows for one in seen}) == len(seen)
    assert not wrong, "\n".join(map(str, wrong[:5]))
