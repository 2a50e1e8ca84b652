"""What every write goes through: checks in their order, keys, the log, dry runs."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from collectors.control import wire
from collectors.control.server.commands import Command, Done
from collectors.control.server.problems import Problem
from collectors.control.server.store import AuditQuery, Store, StoreLimits
from tests.control_commands import (
    ABORT,
    ADVANCE,
    CLEAR,
    IMAGES,
    LLAMA,
    NOW,
    OPEN,
    PAUSE,
    REGISTER,
    SET,
    VOICE,
    cell,
    command,
    example,
    log,
    person,
    refusal,
    release,
    resource,
    restarted,
    seeded,
)


@pytest.fixture
def store() -> Store:
    """The example seed in memory."""
    return seeded()


def test_what_must_be_there(store: Store) -> None:
    """428 names everything that is absent, and leaves nothing in the log."""
    entries = log(store)
    rows: list[tuple[str, str, dict[str, Any], list[str]]] = [
        (ADVANCE, LLAMA, {"if_match": None}, ["If-Match"]),
        (ADVANCE, LLAMA, {"if_match": None, "seen": None}, ["If-Match", "from"]),
        (ADVANCE, LLAMA, {"if_match": "*"}, ["If-Match"]),
        (ADVANCE, LLAMA, {"seen": {}}, ["from.candidate", "from.stage"]),
        ("release.retry", LLAMA, {"seen": {"candidate": "r42"}}, ["from.stage"]),
        ("release.resume", LLAMA, {"seen": {"candidate": "r42"}}, ["from.stage"]),
        ("release.rollback", LLAMA, {"seen": {"stage": None}}, ["from.candidate"]),
        (
            "release.set_weight",
            LLAMA,
            {"weight": 1.0, "seen": {"candidate": "r42", "stage": "plus@25"}},
            ["from.weight"],
        ),
        (PAUSE, LLAMA, {"seen": {}}, ["from.candidate"]),
        (ABORT, LLAMA, {"if_match": None}, ["If-Match"]),
        (SET, VOICE, {"level": 0.5, "seen": {"limit": 5}}, ["from.level"]),
        (SET, VOICE, {"level": 0.5, "if_match": "*"}, ["If-Match"]),
        (CLEAR, VOICE, {"seen": None}, ["from"]),
    ]
    for operation, on, given, missing in rows:
        problem = refusal(store, command(store, operation, on, **given))
        assert (problem.status, problem.code) == (428, "precondition-required")
        assert problem.members == {"missing": missing}, (operation, given)
    assert log(store) == entries


def test_what_was_seen_is_compared_before_the_etag(store: Store) -> None:
    """A change already made reads as that, with who made it, and not as a bare 412."""
    late = command(store, ADVANCE, LLAMA, person("bob"))
    release(store, ADVANCE, now=OPEN)
    problem = refusal(store, late, OPEN)
    assert (problem.status, problem.code) == (409, "stale-stage")
    assert problem.detail == "llama-70b is at plus@100; you asked to leave plus@25; advanced by alice"
    newest = wire.read(store.audit(AuditQuery(), 1)[0][1], wire.Audit)
    assert problem.headers == {
        "ETag": f'"{store.held.releases[LLAMA].etag}"',
        "Tidegate-Audit-Id": newest.id,
    }
    late = command(store, SET, VOICE, person("bob"), level=0.5)
    cell(store, SET, level=0.2)
    problem = refusal(store, late, OPEN)
    assert (problem.status, problem.code) == (409, "stale-level")
    assert problem.detail == "voice/free is at admit 20%; you saw admit 100%; set by alice"


def test_an_old_etag_is_told_what_happened(store: Store) -> None:
    """Who did it last, or that the gate opened; even brakes keep to an etag that they send."""
    late = command(store, ADVANCE, LLAMA)
    brake = command(store, ABORT, LLAMA)
    held = release(store, PAUSE, caller=person("bob@example.com"))
    for asked in (late, brake):
        problem = refusal(store, asked)
        assert (problem.status, problem.code) == (412, "stale-etag")
        assert problem.detail == f"sent {late.if_match}, now {held.etag}: paused by bob@example.com"
    late = command(store, "release.resume", LLAMA)
    store.tick(OPEN)
    assert refusal(store, late, OPEN).detail.endswith(": its gate is open now")
    store.observe(LLAMA, {"pro": 0.5}, now=OPEN)
    assert refusal(store, late, OPEN).detail.endswith(": its gate is open now")


def test_a_brake_is_not_refused_as_stale(store: Store) -> None:
    """Pause and abort look at the candidate alone; another candidate is another release."""
    seen = {"candidate": "r42", "stage": "long gone"}
    assert release(store, PAUSE, if_match="*", seen=seen).status.phase == "paused"
    problem = refusal(store, command(store, ABORT, LLAMA, if_match="*", seen={"candidate": "r41"}))
    assert (problem.status, problem.code) == (409, "stale-release")


def test_time_passes_before_anything_is_compared(store: Store) -> None:
    """What was due at the time of the write has happened: the gate moved it, so the operator is late."""
    release(store, ADVANCE, now=OPEN)
    problem = refusal(store, command(store, ADVANCE, LLAMA), OPEN + 600)
    assert problem.code == "stale-stage"
    assert problem.detail.endswith("advanced by system:gate")
    assert store.held.releases[LLAMA].status.phase == "completed"


@pytest.mark.parametrize(
    ("operation", "on", "given", "pointer"),
    [
        (ADVANCE, LLAMA, {"seen": {"candidate": "r42", "stage": "plus@25", "level": 1}}, "/from/level"),
        (SET, VOICE, {"level": 0.1, "seen": {"level": 1, "stage": None}}, "/from/stage"),
        (SET, VOICE, {}, "/level"),
        (SET, VOICE, {"level": 0.1, "limit": 5}, "/level"),
        (SET, VOICE, {"level": 0.1, "ttl_s": 5, "expires_at": wire.render_time(NOW + 5)}, "/expires_at"),
        (SET, VOICE, {"level": 0.1, "expires_at": wire.render_time(NOW)}, "/expires_at"),
        (SET, VOICE, {"level": 0.1, "expires_at": "tomorrow"}, "/expires_at"),
        (SET, VOICE, {"level": 0.1, "ttl_s": 101}, "/ttl_s"),
        (SET, VOICE, {"level": 0.00004}, "/level"),
        (SET, VOICE, {"level": 0.12345}, "/level"),
        (SET, VOICE, {"level": 1e-200}, "/level"),
        ("release.set_weight", LLAMA, {"weight": 0.00004}, "/weight"),
        (SET, VOICE, {"level": 0.1, "reason": "     "}, "/reason"),
        (SET, VOICE, {"level": 0.1, "reason": "ab \u200b\u2060"}, "/reason"),
        (SET, VOICE, {"level": 0.1, "reason": "ab\u3164\u2800\ufe0f\u034f"}, "/reason"),
        (ADVANCE, LLAMA, {"to": "nonesuch"}, "/to"),
        (ADVANCE, LLAMA, {"to": "plus@25"}, "/to"),
        (ADVANCE, LLAMA, {"to": "pro@100"}, "/to"),
    ],
)
def test_what_makes_no_sense(operation: str, on: str, given: dict[str, Any], pointer: str) -> None:
    """400 with its place."""
    store = Store.open(None, StoreLimits(ttl_max_s=100))
    store.seed(example(), NOW)
    problem = refusal(store, command(store, operation, on, **given))
    assert (problem.status, problem.code) == (400, "invalid-request")
    errors = problem.members["errors"]
    assert isinstance(errors, list)
    assert errors[0]["pointer"] == pointer


@pytest.mark.parametrize("reason", ["p99", "容量大", "過負荷", "นี้ดี", "\U0001f525\U0001f525\U0001f525"])
def test_a_reason_of_any_script_is_one(store: Store, reason: str) -> None:
    """Three characters that can be seen are enough, whatever they are."""
    change = cell(store, SET, level=0.5, reason=reason).last_change
    assert change is not None
    assert change.reason == reason


def test_a_release_with_shares_too_fine_is_refused(store: Store) -> None:
    """Of a stage and of the base, each with its place."""
    fine = [{"id": "pro", "tier": "pro", "weight": 0.00004}]
    base = [{"tier": "pro", "weight": 0.33333}]
    for members, pointer in (({"stages": fine}, "/stages/0/weight"), ({"base": base}, "/base/0/weight")):
        asked = command(store, REGISTER, "chat", if_none_match=True, **restarted("chat", **members))
        errors: Any = refusal(store, asked).members["errors"]
        assert errors == [{"pointer": pointer, "detail": "at most 4 decimals"}]


def test_what_is_not_there(store: Store) -> None:
    """404 for a release and for a cell, before any precondition."""
    asked = msgspec.structs.replace(command(store, PAUSE, LLAMA, if_match=None), release="nonesuch")
    assert refusal(store, asked).status == 404
    asked = msgspec.structs.replace(command(store, CLEAR, VOICE, seen=None), tier="gold")
    assert refusal(store, asked).status == 404


@pytest.mark.parametrize(
    ("operation", "on", "given"),
    [
        (SET, IMAGES, {"level": 0.3, "expires_at": wire.render_time(NOW + 7200)}),
        (SET, VOICE, {"level": 1.0}),
        (CLEAR, VOICE, {}),
        ("release.set_weight", LLAMA, {"weight": 0.25}),
    ],
)
def test_a_write_that_changes_nothing(store: Store, operation: str, on: str, given: dict[str, Any]) -> None:
    """200, the same etag and seq, no event but that of its log entry."""
    before, seq = resource(store, on), store.held.seq
    done = store.apply(command(store, operation, on, **given), now=NOW)
    assert (done.status, done.etag) == (200, before.etag)
    assert resource(store, on) == before
    assert [one.kind for one in store.events_after(seq)] == ["audit"]
    assert (log(store)[0].id, log(store)[0].result) == (done.audit_id, "applied")
    assert log(store)[0].before == log(store)[0].after


def test_pausing_twice_changes_nothing(store: Store) -> None:
    """And setting off a ramp that is under way leaves it alone."""
    first = release(store, PAUSE)
    assert release(store, PAUSE) == first
    cell(store, SET, level=0.5, ramp_per_min=0.1)
    store.tick(NOW + 10)
    due = store.held.next_due
    again = cell(store, SET, now=NOW + 12, level=0.5, ramp_per_min=0.1)
    assert again.effective_level == 0.9833
    assert store.held.next_due == due


def test_a_key_is_answered_once_and_for_all(store: Store) -> None:
    """The same answer, byte for byte, and no effect, even when the world has moved on."""
    asked = command(store, SET, VOICE, level=0.5, expires_at=wire.render_time(NOW + 60))
    first = store.apply(asked, now=NOW)
    cell(store, SET, now=NOW + 100, level=0.7)
    held, entries = store.held, log(store)
    again = store.apply(asked, now=NOW + 100)
    assert again == msgspec.structs.replace(first, replayed=True)
    assert store.held == held
    assert log(store) == entries


def test_a_key_belongs_to_one_request_of_one_actor(store: Store) -> None:
    """Another request under it is refused; another actor's key is another key."""
    store.apply(command(store, SET, VOICE, level=0.5, key="k"), now=NOW)
    entries = log(store)
    problem = refusal(store, command(store, SET, VOICE, level=0.6, key="k"))
    assert (problem.status, problem.code) == (422, "idempotency-key-reused")
    assert log(store) == entries
    store.apply(command(store, SET, VOICE, person("bob"), level=0.6, key="k"), now=NOW)
    assert resource(store, VOICE).last_change.actor == "bob"  # type: ignore[union-attr]  # it was changed


