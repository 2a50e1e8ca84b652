"""The line that a frame is without a screen, and the table for a script."""

from dataclasses import replace

from collectors.readings import reading
from tests.frames import AT, demo_frame
from tests.newcomer_frames import mixed_frame, newcomer_frame
from tui.headless import _as_table, headline


def test_the_worst_wait_is_never_all_tiers_beside_their_own() -> None:
    """What stands under `all` holds the same requests; it is told for a model that has nothing else."""
    frame = mixed_frame()
    assert headline(replace(frame, models=frame.models[:1])).endswith("(llama-3-70b -10)")
    assert headline(frame).endswith("(sglang-mix all)")


def test_one_of_a_kind_is_told_as_one() -> None:
    """Grammar."""
    frame = mixed_frame()
    single = replace(frame, models=frame.models[:1], totals={"accelerators": reading("accelerators", 1, AT)})
    assert "  1 accelerator  1 model  " in headline(single)
    assert "  64 accelerators  2 models  " in headline(frame)


def test_a_line_has_no_time_before_it_is_known() -> None:
    """The first frame of a simulated fleet stands at the real time: the next one may be hours earlier."""
    early = replace(demo_frame(AT), models=(), events=(), plane=None)
    assert headline(early).startswith("DEMO SIMULATED  ")
    assert headline(demo_frame(AT)).split("  ")[0].endswith("Z")
    assert headline(replace(early, simulated=False)).split("  ")[0].endswith("Z")


def test_the_table_has_no_columns_of_dashes() -> None:
    """Without a plane and without rollouts, as on the screen."""
    heading = _as_table(newcomer_frame(), 120).splitlines()[0]
    assert "GPUs" in heading
    assert "prio 100  prio 10   prio 0 prio -10" in heading
    assert not any(word in heading for word in ("STAGE", "WT%", "THR"))
    assert "THR" in _as_table(demo_frame(), 120).splitlines()[0]
