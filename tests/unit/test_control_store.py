"""What the embedded plane keeps: seeds, stages, throttles, its log, its events and its file."""

import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from collectors.control import chain, wire
from collectors.control.server import rules
from collectors.control.server.seed import SeedError, checked, read_seed
from collectors.control.server.store import AuditQuery, Store, StoreError, StoreLimits
from tests.control_commands import LLAMA, NOW, VOICE, command, example, log


def seeded(path: Path | None = None, document: dict[str, Any] | None = None) -> Store:
    """A store with the example seed, or another."""
    store = Store.open(path)
    store.seed(document or example(), NOW)
    return store


def test_the_example_stands_where_the_contract_says() -> None:
    """Cumulative exposure, a closed gate with its time, every cell there and untouched ones open."""
    held = seeded().held
    release = held.releases["llama-70b"]
    assert (release.status.phase, release.status.pause_reason, release.status.stage_index) == (
        "paused",
        "gate",
        1,
    )
    assert [(one.tier, one.desired) for one in release.status.exposure] == [
        ("pro", 1),
        ("plus", 0.25),
        ("free", 0),
    ]
    assert release.status.gate.checks == (
        wire.Check("hold", "fail", "0 of 900 s", wire.render_time(NOW + 900)),
    )
    feature = held.releases["deep-research"]
    assert (feature.status.phase, feature.status.stage, feature.history) == ("pending", None, ())
    assert [one.desired for one in feature.status.exposure] == [1, 1, 0]
    assert len(held.throttles) == 4 * 3
    assert held.throttles["voice", "free"].level == 1.0
    assert held.throttles["image-generation", "free"].level == 0.3
    seqs = [one.seq for one in held.releases.values()] + [one.seq for one in held.throttles.values()]
    assert len(set(seqs)) == len(seqs)


def test_the_last_stage_is_full_promotion() -> None:
    """Completed: the candidate is stable, and first in the history."""
    document = example()
    document["releases"][0]["stage"] = "free@100"
    release = seeded(document=document).held.releases["llama-70b"]
    assert (release.status.phase, release.stable, release.history) == ("completed", "r42", ("r42", "r41"))
    assert [one.desired for one in release.status.exposure] == [1, 1, 1]


def test_a_throttle_that_ran_out_opens_by_itself() -> None:
    """At its time, not before, by system:expiry, in the log, with a new etag and an event; and slowly."""
    store = seeded()
    before = store.held.throttles["image-generation", "free"]
    store.tick(NOW + 7199.9)
    assert store.held.throttles["image-generation", "free"] == before
    store.tick(NOW + 7200)
    after = store.held.throttles["image-generation", "free"]
    assert (after.level, after.effective_level, after.expires_at) == (1.0, 0.3, None)
    assert after.state == "ramping"
    assert after.etag != before.etag
    entry = log(store)[0]
    assert (entry.actor, entry.before, entry.after) == (
        "system:expiry",
        {"level": 0.3, "expires_at": wire.render_time(NOW + 7200)},
        {"level": 1.0, "expires_at": None},
    )
    assert after.last_change is not None
    assert after.last_change.audit_id == entry.id
    assert store.events_after(before.seq)[-2].kind == "throttle"
    store.tick(NOW + 7200 + 420)
    there = store.held.throttles["image-generation", "free"]
    assert (there.effective_level, there.state, there.etag) == (1.0, "applied", after.etag)


def test_what_was_before_comes_back_for_its_own_remaining_time() -> None:
    """0.3 for 2 h, then 0.1 for 30 min: after those, 0.3 until its own end, then open."""
    store = seeded()
    cell = "image-generation", "free"
    store.set_level(*cell, 0.1, now=NOW, actor="bob", reason="worse", ttl_s=1800)
    assert store.held.throttles[cell].revert_to == wire.Revert(0.3, wire.render_time(NOW + 7200))
    store.set_level(*cell, 0.1, now=NOW + 60, actor="bob", reason="longer", ttl_s=1800)
    assert store.held.throttles[cell].revert_to == wire.Revert(0.3, wire.render_time(NOW + 7200))
    store.tick(NOW + 60 + 1800)
    assert (store.held.throttles[cell].level, store.held.throttles[cell].expires_at) == (
        0.3,
        wire.render_time(NOW + 7200),
    )
    store.tick(NOW + 7200)
    assert store.held.throttles[cell].level == 1.0


def test_a_long_absence_does_not_bring_back_what_ran_out_too() -> None:
    """Down past both ends: open, not the setting before."""
    store = seeded()
    store.set_level("image-generation", "free", 0.1, now=NOW, actor="bob", reason="worse", ttl_s=1800)
    store.tick(NOW + 10_000)
    assert store.held.throttles["image-generation", "free"].level == 1.0


