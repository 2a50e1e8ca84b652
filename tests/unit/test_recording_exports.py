"""What exports write: one row for each reading that is new, in forms that other programs read."""

import csv
import io
import json
import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from collectors.fleet import Exposure, Frame, Model, Release, Throttle, Tier
from collectors.readings import Interval, Quality, Reading, Reason
from collectors.recording.exports import openmetrics
from collectors.recording.exports.database import write_database
from collectors.recording.exports.lines import write_lines
from collectors.recording.exports.openmetrics import write_openmetrics
from collectors.recording.exports.readings import Changes, Choice, Row, Series
from collectors.recording.exports.table import HEADINGS, write_csv
from collectors.recording.exports.told import Told

AT = 1_795_269_731.0
STILL = {"waiting": Reading(4.0, AT)}


def frame(at: float, *models: Model, totals: Mapping[str, Reading] | None = None) -> Frame:
    return Frame(at, 0, "test", (Tier("pro", "Pro"),), models, totals or {})


def model(name: str, value: float | Interval | None, at: float, quality: Quality = Quality.GOOD) -> Model:
    reason = Reason() if value is not None else Reason("idle")
    wait = Reading(value, at, quality, reason, (2, 3))
    return Model(name, {"waiting": Reading(4.0, at)}, {"pro": {"queue_wait_p99": wait}})


def rows(*frames: Frame, choice: Choice | None = None) -> list[Row]:
    changes = Changes(choice or Choice())
    return [row for one in frames for row in changes.rows(one)]


def test_a_row_stands_for_what_is_new() -> None:
    """A frame in which nothing changed has no row; what is gone has one that says so, once."""
    llama = model("llama", 1.5, AT)
    found = rows(
        frame(AT, llama), frame(AT + 1, llama), frame(AT + 2, replace(llama, tiers={})), frame(AT + 3)
    )
    assert [(row.at - AT, row.series.signal, row.reading is None) for row in found] == [
        (0, "waiting", False),
        (0, "queue_wait_p99", False),
        (2, "queue_wait_p99", True),
        (3, "waiting", True),
    ]


def test_equal_readings_of_a_new_frame_are_not_new() -> None:
    """What is compared is the reading and not the object: a reader may build it again."""
    assert len(rows(frame(AT, model("llama", 1.5, AT)), frame(AT + 1, model("llama", 1.5, AT)))) == 2


def test_only_chosen_models_and_signals() -> None:
    """A choice of models leaves the fleet's totals out."""
    one = frame(AT, model("llama", 1.0, AT), model("voice", 2.0, AT), totals={"waiting": Reading(9.0, AT)})
    assert {row.series.model for row in rows(one, choice=Choice(models=frozenset({"voice"})))} == {"voice"}
    found = rows(one, choice=Choice(signals=frozenset({"waiting"})))
    assert [row.series for row in found] == [
        Series("", "", "", "waiting"),
        Series("llama", "", "", "waiting"),
        Series("voice", "", "", "waiting"),
    ]


def test_csv_says_time_bounds_and_quality() -> None:
    """A missing value is empty, never 0; a name that a spreadsheet would run is made harmless."""
    file = io.StringIO()
    frames = (
        frame(AT, model("=cmd()", Interval(0.5, float("inf"), 2.5), AT - 3)),
        frame(AT + 1, model("=cmd()", None, AT - 3, Quality.MISSING)),
    )
    assert write_csv(file, rows(*frames)) == 3
    lines = list(csv.DictReader(io.StringIO(file.getvalue())))
    assert tuple(lines[0]) == HEADINGS
    wait, none = lines[1], lines[2]
    assert wait["model"] == "'=cmd()"
    assert (wait["value"], wait["lo"], wait["hi"], wait["unit"]) == ("2.5", "0.5", "inf", "s")
    assert (wait["time"], wait["measured"]) == ("2026-11-21T14:02:11.000Z", "2026-11-21T14:02:08.000Z")
    assert (none["value"], none["quality"], none["answered"], none["known"]) == ("", "missing", "2", "3")


def test_json_lines_are_in_order_of_time() -> None:
    """Each line is an object; what has no value says null."""
    file = io.StringIO()
    items = [
        *rows(frame(AT, model("llama", None, AT, Quality.MISSING))),
        Told(AT + 1, AT + 2, "event", ("alert", "ctl", "llama", "it burns")),
        Told(AT + 2, None, "mark", ("ann", "")),
    ]
    assert write_lines(file, items) == 4
    lines = [json.loads(line) for line in file.getvalue().splitlines()]
    assert [line["what"] for line in lines] == ["reading", "reading", "event", "mark"]
    assert lines[1]["value"] is None and lines[1]["reason"].startswith("idle")
    assert lines[2]["text"] == "it burns" and "note" not in lines[3]


