"""The file that a plane keeps its data in: whose it is, whether it is whole, and what a restart finds."""

import os
import socket
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest

from collectors.control import wire
from collectors.control.server.seed import MOST_BYTES, SeedError, checked, read_seed
from collectors.control.server.store import Store, StoreError
from tests.control_commands import NOW, VOICE, command, example, log


def without(feature: str = "", tier: str = "") -> dict[str, Any]:
    """The example less a feature or a tier, and whatever names it."""
    document = example()
    document["features"] = [one for one in document["features"] if one["id"] != feature]
    document["tiers"] = [one for one in document["tiers"] if one != tier]
    document["default_tier"] = document["tiers"][-1]
    document["releases"] = []
    document["throttles"] = [
        one for one in document["throttles"] if one["feature"] != feature and one["tier"] != tier
    ]
    return document


def run_with(path: Path, document: dict[str, Any], now: float) -> Store:
    """A plane started on `path` with a seed."""
    store = Store.open(path)
    store.seed(document, now)
    store.tick(now)
    return store


@pytest.mark.parametrize("gone", [{"feature": "voice"}, {"tier": "free"}])
def test_a_cell_that_a_seed_leaves_out_comes_back_as_it_was(tmp_path: Path, gone: dict[str, str]) -> None:
    """Hidden while no seed names it, and its setting, tag and author are there when one does again."""
    file = tmp_path / "plane.db"
    store = run_with(file, example(), NOW)
    store.apply(command(store, "throttle.set", VOICE, level=0.1), now=NOW)
    held, entries = store.held.throttles["voice", "free"], len(log(store))
    store.close()
    for number in (1, 2):
        store = run_with(file, without(**gone), NOW + number)
        assert ("voice", "free") not in store.held.throttles
        with pytest.raises(KeyError):
            store.set_level("voice", "free", 1.0, now=NOW, actor="bob", reason="load")
        store.close()
    store = run_with(file, example(), NOW + 10)
    back = store.held.throttles["voice", "free"]
    assert (back.level, back.etag, back.last_change) == (0.1, held.etag, held.last_change)
    assert next(one for one in log(store) if one.resource == held.path).id == log(store)[0].id
    assert len(log(store)) == entries
    assert "throttle" in {one.kind for one in store.events_after(held.seq)}
    store.close()


def test_a_cell_hidden_on_its_way_goes_on_from_where_it_was(tmp_path: Path) -> None:
    """Its ramp stood still while nobody enforced it; its end, past meanwhile, comes when it is back."""
    file = tmp_path / "plane.db"
    store = run_with(file, example(), NOW)
    asked = command(store, "throttle.set", VOICE, level=0.0, ramp_per_min=0.1, ttl_s=3600)
    store.apply(asked, now=NOW)
    store.tick(NOW + 60)
    store.seed(without("voice"), NOW + 60)
    assert store.held.ramps == {}
    store.close()
    store = run_with(file, example(), NOW + 600)
    assert store.held.throttles["voice", "free"].effective_level == 0.9
    store.tick(NOW + 660)
    assert store.held.throttles["voice", "free"].effective_level == 0.8
    store.close()
    run_with(file, without("voice"), NOW + 4000).close()
    store = run_with(file, example(), NOW + 5000)
    assert log(store)[0].actor == "system:expiry"
    assert store.held.throttles["voice", "free"].level == 1.0
    store.close()


def test_only_a_file_is_taken_for_data(tmp_path: Path) -> None:
    """A pipe, a socket, a link and a directory are named; none is opened, and none gets another mode."""
    os.mkfifo(tmp_path / "pipe", 0o644)
    (tmp_path / "folder").mkdir(0o755)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for name, kind in (
            ("pipe", "a pipe"),
            ("folder", "a directory"),
            ("link", "a link"),
            ("socket", "a socket"),
        ):
            before = (tmp_path / name).lstat()
            with pytest.raises(StoreError, match=f"{name}: cannot be opened: it is {kind}; give another"):
                Store.open(tmp_path / name)
            assert (tmp_path / name).lstat().st_mode == before.st_mode
    assert not (tmp_path / "elsewhere").exists()


