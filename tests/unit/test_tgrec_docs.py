"""What docs/tgrec.md says is true: a reader made from it alone agrees with ours."""

import ast
import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from collectors.fleet import Event, EventKind, Frame, Model
from collectors.readings import Interval, Reading, reading
from collectors.recording import layout
from collectors.recording.layout import FRAMES, Kind, Tag
from collectors.recording.notes import event_json, mark_json
from collectors.recording.reader import Recording
from collectors.recording.readings import States
from collectors.recording.redact import Redaction
from collectors.recording.ring import RingLimits
from collectors.recording.schema import from_json
from collectors.recording.stream import Stamp, Stream
from collectors.sessions import Mark
from tests.frames import AT, bare_frame, demo_frame, worst_frame

DOCS = Path(__file__).parents[2] / "docs"
READER = DOCS / "tgrec_reader.py"


@pytest.fixture(scope="module")
def reader() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tgrec_reader", READER)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def frames() -> Iterator[Frame]:
    """Thirteen seconds of a fleet in which readings change, go, come back, and are of every quality."""
    for n in range(13):
        base = (demo_frame, worst_frame, bare_frame)[n % 3](AT) if n > 9 else demo_frame(AT)
        models = list(base.models[:4])
        changed = {
            "waiting": reading("waiting", 7 * n - 3 if n % 4 else None, AT + n),
            "arrivals": reading("arrivals", 0.0007 * n, AT + n, coverage=(n, 12)),
            "queue_wait_p99": reading("queue_wait_p99", Interval(0.5 * (n % 3), 4.0, 0.3 * n), AT + n),
        }
        if n != 5:
            models[0] = replace(models[0], readings={**models[0].readings, **changed})
        yield replace(
            base,
            at=AT + n,
            tick=n,
            models=tuple(models),
            nodes=base.nodes[:2],
            events=(),
            past=(),
            mode="LIVE",
        )


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("docs") / "fleet.tgrec"
    stream = Stream(None, file, RingLimits(), {"context": "docs", "host": "here"}, Redaction())
    stream.claim()
    for frame in frames():
        stamp = Stamp(round(frame.at * 1e6), round((frame.at - AT) * 1e6))
        if frame.tick == 4:
            event = Event(frame.at, EventKind.NOTE, "ann", "llama", "look at this")
            stream.note(Kind.EVENT, Tag.HAPPENED, event_json(event), stamp)
            stream.note(Kind.MARK, Tag.BOOKMARK, mark_json(Mark(frame.at, "ann", "here")), stamp)
        stream.frame(frame, stamp)
    stream.close(stamp)
    return file


Key = tuple[str, ...]


def shown(frame: Frame) -> dict[Key, Reading]:
    """Every reading under (block, labels, signal)."""
    found: dict[Key, Reading] = {("totals", signal): one for signal, one in frame.totals.items()}
    names: list[str] = []
    for model in frame.models:
        names.append(model.name)
        again = names.count(model.name)
        name = model.name if again == 1 else f"{model.name}\x1f{again}"
        for place, readings in _places(name, model):
            found |= {(*place, signal): one for signal, one in readings.items()}
    return found


def _places(name: str, model: Model) -> Iterator[tuple[Key, Any]]:
    yield ("readings", name, ""), model.readings
    for tier, readings in model.tiers.items():
        yield ("readings", name, tier), readings
    for feature, readings in model.by_feature.items():
        yield ("features", f"{name}\x1f{feature}"), readings
    for feature, tiers in model.cells.items():
        for tier, readings in tiers.items():
            yield ("cells", f"{name}\x1f{feature}\x1f{tier}"), readings


Read = list[dict[Key, dict[str, Any]]]
Notes = list[dict[str, Any]]