def test_gates_open_and_automatic_ones_move() -> None:
    """A manual gate opens and waits; an automatic one advances by itself, by system:gate, one stage."""
    store = seeded()
    closed = store.held.releases["llama-70b"]
    store.tick(NOW + 900)
    opened = store.held.releases["llama-70b"]
    assert (opened.status.gate.state, opened.status.stage) == ("open", "plus@25")
    assert opened.etag != closed.etag
    store.move_to("llama-70b", "plus@100", now=NOW + 1000, actor="alice", reason="steady")
    assert store.held.releases["llama-70b"].status.phase == "progressing"
    store.tick(NOW + 1599)
    assert store.held.releases["llama-70b"].status.stage == "plus@100"
    store.tick(NOW + 1600)
    done = store.held.releases["llama-70b"]
    assert (done.status.stage, done.status.phase, done.stable) == ("free@100", "completed", "r42")
    assert [entry.actor for entry in log(store)[:2]] == ["system:gate", "alice"]


def test_an_automatic_gate_without_hold_moves_at_the_next_tick() -> None:
    """Nothing to wait for: it must not stand there for ever."""
    document = example()
    document["releases"][0]["stages"][1]["gate"] = {"kind": "auto", "hold_s": 0}
    store = seeded(document=document)
    store.tick(NOW)
    assert store.held.releases["llama-70b"].status.stage == "plus@100"


def test_telemetry_moves_the_seq_and_not_the_etag() -> None:
    """What was seen is published at most every 5 s, and makes no write stale."""
    store = seeded()
    before = store.held.releases["llama-70b"]
    store.observe("llama-70b", {"pro": 0.99849, "plus": 0.2}, now=NOW)
    seen = store.held.releases["llama-70b"]
    assert [one.observed for one in seen.status.exposure] == [0.9985, 0.2, None]
    assert (seen.etag, seen.last_change) == (before.etag, before.last_change)
    assert seen.seq > before.seq
    store.observe("llama-70b", {"pro": 0.5}, now=NOW + 4.9)
    assert store.held.releases["llama-70b"] == seen
    store.observe("llama-70b", {"pro": 0.5}, now=NOW + 5)
    assert store.held.releases["llama-70b"].status.exposure[0].observed == 0.5


def test_events_are_kept_for_their_time_and_number() -> None:
    """The newest 1000, and whatever is younger than 10 min; below that the floor rises."""
    store = seeded()
    assert store.floor == 0
    for number in range(1200):
        store.set_level("voice", "free", number % 100 / 100, now=NOW + 1, actor="a", reason="load")
    assert store.floor == 0
    store.set_level("voice", "free", 0.999, now=NOW + 1000, actor="a", reason="load")
    assert store.held.seq - store.floor == 1000
    assert len(store.events_after(store.floor)) == 1000
    assert [one.seq for one in store.events_after(store.held.seq - 2)] == [store.held.seq - 1, store.held.seq]


def test_the_log_is_filtered() -> None:
    """By each column, by time, and below a seq."""
    store = seeded()
    store.set_level("voice", "free", 0.5, now=NOW + 10, actor="bob", reason="load")
    assert [one.actor for one in log(store, AuditQuery(actor="bob"))] == ["bob"]
    assert len(log(store, AuditQuery(resource="/v1/releases/llama-70b"))) == 1
    assert len(log(store, AuditQuery(op="release.register"))) == 2
    assert [one.actor for one in log(store, AuditQuery(since=NOW + 5))] == ["bob"]
    assert "bob" not in [one.actor for one in log(store, AuditQuery(until=NOW + 5))]
    newest = log(store)[0].seq
    assert all(one.seq < newest for one in log(store, AuditQuery(below=newest)))
    assert log(store, AuditQuery(result="refused")) == []


def test_a_file_comes_back_as_it_was(tmp_path: Path) -> None:
    """Closed and opened again: same state, seq, events, log and instance; a second seed undoes nothing."""
    store = seeded(tmp_path / "plane.db")
    store.set_level("voice", "free", 0.5, now=NOW + 10, actor="bob", reason="load")
    held, events, entries = store.held, store.events_after(0), log(store)
    store.close()
    again = Store.open(tmp_path / "plane.db")
    assert again.held == held
    assert again.events_after(0) == events
    assert log(again) == entries
    again.seed(example(), NOW + 20)
    assert again.held.throttles == held.throttles
    assert again.held.releases == held.releases
    again.close()