def test_what_was_refused_is_tried_afresh(store: Store) -> None:
    """4xx are not kept."""
    asked = command(store, ADVANCE, LLAMA)
    assert refusal(store, asked).code == "gate-not-met"
    asked = msgspec.structs.replace(command(store, ADVANCE, LLAMA), key=asked.key, fingerprint="another")
    with pytest.raises(Problem, match="412"):
        store.apply(asked, now=OPEN)
    asked = msgspec.structs.replace(command(store, ADVANCE, LLAMA), key=asked.key)
    assert store.apply(asked, now=OPEN).replayed is False


def test_a_key_is_kept_for_its_time() -> None:
    """And is a new one after that; its row goes with the next write."""
    store = Store.open(None, StoreLimits(idempotency_retention_s=100))
    store.seed(example(), NOW)
    store.apply(command(store, SET, VOICE, level=0.5, key="k", fingerprint="f"), now=NOW)
    store.apply(command(store, SET, VOICE, level=0.4, key="l"), now=NOW + 1)
    assert store.apply(
        command(store, SET, VOICE, level=0.5, key="k", fingerprint="f"), now=NOW + 100
    ).replayed
    fresh = store.apply(command(store, SET, VOICE, level=0.9, key="k", fingerprint="f"), now=NOW + 101)
    assert not fresh.replayed
    assert store._database.execute("SELECT key FROM answer ORDER BY key").fetchall() == [("k",), ("l",)]
    store.apply(command(store, SET, VOICE, level=0.8, key="m"), now=NOW + 150)
    assert store._database.execute("SELECT key FROM answer ORDER BY key").fetchall() == [("k",), ("m",)]