def read(module: ModuleType, data: bytes) -> tuple[Read, Notes]:
    """Of each frame its lines under (block, labels, signal); and the lines of notes and damage."""
    numbers: list[dict[Key, dict[str, Any]]] = []
    rest = []
    for line in module.lines(data):
        if "frame" not in line:
            rest.append(line)
            continue
        while len(numbers) <= line["frame"]:
            numbers.append({})
        labels = [line[name] for name in ("model", "tier", "cell", "accelerator") if name in line]
        numbers[line["frame"]][line["block"], *labels, line["signal"]] = line
    return numbers, rest


@pytest.fixture(scope="module")
def whole(reader: ModuleType, recorded: Path) -> tuple[Read, Notes]:
    """The file as it should be read."""
    return read(reader, recorded.read_bytes())


def test_it_agrees_with_our_reader(whole: tuple[Read, Notes], recorded: Path) -> None:
    """Of every reading of every frame: value, bounds, time, coverage, quality and reason."""
    ours = Recording.open(recorded)
    theirs, rest = whole
    assert len(theirs) == ours.frames >= 12
    reasons = {
        one["body"]["id"]: (one["body"]["code"], one["body"]["parameters"])
        for one in rest
        if one.get("body", {}).get("tag") == Tag.REASON
    }
    for one in rest:
        for told in one.get("body", {}).get("reasons", []):
            reasons[told[0]] = told[1], told[2]
    t0 = ours.header.facts["t0_wall"] / 1e6
    compared = 0
    for number in range(ours.frames):
        lines, readings = theirs[number], shown(ours.frame(number))
        for key, one in readings.items():
            line = lines[key]
            *place, signal = key
            beside = {
                end: lines[f"{place[0]}.{end}", *place[1:], signal] for end in ("at", "answered", "known")
            }
            assert line["at"] == ours.time_of(number)
            if isinstance(one.value, Interval):
                ends = [lines[*place, f"{signal}.{end}"]["value"] for end in ("lo", "hi")]
                assert [float(end) for end in ends] == [one.value.lo, one.value.hi]
                assert min(max(line["value"], one.value.lo), one.value.hi) == one.value.estimate
            else:
                assert line["value"] == one.value, (key, line)
            if one.at is not None:
                assert t0 + beside["at"]["value"] / 100 == pytest.approx(one.at, abs=0.011)
            assert one.coverage in {None, (beside["answered"]["value"], beside["known"]["value"])}
            assert line["state"] in {one.quality.value, "never", "poll failed", "not applicable"}
            if line["reason"]:
                counts = [lines[f"{place[0]}.parameter{n}", *place[1:], signal]["value"] for n in (1, 2, 3)]
                code, parameters = reasons[line["reason"]]
                told = [*parameters, *(int(count) - 1 for count in counts if count)]
                assert (code, told) == (one.reason.code, list(one.reason.parameters))
            compared += 1
        gone = [key for key, line in lines.items() if line["state"] == "absent"]
        assert not readings.keys() & gone
    ours.close()
    assert compared > 700


def test_accelerators_and_events_are_told(whole: tuple[Read, Notes]) -> None:
    """What is not a reading is there as well."""
    theirs, rest = whole
    busy = [line for key, line in theirs[0].items() if key[0] == "accelerators" and key[-1] == "busy"]
    assert [line["value"] for line in busy] == [b for node in next(frames()).nodes for b in node.busy]
    told = {one["kind"]: one["body"] for one in rest if one["body"].get("actor") == "ann"}
    assert (told["event"]["text"], told["mark"]["note"]) == ("look at this", "here")


def test_damage_is_named_and_nothing_wrong_is_shown(
    reader: ModuleType, whole: tuple[Read, Notes], recorded: Path
) -> None:
    """A flipped bit in a frame: it and what refers to it are left out, the rest is as it was."""
    data = bytearray(recorded.read_bytes())
    good, _ = whole
    keys = [m.start() for m in re.finditer(re.escape(layout.SYNC + b"\4"), data)]
    data[keys[3] + 60] ^= 0x10
    bad, rest = read(reader, bytes(data))
    damage = [one for one in rest if "damage" in one]
    assert damage[0]["offset"] == keys[3] and len(damage) <= 10
    assert len(bad) == len(good) - len(damage)
    times = {next(iter(one.values()))["at"]: one for one in good}
    for one in bad:
        at = next(iter(one.values()))["at"]
        assert {k: v["value"] for k, v in one.items()} == {k: v["value"] for k, v in times[at].items()}