def test_sqlite_has_a_table_for_each_kind(tmp_path: Path) -> None:
    """Values that are not there are NULL; times are text and seconds."""
    file = tmp_path / "out.db"
    items = [
        *rows(frame(AT, model("llama", 1.5, AT)), frame(AT + 1, model("llama", None, AT, Quality.MISSING))),
        Told(AT, AT, "event", ("alert", "ctl", "llama", "it burns")),
        Told(AT, AT, "action", ("intent", "throttle.set", "chat", "free", "ann", *[""] * 11)),
    ]
    assert write_database(file, {"recording": "r1"}, items) == 5
    with sqlite3.connect(file) as database:
        waits = database.execute(
            "SELECT time, epoch, value, quality FROM readings WHERE signal = 'queue_wait_p99' ORDER BY epoch"
        ).fetchall()
        assert waits == [
            ("2026-11-21T14:02:11.000Z", AT, 1.5, "good"),
            ("2026-11-21T14:02:12.000Z", AT + 1, None, "missing"),
        ]
        assert database.execute("SELECT operator, target FROM actions").fetchall() == [("ann", "chat")]
        assert database.execute("SELECT text FROM events").fetchall() == [("it burns",)]
        assert database.execute("SELECT value FROM facts").fetchall() == [("r1",)]
    database.close()


def exposed(tmp_path: Path, *frames: Frame) -> tuple[str, openmetrics.Written]:
    file = io.BytesIO()
    written = write_openmetrics(file, rows(*frames), str(tmp_path))
    return file.getvalue().decode(), written


def test_openmetrics_is_read_by_a_strict_parser(tmp_path: Path) -> None:
    """Every family's series stand together, in order of time, and the text ends as it must."""
    frames = [
        frame(AT + n, *(model(f'm"{k}\\', Interval(0.1 * n, 1.0 * n + 1, 0.5 * n), AT + n) for k in range(3)))
        for n in range(20)
    ]
    text, written = exposed(tmp_path, *frames)
    families = {one.name: one for one in text_string_to_metric_families(text)}
    assert set(families) == {
        "tidegate_signal_waiting",
        "tidegate_signal_queue_wait_p99",
        "tidegate_signal_queue_wait_p99_lo",
        "tidegate_signal_queue_wait_p99_hi",
    }
    samples = families["tidegate_signal_queue_wait_p99_hi"].samples
    assert [(one.labels, one.value) for one in samples[:2]] == [
        ({"model": 'm"0\\', "tier": "pro"}, 1.0),
        ({"model": 'm"0\\', "tier": "pro"}, 2.0),
    ]
    assert len(samples) == 60 and written.samples == 240 and text.endswith("# EOF\n")