def rehearsed(store: Store, operation: str, on: str, now: float = NOW, **given: Any) -> wire.DryRun:
    """What a dry run says; it leaves nothing behind."""
    store.tick(now)
    held, entries = store.held, log(store)
    said = store.rehearse(command(store, operation, on, key="", **given), now=now)
    assert store.held is held
    assert log(store) == entries
    return wire.read(said, wire.DryRun)


def test_a_dry_run_says_what_would_change(store: Store) -> None:
    """Every member by its pointer, before and after, without times and tags of the write itself."""
    told = rehearsed(store, ADVANCE, LLAMA, OPEN, to="plus@100")
    assert told.would_apply
    assert {one.path: (one.before, one.after) for one in told.changes} == {
        "/status/phase": ("paused", "progressing"),
        "/status/pause_reason": ("gate", None),
        "/status/stage_index": (1, 2),
        "/status/stage": ("plus@25", "plus@100"),
        "/status/gate/state": ("open", "closed"),
        "/status/exposure/1/desired": (0.25, 1.0),
    }
    assert told.warnings == ()
    told = rehearsed(store, SET, IMAGES, level=0.1)
    assert {one.path: (one.before, one.after) for one in told.changes} == {
        "/level": (0.3, 0.1),
        "/effective_level": (0.3, 0.1),
        "/expires_at": (wire.render_time(NOW + 7200), None),
        "/revert_to": (None, {"level": 0.3, "expires_at": wire.render_time(NOW + 7200)}),
    }