def test_a_file_keeps_what_writes_leave_behind(tmp_path: Path) -> None:
    """A weight that was set, keys and their answers, and the chain, which goes on where it was."""
    store = seeded(tmp_path / "plane.db")
    weight = command(store, "release.set_weight", LLAMA, weight=0.5)
    done = store.apply(weight, now=NOW)
    store.close()
    again = Store.open(tmp_path / "plane.db")
    assert again.held.releases[LLAMA].status.exposure[1].desired == 0.5
    replayed = again.apply(weight, now=NOW + 1)
    assert (replayed.body, replayed.audit_id, replayed.replayed) == (done.body, done.audit_id, True)
    again.apply(command(again, "release.pause", LLAMA), now=NOW + 2)
    assert chain.verify(reversed(log(again)), previous="") is None
    again.close()


def test_a_ramp_goes_on_after_the_plane_was_down(tmp_path: Path) -> None:
    """From what was in force, at its pace, whatever time went by: an outage must not let all in at once."""
    store = seeded(tmp_path / "plane.db")
    store.apply(command(store, "throttle.set", VOICE, level=0.2, ttl_s=60), now=NOW)
    store.tick(NOW + 60 + 62)
    held = store.held.throttles["voice", "free"]
    assert (held.effective_level, held.state) == (0.3, "ramping")
    store.close()
    for began in (NOW + 5000, NOW + 9000):
        again = Store.open(tmp_path / "plane.db")
        again.tick(began)
        assert again.held.throttles["voice", "free"] == held
        again.close()
    again = Store.open(tmp_path / "plane.db")
    again.tick(NOW + 10_000)
    again.tick(NOW + 10_060)
    assert again.held.throttles["voice", "free"].effective_level == 0.4
    again.tick(NOW + 10_420)
    assert again.held.throttles["voice", "free"].state == "applied"
    assert again.held.ramps == {}
    again.close()
    assert Store.open(tmp_path / "plane.db").held.ramps == {}


def test_an_end_during_an_outage_begins_its_way_back_after_it(tmp_path: Path) -> None:
    """It is told at the first look, and ramps from there."""
    store = seeded(tmp_path / "plane.db")
    store.close()
    again = Store.open(tmp_path / "plane.db")
    again.tick(NOW + 100_000)
    cell = again.held.throttles["image-generation", "free"]
    assert (cell.level, cell.effective_level, cell.state) == (1.0, 0.3, "ramping")
    again.tick(NOW + 100_060)
    assert again.held.throttles["image-generation", "free"].effective_level == 0.4
    again.close()


VERSION_1 = """
CREATE TABLE meta (name TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE resource (path TEXT PRIMARY KEY, kind TEXT NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE event (seq INTEGER PRIMARY KEY, at REAL NOT NULL, kind TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE audit (seq INTEGER PRIMARY KEY, at REAL NOT NULL, actor TEXT NOT NULL, op TEXT NOT NULL,
  resource TEXT NOT NULL, result TEXT NOT NULL, decision_id TEXT, body BLOB NOT NULL);
CREATE INDEX audit_resource ON audit (resource, seq);
PRAGMA user_version=1;
"""


def test_data_of_version_1_is_kept(tmp_path: Path) -> None:
    """Opened by this version it has all it had, takes writes, and its log is one chain."""
    store = seeded(tmp_path / "new.db")
    store.set_level("voice", "free", 0.5, now=NOW, actor="bob", reason="load")
    held, entries, events = store.held, log(store), store.events_after(0)
    store.close()
    file = tmp_path / "old.db"
    old = sqlite3.connect(file)
    old.executescript(VERSION_1)
    old.execute("ATTACH ? AS new", [str(tmp_path / "new.db")])
    for table in ("meta", "resource", "event", "audit"):
        old.execute(f"INSERT INTO {table} SELECT * FROM new.{table}")
    for seq, body in old.execute("SELECT seq, body FROM audit").fetchall():
        members = wire.read(body, dict[str, object])
        for name in ("client", "previous_sha256", "sha256"):
            del members[name]
        old.execute("UPDATE audit SET body = ? WHERE seq = ?", (wire.render(members), seq))
    old.commit()
    old.close()
    again = Store.open(file)
    assert (again.held.releases, again.held.throttles, again.held.seq, again.held.config) == (
        held.releases,
        held.throttles,
        held.seq,
        held.config,
    )
    assert log(again) == entries
    assert again.events_after(0) == events
    again.apply(command(again, "throttle.set", VOICE, level=0.4), now=NOW + 1)
    assert chain.verify(reversed(log(again)), previous="") is None
    again.close()
    again = Store.open(file)
    assert len(log(again)) == len(entries) + 1
    again.close()


