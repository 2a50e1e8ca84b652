"""`tidegate record` as a process of its own; sizes of recordings, and exports of many frames."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import recording_data
from benchmarks.recording_size import BUDGETS, written
from collectors.fleet import Model
from collectors.readings import Interval, reading
from collectors.recording.codec import Numbers
from collectors.recording.reader import Recording
from collectors.recording.redact import Redaction
from collectors.recording.ring import RingLimits, segments
from collectors.recording.stream import Stamp, Stream
from collectors.recording.verify import verify
from tests.frames import AT, demo_frame
from tests.integration.scrape_site import Site, sent
from tests.promtool import promtool

pytestmark = pytest.mark.slow

PAGE = (
    b'vllm:num_requests_running{model_name="llama"} 3\nvllm:num_requests_waiting{model_name="llama"} 1\n'
    b'vllm:gpu_cache_usage_perc{model_name="llama"} 0.5\n'
)
TIDEGATE = (sys.executable, "-m", "tui")

Record = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def page() -> Iterator[str]:
    """An engine's page."""
    site = Site()
    site.replies["/metrics"] = sent(PAGE)
    yield site.url("/metrics")
    site.close()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Record]:
    """Commands as processes, whose state and configuration lie in the test's own folder."""
    children: list[subprocess.Popen[str]] = []
    environment = {
        **os.environ,
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "PYTHONWARNINGS": "error",
    }

    def start(*arguments: str | Path) -> "subprocess.Popen[str]":
        command = [*TIDEGATE, *map(str, arguments)]
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        children.append(child)
        return child

    yield start
    for child in children:
        if child.poll() is None:
            child.kill()
        child.communicate()


def until(holds: Callable[[], bool], within_s: float = 20.0) -> None:
    ends = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < ends, "it never came to be"
        time.sleep(0.05)


def frames_in(file: Path) -> int:
    if not file.exists() or file.stat().st_size < 100:
        return 0
    recording = Recording.open(file)
    try:
        return recording.frames
    finally:
        recording.close()


def test_it_records_until_it_is_told_to_stop(page: str, run: Record, tmp_path: Path) -> None:
    """SIGTERM: a footer, a sound file that its owner alone can read, exit status 0."""
    file = tmp_path / "night.tgrec"
    child = run("record", "--scrape", page, "--out", file)
    until(lambda: frames_in(file) >= 2)
    child.send_signal(signal.SIGTERM)
    out, err = child.communicate(timeout=10)
    assert child.returncode == 0, err
    assert out.splitlines()[0].startswith("recording direct") and str(file) in out.splitlines()[-1]
    assert verify(file).is_sound and file.stat().st_mode & 0o777 == 0o600
    recording = Recording.open(file)
    assert recording.is_closed and recording.header.facts["context"] == "direct"
    assert recording.frame(recording.frames - 1).models[0].readings["running"].value == 3.0
    recording.close()


def test_it_records_for_as_long_as_was_asked(page: str, run: Record, tmp_path: Path) -> None:
    """--for ends it by itself; without --out the ring takes it."""
    child = run("record", "--scrape", page, "--for", "4s")
    out, err = child.communicate(timeout=30)
    assert child.returncode == 0, (out, err)
    (segment,) = segments(tmp_path / "state" / "tidegate" / "recordings")
    assert frames_in(segment.path) >= 2 and verify(segment.path).is_sound


def test_what_was_killed_goes_on(page: str, run: Record, tmp_path: Path) -> None:
    """After SIGKILL what was written can be read; the next one continues the file."""
    file = tmp_path / "night.tgrec"
    child = run("record", "--scrape", page, "--out", file)
    until(lambda: frames_in(file) >= 2)
    child.kill()
    child.communicate()
    before = frames_in(file)
    again = run("record", "--scrape", page, "--out", file)
    # The first frame can be from before the page answered, and a recording of that alone has failed.
    until(lambda: frames_in(file) >= before + 2)
    again.send_signal(signal.SIGINT)
    out, err = again.communicate(timeout=10)
    assert again.returncode == 0, (out, err)
    assert frames_in(file) > before >= 2 and verify(file).is_sound


def test_it_goes_on_when_nobody_reads_its_lines(page: str, run: Record, tmp_path: Path) -> None:
    """`| head -1`: what it watches is recorded all the same, and that the rest was not printed is told."""
    file = tmp_path / "night.tgrec"
    child = run("record", "--scrape", page, "--out", file)
    assert child.stdout is not None and child.stdout.readline().startswith("recording direct")
    child.stdout.close()
    until(lambda: frames_in(file) >= 2)
    child.send_signal(signal.SIGTERM)
    assert child.wait(10) == 0
    assert child.stderr is not None
    said = child.stderr.read()
    assert "its reader went away" in said and said.count("\n") == 1
    assert verify(file).is_sound and frames_in(file) >= 2