def test_a_dry_run_of_what_is_new(store: Store) -> None:
    """The whole of it."""
    (told,) = rehearsed(store, REGISTER, "chat", if_none_match=True, **restarted("chat")).changes
    assert (told.path, told.before) == ("", None)
    assert isinstance(told.after, dict)
    assert told.after["candidate"] == "r43"


def test_a_dry_run_warns(store: Store) -> None:
    """Of stages passed, a gate overridden, a setting forgotten, and of no change at all."""
    told = rehearsed(store, ADVANCE, LLAMA, to="free@100", override_gate=True)
    assert told.warnings == (
        "goes past plus@100, and past what their gates would wait for",
        "the gate of plus@25 is closed, and overridden",
    )
    cell(store, SET, IMAGES, level=0.1)
    assert rehearsed(store, SET, IMAGES, level=0.5).warnings == (
        "forgets the setting remembered until now, admit 30%",
    )
    assert rehearsed(store, SET, IMAGES, level=0.1).warnings == ("nothing would change",)


def test_writes_are_counted(store: Store) -> None:
    """By operation and what became of them; a dry run is none."""
    asked = command(store, SET, VOICE, level=0.5)
    store.apply(asked, now=NOW)
    store.apply(asked, now=NOW)
    refusal(store, command(store, SET, VOICE, level=0.5, seen={"level": 0.1}))
    refusal(store, command(store, SET, VOICE, level=0.5, if_match="t-1"))
    refusal(store, command(store, ADVANCE, LLAMA))
    refusal(store, command(store, ADVANCE, LLAMA, if_match=None))
    assert store.write_counts == {
        (SET, "applied"): 1,
        (SET, "replayed"): 1,
        (SET, "conflict"): 2,
        (ADVANCE, "refused"): 2,
    }


def at_once(store: Store, asked: list[Command]) -> list[Done | str]:
    """What becomes of writes that are sent together: an answer, or a problem's code."""

    def sent(one: Command) -> Done | str:
        try:
            return store.apply(one, now=OPEN)
        except Problem as problem:
            return problem.code

    with ThreadPoolExecutor(len(asked)) as pool:
        return list(pool.map(sent, asked))


def test_operators_who_press_at_once_move_one_stage(tmp_path: Path) -> None:
    """One is carried out; the others are told that the stage changed."""
    store = Store.open(tmp_path / "plane.db")
    store.seed(example(), NOW)
    store.tick(OPEN)
    became = at_once(store, [command(store, ADVANCE, LLAMA, person(f"op-{n}")) for n in range(8)])
    assert sorted(str(one) for one in became if isinstance(one, str)) == ["stale-stage"] * 7
    assert store.held.releases[LLAMA].status.stage == "plus@100"
    store.close()


def test_a_request_repeated_while_it_runs_is_carried_out_once(tmp_path: Path) -> None:
    """All get one answer, and one of them is not a replay."""
    store = Store.open(tmp_path / "plane.db")
    store.seed(example(), NOW)
    store.tick(OPEN)
    became = at_once(store, [command(store, ADVANCE, LLAMA, key="k")] * 8)
    done = [one for one in became if isinstance(one, Done)]
    assert len(done) == 8
    assert len({(one.body, one.audit_id) for one in done}) == 1
    assert sorted(one.replayed for one in done) == [False] + [True] * 7
    store.close()
