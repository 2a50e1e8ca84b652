"""Reconstructions from a real Prometheus whose past is known sample by sample."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from collectors.live import known_presets
from collectors.prometheus.answer import rows
from collectors.prometheus.wire import Sample
from collectors.readings import Interval, Quality
from collectors.reconstruct import progress
from collectors.reconstruct.run import FileError
from collectors.recording.exports.openmetrics import write_openmetrics
from collectors.recording.exports.readings import Changes
from collectors.recording.layout import BACKFILLED, FRAMES, Tag
from collectors.recording.reader import Recording
from collectors.recording.verify import verify
from collectors.signals.promql import render
from collectors.signals.quantiles import interval
from tests.backfill import Fleet, remembering
from tests.integration.conftest import asked
from tests.reconstructed import (
    FLEET,
    GAP,
    GONE_FROM,
    HOURS_S,
    START,
    STEP_S,
    TIERS,
    context_of,
    frames_of,
    made,
    no_surroundings,  # noqa: F401  # a fixture
    reconstruction,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Three models in two tiers for two hours, with a quarter of an hour lost, and one model that ends."""
    with remembering(tmp_path_factory.mktemp("past"), FLEET.lines()) as base:
        yield base


@pytest.fixture(scope="module")
def whole(url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of it, in stretches of ten minutes."""
    out = tmp_path_factory.mktemp("whole") / "whole.tgrec"
    done = made(reconstruction(url, out, START, START + HOURS_S, stretch=40))
    assert (done.frames, done.troubles) == (481, ())
    assert [one.name for one in out.parent.iterdir() if one.suffix != ".toml"] == ["whole.tgrec"]
    return out


def test_every_frame_is_what_was_sampled(whole: Path) -> None:
    """Each model and tier at each moment; where nothing was scraped nothing is shown once it is old."""
    frames = frames_of(whole)
    assert [frame.at for frame in frames] == [START + STEP_S * n for n in range(481)]
    seen = 0
    for frame in frames:
        since_gap = frame.at - GAP[0]
        if frame.at <= GAP[0] + 600:
            assert len(frame.models) == 3, "a stretch that begins in the gap knows what was before"
        for number, model in enumerate(frame.models):
            assert model.name == f"m-{number:02}"
            for place, tier in enumerate(TIERS):
                for name, value in (("waiting", FLEET.waiting), ("running", FLEET.running)):
                    one = model.tiers[tier][name]
                    last = GAP[0] - STEP_S if 0 <= since_gap < GAP[1] - GAP[0] else frame.at
                    if number == 2:
                        last = min(last, GONE_FROM - STEP_S)
                    age = frame.at - last
                    # The oldest scrape of a stack is the time of all of it, until it is known to be the last.
                    assert one.at == (GONE_FROM - STEP_S if frame.at == GONE_FROM else last)
                    if age <= 2 * STEP_S:
                        assert one.quality is Quality.GOOD
                    elif age <= 5 * STEP_S:
                        assert (one.quality, one.reason.code) == (Quality.STALE, "stale")
                    else:
                        assert (one.value, one.quality) == (None, Quality.MISSING)
                        continue
                    assert one.value == value(number, place, last)
                    seen += 1
    assert seen > 4000
    gone = [frame for frame in frames if len(frame.models) == 2]
    assert gone, "a model that nobody names any more leaves the screen"
    assert gone[0].at - (GONE_FROM - STEP_S) > 600


def test_quantiles_are_those_of_instant_queries(url: str, whole: Path, tmp_path: Path) -> None:
    """The same definition, asked at one moment and merged here: bounds and estimate are equal."""
    presets = known_presets(context_of(url, tmp_path))
    wait = next(d for p in presets if p.stack == "vllm" for d in p.definitions if d.signal == "queue_wait")
    names = frozenset({"vllm:request_queue_time_seconds_bucket"})
    query = render(wait, window_s=60.0, present=names)
    frames = frames_of(whole)
    checked = 0
    for frame in frames[10:470:40]:
        if GAP[0] <= frame.at < GAP[1] + 60:
            continue
        samples = [Sample(e["metric"], value=tuple(e["value"])) for e in asked(url, query, frame.at)]
        for row in rows(wait, samples):
            model = row.labels["model_name"].removeprefix("acme/")
            shown = next(m for m in frame.models if m.name == model).tiers[row.labels["namespace"]]
            theirs = interval(row.value, 0.99)  # type: ignore[arg-type]  # of a histogram
            ours = shown["queue_wait_p99"].value
            assert isinstance(ours, Interval), (frame.at - START, model, shown["queue_wait_p99"])
            assert theirs is not None
            assert (ours.lo, ours.hi) == (theirs.lo, theirs.hi)
            assert ours.estimate == pytest.approx(theirs.estimate, abs=0.0006)
            checked += 1
    assert checked > 40


def test_the_file_says_what_it_is(whole: Path) -> None:
    """Back-filled, record by record; sound; nothing of this machine; the plane not recorded; the gap told."""
    recording = Recording.open(whole)
    facts = recording.header.facts
    assert (facts["source"], facts["host"], facts["boot"], facts["zone"]) == ("backfill", "", "", "UTC")
    gaps = recording.gaps
    assert GAP[0] <= gaps[0].start <= GAP[0] + 2 * STEP_S
    assert gaps[-1].end == GAP[1]
    assert all(gap.why for gap in gaps)
    assert [one.tag for one in recording.noted(START, START + HOURS_S) if one.tag == Tag.RUN_START] == [1]
    frame = recording.frame(100)
    assert (frame.plane, frame.throttles, frame.releases) == (None, (), ())
    assert [note.code for note in frame.notes] == ["plane-not-recorded"]
    assert {m.throttle for m in frame.models} == {None}
    segment = recording.segments[0] if hasattr(recording, "segments") else None
    if segment is not None:
        flags = {
            segment.stored(row)[0].flags & BACKFILLED
            for row in range(20)
            if segment.table.kind[row] in FRAMES
        }
        assert flags == {BACKFILLED}
    recording.close()
    assert verify(whole).is_sound


PROGRAM = """
import asyncio, sys
from pathlib import Path
import tests.reconstructed as t
url, out, start, end = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
t.made(t.reconstruction(url, out, start, end, stretch=40))
"""


def test_killed_and_run_again_it_is_the_same_file(url: str, whole: Path, tmp_path: Path) -> None:
    """SIGKILL in the middle of stretches, again and again: the same bytes in the end, and no sidecar."""
    out = tmp_path / "killed.tgrec"
    command = [sys.executable, "-c", PROGRAM, url, str(out), str(START), str(START + HOURS_S)]
    root = Path(__file__).parents[2]
    cuts = []
    for at_least in (2, 7):
        process = subprocess.Popen(command, cwd=root, env={**os.environ, "PYTHONPATH": str(root)})
        deadline = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < deadline:
            known = progress.read(out)
            if known is not None and known.done >= at_least and out.stat().st_size > known.size + 500:
                break
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        known = progress.read(out)
        assert known is not None, "it was killed before it was done"
        cuts.append(out.stat().st_size - known.size)
    assert all(cut > 0 for cut in cuts), "in the middle of a stretch"
    done = made(reconstruction(url, out, START, START + HOURS_S, stretch=40))
    assert done.frames == 481
    assert out.read_bytes() == whole.read_bytes()
    assert not progress.sidecar(out).exists()
    again = made(reconstruction(url, out, START, START + HOURS_S, stretch=40))
    assert again.was_whole


def test_where_it_was_killed_does_not_matter(url: str, tmp_path: Path) -> None:
    """Before the first stretch, between the last and the end, with half a record behind: the same bytes."""
    end = START + 1200
    whole, out = tmp_path / "a" / "x.tgrec", tmp_path / "b" / "x.tgrec"
    whole.parent.mkdir()
    out.parent.mkdir()
    made(reconstruction(url, whole, START, end, stretch=40))
    work = reconstruction(url, out, START, end, stretch=40)

    class Killed(Exception):
        pass

    for after in (1, 41, 81):

        def step(one: object, after: int = after) -> None:
            if one.done == after:  # type: ignore[attr-defined]  # a step
                raise Killed

        with pytest.raises(Killed):
            asyncio.run(work.run(step, lambda cost, first: True))
        with out.open("ab") as file:
            file.write(b"\xf5TGREC\r\n half a record")
        work = reconstruction(url, out, START, end, stretch=40)
    made(work)
    assert out.read_bytes() == whole.read_bytes()
    # As if it had been killed before the sidecar was removed.
    kept = tmp_path / "c" / "x.tgrec"
    kept.parent.mkdir()
    real, progress.remove = progress.remove, lambda file: None
    try:
        made(reconstruction(url, kept, START, end, stretch=40))
    finally:
        progress.remove = real
    assert progress.sidecar(kept).exists()
    made(reconstruction(url, kept, START, end, stretch=40))
    assert kept.read_bytes() == whole.read_bytes()


def test_other_arguments_do_not_touch_a_file(url: str, whole: Path, tmp_path: Path) -> None:
    """Neither one that is whole nor one that is begun."""
    before = whole.read_bytes()
    with pytest.raises(FileError, match="is there, and was not changed"):
        made(reconstruction(url, whole, START, START + 600))
    assert whole.read_bytes() == before


def test_what_is_not_kept_is_told(url: str, tmp_path: Path) -> None:
    """From when there is data; where there is none at all, that; and nothing is written then."""
    told: list[float] = []
    work = reconstruction(url, tmp_path / "early.tgrec", START - 86_400, START + 300)
    done = asyncio.run(work.run(lambda step: None, lambda cost, first: not told.append(first)))  # type: ignore[func-returns-value]  # to keep it
    assert done is not None
    assert told == [START]
    assert (done.start, done.frames) == (START, 21)
    nothing = reconstruction(url, tmp_path / "none.tgrec", START - 86_400, START - 80_000)
    with pytest.raises(Exception, match="nothing is kept of that span"):
        made(nothing)
    assert not (tmp_path / "none.tgrec").exists()


def test_the_log_of_the_plane_fills_in_what_it_tells(url: str, tmp_path: Path) -> None:
    """Throttles and events at their time; no note that they are missing."""
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(START + 930))
    log = json.dumps([{
        "kind": "audit", "id": "a-1", "seq": 1, "at": at, "actor": "ann", "op": "throttle.set",
        "resource": "/v1/throttles/voice/free", "reason": "queue grows", "result": "applied",
        "before": {"level": 1.0, "expires_at": None}, "after": {"level": 0.3, "expires_at": None},
    }])  # fmt: skip
    out = tmp_path / "log.tgrec"
    made(reconstruction(url, out, START + 900, START + 960, log=log))
    frames = frames_of(out)
    assert [frame.throttles[0].level for frame in frames] == [1.0, 1.0, 0.3, 0.3, 0.3]
    (event,) = [event for frame in frames for event in frame.events]
    assert (event.actor, event.subject) == ("ann", "voice/free")
    assert not any(note.code == "plane-not-recorded" for note in frames[0].notes)


def test_without_scrapes_samples_say_how_old_they_are(tmp_path: Path) -> None:
    """Pushed or filled-in data has no `up` and no mark at its end: nothing goes on for minutes."""
    fleet = Fleet(1, TIERS, START, 1800, STEP_S, gaps=[(START + 900, START + 1140)], scraped=False)
    out = tmp_path / "pushed.tgrec"
    with remembering(tmp_path / "past", fleet.lines()) as url:
        made(reconstruction(url, out, START + 300, START + 1800))
    for frame in frames_of(out):
        one = frame.models[0].tiers["gold"]["waiting"]
        last = START + 885 if START + 900 <= frame.at < START + 1140 else frame.at
        assert one.at == last
        if frame.at - last > 5 * STEP_S:
            assert one.value is None
        else:
            assert one.value == fleet.waiting(0, 0, last)
        tokens = frame.models[0].tiers["gold"]["tokens_out"]
        if tokens.quality is Quality.GOOD and tokens.value is not None:
            assert isinstance(tokens.value, float)
            assert 12_000 < tokens.value < 18_000, "no rate of a window that is half full"


def test_an_export_comes_back_cell_by_cell(whole: Path, tmp_path: Path) -> None:
    """Recording to text to Prometheus to recording: the same number in each cell, with its bounds."""
    frames = [frame for frame in frames_of(whole) if frame.at <= START + 3600]
    changes = Changes()
    text = tmp_path / "export.om"
    with text.open("wb") as file:
        write_openmetrics(file, (row for frame in frames for row in changes.rows(frame)), str(tmp_path))
    lines = text.read_text(encoding="utf-8").splitlines()[:-1]
    out = tmp_path / "again.tgrec"
    with remembering(tmp_path / "past", lines) as url:
        made(reconstruction(url, out, START, START + 3600, step=STEP_S))
    again = {frame.at: frame for frame in frames_of(out)}
    compared = 0
    for frame in frames:
        models = {model.name: model for model in again[frame.at].models}
        for model in frame.models:
            for tier, readings in (("", model.readings), *model.tiers.items()):
                for name, one in readings.items():
                    theirs = models[model.name].reading(name, tier or None)
                    if one.quality in {Quality.GOOD, Quality.SUSPECT} and one.value is not None:
                        assert theirs.value == one.value, (frame.at - START, model.name, tier, name)
                        compared += 1
                    else:
                        assert theirs.value is None, (frame.at - START, model.name, tier, name)
    assert compared > 8_000