def test_mistakes_are_told(page: str, run: Record, tmp_path: Path) -> None:
    """A file that is no recording, and nothing to watch: exit status 2, one sentence, nothing changed."""
    other = tmp_path / "letter.txt"
    other.write_text("dear all, " * 20)
    for arguments in (("--scrape", page, "--out", other), ("--out", tmp_path / "new.tgrec")):
        child = run("record", *arguments)
        out, err = child.communicate(timeout=20)
        assert child.returncode == 2 and not out and err.startswith("tidegate: ") and "Traceback" not in err
    assert other.read_text() == "dear all, " * 20 and not (tmp_path / "new.tgrec").exists()


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty minutes of a demo fleet, a frame each 2 s."""
    file = tmp_path_factory.mktemp("long") / "long.tgrec"
    stream = Stream(None, file, RingLimits(), {"context": "demo"}, Redaction())
    stream.claim()
    base = replace(demo_frame(AT), events=(), past=(), nodes=())
    for n in range(600):
        at = AT + 2 * n
        stream.frame(
            replace(base, at=at, models=busy(base.models, n, at)), Stamp(round(at * 1e6), 2 * n * 10**6)
        )
    stream.close(Stamp(round(at * 1e6), 2 * n * 10**6))
    return file


def busy(models: Sequence[Model], n: int, at: float) -> tuple[Model, ...]:
    """The models, each of whose tiers has another wait in every frame."""
    bounds = (0.0, 0.5, 1.0, 2.5, 5.0, 10.0)
    found = []
    for place, model in enumerate(models):
        low = (n + place) % 5
        wait = Interval(bounds[low], bounds[low + 1], bounds[low] + 0.001 * (n % 300))
        readings = {
            "queue_wait_p99": reading("queue_wait_p99", wait, at),
            "waiting": reading("waiting", n % 97, at),
        }
        found.append(replace(model, tiers=dict.fromkeys(model.tiers, readings)))
    return tuple(found)


@pytest.mark.parametrize("form", ["csv", "jsonl", "openmetrics"])
def test_an_export_ends_with_its_reader(long: Path, run: Record, form: str) -> None:
    """`| head -1` ends it as a shell has it of any program: without a word. A full disk is told, with 1."""
    child = run("recording", "export", long, "--format", form)
    assert child.stdout is not None and child.stderr is not None
    assert child.stdout.readline()
    child.stdout.close()
    assert child.wait(30) == 141
    assert not child.stderr.read()
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*TIDEGATE, "recording", "export", str(long), "--format", form],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("tidegate: ") and "No space left" in done.stderr


METER = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:])
print(done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""Between a test and its command: a process has at least the memory that its parent had when it was made."""


def test_an_export_needs_little_memory(long: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it, in each form, in a process that never has more than 256 MB."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for form in ("csv", "jsonl", "openmetrics", "sqlite"):
        out = tmp_path / form
        command = [*TIDEGATE, "recording", "export", str(long), "--format", form, "--out", str(out)]
        done = subprocess.run([sys.executable, "-c", METER, *command], capture_output=True, text=True)
        status, most_kb = map(int, done.stdout.split()[-2:])
        assert status == 0, done.stderr
        assert most_kb < 256 * 1024 and out.stat().st_size > 10_000


def test_promtool_makes_blocks_of_it(long: Path, run: Record, tmp_path: Path) -> None:
    """A real promtool takes an export, and finds every sample of a series in its blocks."""
    file, blocks = tmp_path / "out.om", tmp_path / "blocks"
    child = run("recording", "export", long, "--format", "openmetrics", "--out", file)
    assert child.wait(60) == 0
    made = subprocess.run(
        [promtool(), "tsdb", "create-blocks-from", "openmetrics", str(file), str(blocks)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    (blocks / "wal").mkdir()  # without one it opens no database
    dumped = subprocess.run(
        [promtool(), "tsdb", "dump", str(blocks)], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for ending in ("", "_lo", "_hi"):
        name = f'__name__="tidegate_signal_queue_wait_p99{ending}"'
        waits = [
            line for line in dumped if name in line and 'model="aurora-5"' in line and 'tier="pro"' in line
        ]
        assert len(waits) == 600, ending


@pytest.fixture(scope="module")
def dense() -> Numbers:
    return recording_data.dense()


@pytest.fixture(scope="module")
def scraped() -> Numbers:
    return recording_data.scraped()


def test_the_data_set_is_the_specified_one(dense: Numbers, scraped: Numbers) -> None:
    """Sizes are of these numbers and no others; about 76 % and 10 % change a frame."""
    assert recording_data.checksum(dense) == recording_data.CRC_DENSE
    assert recording_data.checksum(scraped) == recording_data.CRC_SCRAPED
    changed = [float((one[1:] != one[:-1]).mean()) for one in (dense, scraped)]
    assert changed == pytest.approx([0.76, 0.10], abs=0.01)


def test_recordings_are_small(dense: Numbers, scraped: Numbers, tmp_path: Path) -> None:
    """Whole files: 0.80 and 0.25 bytes a sample."""
    assert written(dense, 1, tmp_path / "d").bytes_per_sample <= BUDGETS["dense"]
    assert written(scraped, 8, tmp_path / "s").bytes_per_sample <= BUDGETS["scrape16s"]