def test_the_file_of_another_program_is_left_as_it_is(tmp_path: Path) -> None:
    """Text, another program's SQLite file and an empty file that others may read: bytes and mode stay."""
    (tmp_path / "text").write_bytes(b"precious")
    (tmp_path / "empty").touch()
    other = sqlite3.connect(tmp_path / "other.db")
    other.executescript("CREATE TABLE bookmark (name TEXT); PRAGMA user_version=2;")
    other.close()
    for name, said in (
        ("text", "no SQLite file"),
        ("empty", "others may read it"),
        ("other.db", "another program"),
    ):
        file = tmp_path / name
        file.chmod(0o644)
        before = file.read_bytes()
        with pytest.raises(StoreError, match=f"{name}: no data of a plane: .*{said}.*; give another file"):
            Store.open(file)
        assert (stat.S_IMODE(file.stat().st_mode), file.read_bytes()) == (0o644, before)
    assert {one.name for one in tmp_path.iterdir()} == {"text", "empty", "other.db"}


def test_a_file_of_a_plane_is_made_private(tmp_path: Path) -> None:
    """One that was copied for all to read gets its mode back; one of a newer version is left alone."""
    file = tmp_path / "plane.db"
    run_with(file, example(), NOW).close()
    file.chmod(0o644)
    Store.open(file).close()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o644)
    database = sqlite3.connect(file)
    database.execute("PRAGMA user_version=99")
    database.close()
    with pytest.raises(StoreError, match="written by a newer tidegate"):
        Store.open(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o644


def spoiled(path: Path, statement: str, value: object) -> None:
    """Change a closed plane's data behind its back."""
    run_with(path, example(), NOW).close()
    with sqlite3.connect(path) as database:
        assert database.execute(statement, [value]).rowcount > 0
    database.close()


def test_data_that_is_not_whole_is_named(tmp_path: Path) -> None:
    """A stage that there is not, a counter set back, a column of another type: a sentence, no traceback."""
    store = run_with(tmp_path / "first.db", example(), NOW)
    body = wire.render(store.held.releases["llama-70b"])
    store.close()
    nowhere = body.replace(b'"stage_index":1', b'"stage_index":9')
    assert nowhere != body
    changes: list[tuple[str, str, object]] = [
        ("at stage 9 of 4", "UPDATE resource SET body = ? WHERE path LIKE '%llama-70b'", nowhere),
        ("its counter stands at 1, and", "UPDATE meta SET body = ? WHERE name = 'seq'", b"1"),
        ("", "UPDATE resource SET body = ?", 5),
    ]
    for number, (said, statement, value) in enumerate(changes):
        file = tmp_path / f"{number}.db"
        spoiled(file, statement, value)
        with pytest.raises(StoreError, match=f"no data of a plane: .*{said}.*; give another file"):
            Store.open(file)


def test_a_log_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    """As a fault of the store, which a server answers with 503."""
    store = run_with(tmp_path / "plane.db", example(), NOW)
    store._database.execute("DROP TABLE audit")
    with pytest.raises(StoreError, match="the log cannot be read"):
        log(store)
    store.close()


@pytest.mark.parametrize("column", ["actor", "op", "result", "decision_id", "resource"])
def test_the_log_is_searched_by_index(tmp_path: Path, column: str) -> None:
    """A filter that matches nothing does not read the whole log, for that keeps writes waiting."""
    store = run_with(tmp_path / "plane.db", example(), NOW)
    asked = f"EXPLAIN QUERY PLAN SELECT seq, body FROM audit WHERE 1 AND {column} = ? ORDER BY seq DESC"
    (step,) = store._database.execute(asked, ["x"]).fetchall()
    assert "SEARCH audit USING INDEX" in step[3]
    store.close()


def test_a_seed_is_read_from_a_file_alone(tmp_path: Path) -> None:
    """A pipe is not waited for, and what never ends or is too long is not read."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(SeedError, match="cannot be read"):
            read_seed(path)
    with (tmp_path / "long").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(SeedError, match="longer than 4 MiB"):
        read_seed(tmp_path / "long")


def test_half_a_character_in_a_seed_is_refused() -> None:
    """Whichever text it is in: it could not be written again."""
    document = example()
    document["releases"][0]["title"] = "half \ud800"
    with pytest.raises(SeedError, match="surrogate"):
        checked(document)