def test_a_tail_that_was_cut_off_is_told(
    reader: ModuleType, whole: tuple[Read, Notes], recorded: Path
) -> None:
    """What is before it stands."""
    data = recorded.read_bytes()
    good, _ = whole
    last = max(data.rfind(layout.SYNC + bytes((kind,))) for kind in FRAMES)
    bad, rest = read(reader, data[: last + 70])
    assert len(bad) == len(good) - 1 and "cut off" in rest[-1]["damage"]


def test_what_it_must_not_read_it_refuses(reader: ModuleType, recorded: Path, tmp_path: Path) -> None:
    """A newer major version, and what is no recording: exit status 2 and a sentence."""
    newer = tmp_path / "newer.tgrec"
    newer.write_bytes(layout.FileHeader({}, 2, 0, 2, 0).pack())
    none = tmp_path / "none.tgrec"
    none.write_bytes(b"SQLite format 3\0" * 10)
    for file, said in ((newer, "2.0"), (none, "no recording")):
        done = subprocess.run(
            [sys.executable, str(READER), str(file)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr
    done = subprocess.run(
        [sys.executable, str(READER), str(recorded), "3", "3"], capture_output=True, text=True, check=True
    )
    assert {json.loads(line).get("frame", 3) for line in done.stdout.splitlines()} == {3}


def test_it_stands_alone() -> None:
    """Two hundred lines, the standard library and zstandard: nothing of ours."""
    text = READER.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 200
    names = {
        (node.module if isinstance(node, ast.ImportFrom) else alias.name).split(".")[0]  # type: ignore[union-attr]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert names - set(sys.stdlib_module_names) == {"zstandard"}


def test_the_page_names_every_block_and_part(recorded: Path, whole: tuple[Read, Notes]) -> None:
    """Whatever a real file has stands on the page: blocks with their axes and signals, parts of the state."""
    page = (DOCS / "tgrec.md").read_text(encoding="utf-8")
    recording = Recording.open(recorded)
    segment = recording.segments[0]
    row = int((segment.table.kind == Kind.SCHEMA).nonzero()[0][0])
    schema = from_json(json.loads(segment.payload(row)))
    recording.close()
    for block in schema.blocks:
        name, _, side = block.id.partition(".")
        (line,) = re.findall(rf"^\|`{name}`\|.*\|$", page.split("### State")[0], re.MULTILINE)
        assert all(f"`{axis.name}`" in line for axis in block.axes), block.id
        assert not side or f"`.{side}`" in page
        if name not in {"readings", "features", "cells", "totals"}:
            assert all(f"`{column.id}`" in line for column in block.columns), block.id
    states = [one["body"] for one in whole[1] if one.get("body", {}).get("tag") in {Tag.SNAPSHOT, Tag.STATE}]
    parts = {part for body in states for part in body.get("set", {})}
    assert len(parts) >= 10
    for part in parts:
        assert re.search(rf"^\|`{part}`\|", page.split("### State")[1], re.MULTILINE), part


def test_the_page_names_every_number() -> None:
    """Each kind, tag, state and size of the code stands on the page."""
    page = (DOCS / "tgrec.md").read_text(encoding="utf-8")
    for kind in Kind:
        assert re.search(rf"\b{kind.value} {kind.name}\b", page), kind
    for tag in Tag:
        assert re.search(rf"^\|{tag.value}\|", page, re.MULTILINE), tag
    for state in States:
        assert re.search(rf"^\|{state.value}\|", page, re.MULTILINE), state
    for size in (layout.HLEN, layout.FILE_HEADER.size, layout.FOOTER.size - 8):
        assert f"|{size}|" in page or f" {size}" in page, size