def test_openmetrics_in_many_pieces_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However little memory there is on the way, the same text comes out."""
    frames = [frame(AT + n, model("a", float(n), AT + n), model("b", float(-n), AT + n)) for n in range(50)]
    whole, _ = exposed(tmp_path, *frames)
    monkeypatch.setattr(openmetrics, "BUFFERED_MOST", 100)
    assert exposed(tmp_path, *frames)[0] == whole


def test_a_series_that_ends_says_so_once(tmp_path: Path) -> None:
    """Stale, missing or gone: one NaN, so that no query goes on with the last number."""
    text, _ = exposed(
        tmp_path,
        frame(AT, model("llama", 1.5, AT)),
        frame(AT + 10, model("llama", 1.5, AT, Quality.STALE)),
        frame(AT + 20, model("llama", None, AT, Quality.MISSING)),
        frame(AT + 30, model("llama", 2.5, AT + 30)),
    )
    values = [line.split("} ")[1] for line in text.splitlines() if line.startswith("tidegate_signal_queue")]
    assert values == [f"1.5 {AT:.3f}", f"NaN {AT + 10:.3f}", f"2.5 {AT + 30:.3f}"]


def test_a_number_that_stays_is_said_again(tmp_path: Path) -> None:
    """A query looks back five minutes: a gauge that nobody changes must not vanish for it."""
    frames = (frame(AT + 30 * n, replace(model("llama", float(n), AT), readings=STILL)) for n in range(40))
    text, _ = exposed(tmp_path, *frames)
    times = [
        float(line.split()[-1]) for line in text.splitlines() if line.startswith("tidegate_signal_waiting")
    ]
    assert times[0] == AT and AT + 30 * 39 - times[-1] < 300
    assert all(60 <= later - earlier < 300 for earlier, later in pairwise(times))


def test_where_nothing_was_recorded_no_number_is(tmp_path: Path) -> None:
    """Frames that break off end every series; the next one begins them anew, equal or not."""
    changes = Changes()
    llama = model("llama", 1.5, AT)
    found = [*changes.rows(frame(AT, llama)), *changes.broken_off(AT + 0.001)]
    found += changes.rows(frame(AT + 600, llama))
    file = io.BytesIO()
    write_openmetrics(file, found, str(tmp_path))
    waits = [
        line for line in file.getvalue().decode().splitlines() if line.startswith("tidegate_signal_queue")
    ]
    assert [line.split()[-2] for line in waits] == ["1.5", "NaN", "1.5"]
    table = io.StringIO()
    write_csv(table, found)
    assert "not recorded" in table.getvalue()


def test_a_clock_that_was_set_back_is_told(tmp_path: Path) -> None:
    """Samples of a series rise in time: those of before are left out, and counted."""
    _, written = exposed(
        tmp_path, *(frame(AT + n, model("llama", float(n), AT + n)) for n in (0, 1, -3600, 2))
    )
    assert written.left_out == 2 and written.samples == 6


def opened(at: float, level: float | None, observed: float | None, state: str = "applied") -> Frame:
    """A frame with one throttle, and a release that has the name of a model."""
    cell = Throttle("images", "free", 1, "t-1", level, state=state, effective_level=0.5)
    release = Release(
        "llama", "Llama", "model", "llama", 1, "m-1", None, "v2", (), "progressing", None,
        (Exposure("pro", 0.25, observed),),
    )  # fmt: skip
    return replace(frame(at, model("llama", 1.5, AT)), throttles=(cell,), releases=(release,))


def test_throttles_and_releases_stand_among_the_readings(tmp_path: Path) -> None:
    """What each opens is a series of its own, also beside a model of the same name; unknown is no 0."""
    frames = [opened(AT, 0.3, 0.2), opened(AT + 1, 1.0, None, "ramping"), frame(AT + 2)]
    found = [
        (row.at - AT, *row.series, row.reading and row.reading.value)
        for row in rows(*frames)
        if row.series.signal not in {"waiting", "queue_wait_p99"}
    ]
    assert found == [
        (0, "", "free", "images", "throttle_level", 0.3),
        (0, "", "free", "images", "throttle_in_force", 0.3),
        (0, "llama", "pro", "", "release_desired", 0.25),
        (0, "llama", "pro", "", "release_observed", 0.2),
        (1, "", "free", "images", "throttle_level", 1.0),
        (1, "", "free", "images", "throttle_in_force", 0.5),
        (1, "llama", "pro", "", "release_observed", None),
        (2, "", "free", "images", "throttle_in_force", None),
        (2, "", "free", "images", "throttle_level", None),
        (2, "llama", "pro", "", "release_desired", None),
        (2, "llama", "pro", "", "release_observed", None),
    ]
    text, _ = exposed(tmp_path, *frames)
    assert "# HELP tidegate_signal_throttle_in_force share that a throttle admits now, ratio\n" in text
    assert f'tidegate_signal_throttle_in_force{{tier="free",feature="images"}} 0.5 {AT + 1:.3f}\n' in text
    assert f'tidegate_signal_release_observed{{model="llama",tier="pro"}} NaN {AT + 1:.3f}\n' in text


def test_a_choice_holds_for_throttles_and_releases_too() -> None:
    """A choice of models leaves throttles out, which are the fleet's, and other releases."""
    one = opened(AT, 0.3, 0.2)
    assert {row.series.signal for row in rows(one, choice=Choice(models=frozenset({"voice"})))} == set()
    chosen = rows(one, choice=Choice(models=frozenset({"llama"})))
    assert {
        row.series.signal for row in chosen if row.series.signal not in {"waiting", "queue_wait_p99"}
    } == {
        "release_desired",
        "release_observed",
    }
    assert [row.series.signal for row in rows(one, choice=Choice(signals=frozenset({"waiting"})))] == [
        "waiting"
    ]


def test_what_was_not_recorded_ends_throttles_too() -> None:
    """Behind a gap a throttle begins anew, though it is the same."""
    changes, one = Changes(), opened(AT, 0.3, 0.2)
    first = list(changes.rows(one))
    ended = list(changes.broken_off(AT + 0.001))
    assert {row.series for row in ended} == {row.series for row in first}
    assert len(list(changes.rows(replace(one, at=AT + 60)))) == len(first)


def test_a_whole_database_passes_its_own_check(tmp_path: Path) -> None:
    """SQLite itself finds nothing wrong, and +Infinity comes back as one."""
    file = tmp_path / "out.db"
    write_database(file, {}, rows(frame(AT, model("llama", Interval(0.5, float("inf"), 2.5), AT))))
    with sqlite3.connect(file) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("SELECT hi FROM readings WHERE hi > 1e300").fetchall() == [(float("inf"),)]
    database.close()


def test_how_far_openmetrics_is_written_is_told(tmp_path: Path) -> None:
    """The second half, in which nothing is read any more, is told as it goes on."""
    told: list[tuple[str, int, int]] = []
    found = rows(frame(AT, model("llama", Interval(0.5, 1.0, 0.7), AT)))
    write_openmetrics(io.BytesIO(), found, str(tmp_path), lambda *step: told.append(step))
    assert told == [("signals", n, 4) for n in range(4)]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@A1", "\t=1", "\uff1d1", "\uff20A1"])
def test_no_cell_of_text_is_a_formula(text: str) -> None:
    """Whatever a name begins with, a spreadsheet shows it; read back, it is the name behind an apostrophe."""
    file = io.StringIO()
    write_csv(file, rows(frame(AT, model(text, -1.5, AT))))
    cells = [row["model"] for row in csv.DictReader(io.StringIO(file.getvalue()))]
    assert cells == [f"'{text}"] * 2
    assert '"-1.5"' not in file.getvalue() and ",-1.5," in file.getvalue()