WRITER = """
import itertools, sys, time
from pathlib import Path
from collectors.control.server.store import Store
from tests.control_commands import VOICE, command, example
store = Store.open(Path(sys.argv[1]))
store.seed(example(), time.time())
for number in itertools.count(1):
    level, key = number % 1000 / 1000, f"k{number}"
    asked = command(store, "throttle.set", VOICE, level=level, key=key, ramp_per_min=1)
    print(number, store.apply(asked, now=time.time()).audit_id, flush=True)
"""


def test_a_kill_leaves_a_write_whole_or_not_at_all(tmp_path: Path) -> None:
    """What was answered is there; resource, ramp, log entry, events and key of the last one agree."""
    file = tmp_path / "plane.db"
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(file)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    answered = [process.stdout.readline().split() for _ in range(20)]
    process.kill()
    answered += [line.split() for line in process.stdout.read().splitlines() if line.count(" ") == 1]
    process.wait()
    process.stdout.close()
    store = Store.open(file)
    keys = dict(store._database.execute("SELECT key, audit_id FROM answer").fetchall())
    assert all(keys[f"k{number}"] == audit_id for number, audit_id in answered)
    assert len(keys) in {len(answered), len(answered) + 1}
    entries = [one.id for one in log(store) if one.op == "throttle.set"]
    assert set(entries) - {entries[-1]} == set(keys.values())
    newest = log(store)[0]
    cell = store.held.throttles["voice", "free"]
    assert cell.last_change is not None
    assert (cell.last_change.audit_id, cell.seq + 1, store.held.seq) == (newest.id, newest.seq, newest.seq)
    assert (("voice", "free") in store.held.ramps) == (cell.state == "ramping")
    assert [one.seq for one in store.events_after(cell.seq - 1)] == [cell.seq, newest.seq]
    assert chain.verify(reversed(log(store)), previous="") is None
    store.close()


def test_a_write_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    """Neither resource nor key: the same request is carried out once the disk takes it."""
    store = seeded(tmp_path / "plane.db")
    held, asked = store.held, command(store, "throttle.set", VOICE, level=0.5)
    store._database.execute("PRAGMA query_only=ON")
    with pytest.raises(StoreError, match="nothing was changed"):
        store.apply(asked, now=NOW)
    assert store.held is held
    store._database.execute("PRAGMA query_only=OFF")
    assert store.apply(asked, now=NOW).replayed is False
    store.close()


def test_limits_are_the_stores_own() -> None:
    """How many events are kept, and for how long, is what it was opened with."""
    store = Store.open(None, StoreLimits(events_kept=10, event_retention_s=60))
    store.seed(example(), NOW)
    store.set_level("voice", "free", 0.5, now=NOW + 61, actor="bob", reason="load")
    assert store.held.seq - store.floor == 10


def test_a_fresh_memory_is_another_instance() -> None:
    """What lives in memory only names each of its lives, since its seq begins anew."""
    assert seeded().held.config.instance != seeded().held.config.instance


def test_a_file_is_for_its_owner_and_for_one_plane(tmp_path: Path) -> None:
    """Mode 0600, the write-ahead log too; a second plane on it is refused with a sentence."""
    store = seeded(tmp_path / "plane.db")
    for file in tmp_path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    with pytest.raises(StoreError, match="another plane is using it"):
        Store.open(tmp_path / "plane.db")
    store.close()


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    """Rubbish, a directory, a link and a newer version are each named, and left as they are."""
    rubbish = tmp_path / "rubbish"
    rubbish.write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreError, match=r"rubbish.*give another file"):
        Store.open(rubbish)
    assert rubbish.read_bytes().startswith(b"not a database")
    with pytest.raises(StoreError, match="cannot be opened"):
        Store.open(tmp_path)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="cannot be opened"):
        Store.open(link)
    assert not (tmp_path / "elsewhere").exists()


def test_a_change_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    """If the disk refuses, memory stays as it was, and says so."""
    store = seeded(tmp_path / "plane.db")
    held = store.held
    store._database.execute("PRAGMA query_only=ON")
    with pytest.raises(StoreError, match="nothing was changed"):
        store.set_level("voice", "free", 0.5, now=NOW, actor="bob", reason="load")
    assert store.held is held
    store.close()


def test_listeners_hear_of_every_commit() -> None:
    """And of none after they were taken away."""
    store = seeded()
    heard: list[int] = []
    forget = store.listen(lambda: heard.append(store.held.seq))
    store.set_level("voice", "free", 0.5, now=NOW, actor="bob", reason="load")
    forget()
    store.set_level("voice", "free", 0.6, now=NOW, actor="bob", reason="load")
    assert len(heard) == 1


