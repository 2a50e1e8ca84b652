"""Stretches cut out of recordings that are not whole: numbers stay at their times, holes are told."""

from pathlib import Path

import pytest

from collectors.recording.layout import Kind, Tag
from collectors.recording.reader import Recording
from collectors.recording.trim import trim
from tests.recording_files import T0, Tape, simple_frame, simple_frames, tape_of, without


def cut(path: Path, out: Path, start: float = 0.0, end: float = 1e10) -> Recording:
    """All of it, or a stretch, as a recording of its own."""
    whole = Recording.open(path)
    try:
        trim(whole, max(start, whole.start), min(end, whole.end), out)
    finally:
        whole.close()
    return Recording.open(out)


def a_ring(folder: Path) -> list[Tape]:
    """Five segments of one recording, more than are read at once."""
    tapes = []
    chain = ""
    for number in range(5):
        facts = {"segment": number, "prev_chain": chain}
        tape = tape_of(simple_frames(20, T0 + 100 * number), facts=facts)
        tape.footer()
        chain = tape.chain.hex()
        tape.write(folder / f"2024010{number + 1}T000000Z-0123456789ab-{number:04}.tgrec")
        tapes.append(tape)
    return tapes


def test_a_segment_that_lost_frames_moves_no_other(tmp_path: Path) -> None:
    """Its footer counts one that is gone: those of the segments behind it keep their times all the same."""
    ring = tmp_path / "ring"
    ring.mkdir()
    tapes = a_ring(ring)
    data = bytearray(tapes[1].data)
    index, delta = tapes[1].of_kind(Kind.INDEX)[-1], tapes[1].of_kind(Kind.DELTA)[5]
    data[index.offset + 60] ^= 1
    data[delta.offset + 9] ^= 1
    tapes[1].write(ring / "20240102T000000Z-0123456789ab-0001.tgrec", bytes(data))
    recorded = {one.at: without(one).models for tape in tapes for one in tape.frames}
    out = cut(ring, tmp_path / "out.tgrec")
    shown = [out.picture(number) for number in range(out.frames)]
    assert {one.at for one in shown} >= {one.at for tape in tapes[2:] for one in tape.frames}
    assert all(one.models == recorded[one.at] for one in shown)
    late = cut(ring, tmp_path / "late.tgrec", T0 + 310, T0 + 330)
    assert [late.time_of(number) for number in range(late.frames)] == [T0 + 310 + 2 * n for n in range(11)]
    assert all(late.picture(n).models == recorded[late.time_of(n)] for n in range(late.frames))


def test_gaps_that_no_event_tells_are_told_in_the_cut(tmp_path: Path) -> None:
    """Between two runs, between segments, where one is missing, and where frames are damaged."""
    ring = tmp_path / "ring"
    ring.mkdir()
    a_ring(ring)
    (ring / "20240103T000000Z-0123456789ab-0002.tgrec").unlink()
    whole = Recording.open(ring)
    out = cut(ring, tmp_path / "out.tgrec")
    assert out.gaps == whole.gaps and len(out.gaps) == 3
    assert [gap.why for gap in out.gaps] == ["nobody recorded", "1 segment is missing", "nobody recorded"]
    whole.close()


@pytest.mark.parametrize("is_told", [False, True])
def test_two_runs_in_one_file_stay_apart(tmp_path: Path, is_told: bool) -> None:
    """Whether the recorder told the gap, or only began again; it is told once."""
    tape = tape_of(simple_frames(10))
    tape.at = T0 + 3600
    body = {"from": T0 + 18, "to": T0 + 3600, "why": "nobody recorded"}
    tape.note(Tag.GAP if is_told else Tag.RUN_START, body)
    tape.frame(simple_frame(10, T0 + 3600))
    path = tape.write(tmp_path / "a.tgrec")
    out = cut(path, tmp_path / "out.tgrec")
    assert [tuple(gap) for gap in out.gaps] == [(T0 + 18, T0 + 3600, "nobody recorded")]
    assert len(list(out.noted(T0, T0 + 4000, {Kind.EVENT}, {Tag.GAP}))) == 1