def broken(path: str, value: object) -> dict[str, Any]:
    """The example with one place changed; `path` like releases/0/id."""
    document = example()
    *way, last = path.split("/")
    here: Any = document
    for key in way:
        here = here[int(key) if key.isdigit() else key]
    here[int(last) if last.isdigit() else last] = value
    return document


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("tiers", [], r"^/tiers: "),
        ("tiers/1", "Pro!", r"^/tiers/1: an id is 1 to 63 of"),
        ("tiers/1", "pro", r"^/tiers/1: 'pro' is there twice"),
        (
            "default_tier",
            "fre",
            r"^/default_tier: no tier 'fre'; did you mean 'free'\? there are: pro, plus, free",
        ),
        ("releases/0/stages/1/weight", 25, r"^/releases/0/stages/1/weight: expected float <= 1.0"),
        (
            "releases/0/stages/1/wieght",
            1,
            r"^/releases/0/stages/1: no such key 'wieght'; did you mean 'weight'\?",
        ),
        (
            "releases/0/stages/1/tier",
            "plsu",
            r"^/releases/0/stages/1/tier: no tier 'plsu'; did you mean 'plus'",
        ),
        ("releases/0/stages/1/gate/kind", "vote", r"^/releases/0/stages/1/gate/kind: "),
        ("releases/0/stages/1/id", "pro@100", r"^/releases/0/stages/1: 'pro@100' is there twice"),
        ("releases/0/stage", "plus@50", r"^/releases/0/stage: no stage 'plus@50'"),
        ("releases/0/phase", "completed", r"^/releases/0/phase: completed at stage plus@25; allowed: paused"),
        ("releases/1/phase", "paused", r"^/releases/1/phase: paused needs a stage"),
        ("releases/1/subject/name", "image", r"^/releases/1/subject/name: no feature 'image'"),
        ("releases/1/subject/name", "llama-70b", r"^/releases/1/subject/name: 'llama-70b' is there twice"),
        ("releases/0/subject/name", "x.weight", r"^/releases/0/subject/name: .*\.weight"),
        ("releases/1/id", "llama-70b", r"^/releases/1: 'llama-70b' is there twice"),
        ("features/0/id", "release.x", r"^/features/0/id: "),
        (
            "throttles/0/feature",
            "imagegeneration",
            r"^/throttles/0/feature: .*did you mean 'image-generation'",
        ),
        ("throttles/0/ttl_s", 0, r"^/throttles/0/ttl_s: "),
        ("throttle_units/0", "rpm", r"^/throttle_units/0: "),
    ],
)
def test_a_wrong_seed_is_named_with_its_place(path: str, value: object, said: str) -> None:
    """A JSON pointer, what is wrong, and what is allowed; and nothing of it was taken."""
    with pytest.raises(SeedError, match=said):
        checked(broken(path, value))


def test_a_wrong_seed_file_is_named(tmp_path: Path) -> None:
    """File and line of a syntax error; file and pointer of another; an absent file."""
    file = tmp_path / "seed.json"
    file.write_text('{\n "tiers": ["a"],\n oops\n}')
    with pytest.raises(SeedError, match=r"seed\.json:3: no valid JSON"):
        read_seed(file)
    file.write_text('{"tires": ["a"]}')
    with pytest.raises(SeedError, match=r"seed\.json: /: no such key 'tires'; did you mean 'tiers'\?"):
        read_seed(file)
    file.write_bytes(b'\xff{"tiers": ["a"]}')
    with pytest.raises(SeedError, match=r"seed\.json:1: no valid JSON"):
        read_seed(file)
    with pytest.raises(SeedError, match="cannot be read: No such file"):
        read_seed(tmp_path / "absent.json")


def test_a_paused_seed_is_an_operators_pause() -> None:
    """Asked to start paused where it would move by itself."""
    document = example()
    document["releases"][0] |= {"stage": "plus@100", "phase": "paused"}
    store = seeded(document=document)
    assert store.held.releases["llama-70b"].status.pause_reason == "operator"
    store.tick(NOW + 100_000)
    assert store.held.releases["llama-70b"].status.stage == "plus@100"


def test_exposure_of_no_such_stage_is_refused() -> None:
    """An index that names nothing is a fault of the caller, not the last stage."""
    with pytest.raises(IndexError):
        rules.exposure((), (), 0, ("pro",))
    with pytest.raises(IndexError):
        rules.exposure((wire.Stage("a", "pro", 1.0),), (), -1, ("pro",))
