"""Writes to releases: each operation, its phases, and registering."""

from typing import Any

import msgspec
import pytest

from collectors.control import wire
from collectors.control.server.store import Store
from tests.control_commands import (
    ABORT,
    ADVANCE,
    FEATURE,
    LLAMA,
    NOW,
    OPEN,
    PAUSE,
    REGISTER,
    command,
    desired,
    example,
    log,
    person,
    refusal,
    release,
    restarted,
    seeded,
    stands,
)


@pytest.fixture
def store() -> Store:
    """The example seed in memory."""
    return seeded()


def test_advance_moves_one_stage_and_says_so(store: Store) -> None:
    """Status, etag, the log with everything that was said, and the events."""
    store.tick(OPEN)
    before = store.held
    asked = command(
        store,
        ADVANCE,
        LLAMA,
        ticket="REL-311",
        decision_id="d-1",
        client={"user": "al", "host": "h"},
        client_gate={"verdict": "GO", "sha256": "0" * 64},
    )
    done = store.apply(asked, now=OPEN)
    after = wire.read(done.body, wire.Release)
    assert stands(after) == ("progressing", None, "plus@100")
    assert desired(after) == [1, 1, 0]
    assert (done.status, done.etag, done.replayed) == (200, after.etag, False)
    assert after.last_change == wire.Change(
        done.audit_id, ADVANCE, "alice", "for a test", wire.render_time(OPEN)
    )
    entry = log(store)[0]
    assert entry.id == done.audit_id
    assert (entry.actor, entry.role, entry.via, entry.op, entry.resource) == (
        "alice",
        "release-admin",
        None,
        ADVANCE,
        "/v1/releases/llama-70b",
    )
    assert (entry.ticket, entry.decision_id, entry.idempotency_key, entry.request_id, entry.result) == (
        "REL-311",
        "d-1",
        asked.key,
        "q-1",
        "applied",
    )
    assert entry.client == {"user": "al", "host": "h", "version": ""}
    assert entry.client_gate == {"verdict": "GO", "sha256": "0" * 64}
    assert entry.before == {"candidate": "r42", "phase": "paused", "stage": "plus@25"} | {
        "pause_reason": "gate",
        "desired": {"pro": 1, "plus": 0.25, "free": 0},
    }
    assert entry.after == {"candidate": "r42", "phase": "progressing", "stage": "plus@100"} | {
        "pause_reason": None,
        "desired": {"pro": 1, "plus": 1, "free": 0},
    }
    assert [one.kind for one in store.events_after(before.seq)] == ["release", "audit"]
    assert [one.id for one in log(store) if one.decision_id == "d-1"] == [entry.id]


def test_advance_to_a_later_stage(store: Store) -> None:
    """The last stage is full promotion, from wherever: the candidate is stable, and first in history."""
    after = release(store, ADVANCE, now=OPEN, to="free@100")
    assert stands(after) == ("completed", None, "free@100")
    assert (after.stable, after.history, desired(after)) == ("r42", ("r42", "r41"), [1, 1, 1])


def test_a_closed_gate_holds_an_advance_unless_overridden(store: Store) -> None:
    """422 with the gate as it is now; passing it is in the log."""
    problem = refusal(store, command(store, ADVANCE, LLAMA), NOW + 612)
    assert (problem.status, problem.code, problem.detail) == (422, "gate-not-met", "hold: 612 of 900 s")
    ready = wire.render_time(OPEN)
    check = wire.Check("hold", "fail", "612 of 900 s", ready)
    assert problem.members["gate"] == wire.GateState("closed", (check,))
    after = release(store, ADVANCE, now=NOW + 612, override_gate=True)
    assert after.status.stage == "plus@100"
    assert [(one.result, one.code, one.override_gate) for one in log(store)[:2]] == [
        ("applied", None, True),
        ("refused", "gate-not-met", False),
    ]


def test_overriding_needs_its_own_role(store: Store) -> None:
    """403 before anything else is looked at, and in the log."""
    asked = command(
        store, ADVANCE, LLAMA, person("bob", "operator"), override_gate=True, if_match=None, seen=None
    )
    problem = refusal(store, asked, OPEN)
    assert (problem.status, problem.code) == (403, "forbidden")
    assert (log(store)[0].actor, log(store)[0].code) == ("bob", "forbidden")


def test_pause_holds_what_would_move_by_itself(store: Store) -> None:
    """An operator's pause keeps stage and weights; resume undoes just that and never changes the stage."""
    release(store, ADVANCE, now=OPEN)
    held = release(store, PAUSE, now=OPEN + 1, if_match="*")
    assert stands(held) == ("paused", "operator", "plus@100")
    store.tick(OPEN + 100_000)
    assert stands(store.held.releases[LLAMA]) == ("paused", "operator", "plus@100")
    problem = refusal(store, command(store, ADVANCE, LLAMA), OPEN + 100_001)
    assert (problem.code, problem.detail) == (
        "wrong-phase",
        "llama-70b is paused by alice; resume it first",
    )
    after = release(store, "release.resume", now=OPEN + 100_001)
    assert stands(after) == ("progressing", None, "plus@100")
    assert desired(after) == desired(held)


def test_resume_goes_back_to_waiting_at_a_manual_gate(store: Store) -> None:
    """What waited for its gate before the pause waits for it again."""
    assert stands(release(store, PAUSE)) == ("paused", "operator", "plus@25")
    assert stands(release(store, "release.resume")) == ("paused", "gate", "plus@25")


def test_abort_and_retry(store: Store) -> None:
    """Exposure base, no stage, candidate kept; then pending, from the start."""
    after = release(store, ABORT, if_match="*")
    assert (*stands(after), after.candidate, desired(after)) == ("aborted", None, None, "r42", [0, 0, 0])
    assert (after.status.stage_index, after.status.entered_at) == (None, None)
    after = release(store, "release.retry")
    assert (*stands(after), after.candidate) == ("pending", None, None, "r42")
    assert release(store, ADVANCE).status.stage == "pro@100"
    assert desired(release(store, ABORT, FEATURE)) == [1, 1, 0]


def test_rollback_ends_at_the_stable_revision(store: Store) -> None:
    """Completed at base, candidate and stable the same, which is first in history."""
    after = release(store, "release.rollback")
    assert stands(after) == ("completed", None, None)
    assert (after.candidate, after.stable, after.history, desired(after)) == (
        "r41",
        "r41",
        ("r41",),
        [0, 0, 0],
    )


def test_rollback_of_a_completed_release_names_its_revision(store: Store) -> None:
    """One of the history; else 400, which says what there is."""
    release(store, ADVANCE, now=OPEN, to="free@100")
    for given in ({}, {"to_revision": "r40"}):
        problem = refusal(store, command(store, "release.rollback", LLAMA, **given), OPEN)
        assert (problem.status, problem.code) == (400, "invalid-request")
        assert "there are: r42, r41" in problem.detail
    after = release(store, "release.rollback", now=OPEN, to_revision="r41")
    assert (after.candidate, after.stable, after.history) == ("r41", "r41", ("r41", "r42"))
    assert log(store)[0].before == {"candidate": "r42", "phase": "completed", "stage": "free@100"} | {
        "stable": "r42",
        "desired": {"pro": 1, "plus": 1, "free": 1},
    }


def test_rollback_with_nothing_to_return_to(store: Store) -> None:
    """400, which says what to do instead."""
    problem = refusal(store, command(store, "release.rollback", FEATURE))
    assert (problem.status, problem.code) == (400, "invalid-request")
    assert problem.detail == "deep-research has no stable revision to return to; abort instead"


def test_a_weight_set_holds_until_the_next_stage(store: Store) -> None:
    """It is what exposure says, through pause and resume, and gone at the next stage and after."""
    after = release(store, "release.set_weight", weight=0.3333)
    assert (desired(after), after.status.stage) == ([1, 0.3333, 0], "plus@25")
    assert after.stages[1].weight == 0.25
    assert desired(release(store, PAUSE)) == [1, 0.3333, 0]
    assert desired(release(store, "release.resume")) == [1, 0.3333, 0]
    problem = refusal(
        store,
        command(
            store,
            "release.set_weight",
            LLAMA,
            weight=0.5,
            seen={"candidate": "r42", "stage": "plus@25", "weight": 0.25},
        ),
    )
    assert (problem.status, problem.code) == (409, "stale-level")
    assert problem.detail == "llama-70b has weight 33.33% at plus@25; you saw 25%; resumed by alice"
    assert desired(release(store, ADVANCE, now=OPEN)) == [1, 1, 0]


def test_a_weight_set_for_everyone() -> None:
    """A stage that names all tiers moves all of them."""
    document = example()
    document["releases"][0]["stages"][1]["tier"] = "*"
    store = Store.open(None)
    store.seed(document, NOW)
    assert desired(release(store, "release.set_weight", weight=0.5)) == [0.5, 0.5, 0.5]


PHASES = ("pending", "progressing", "paused", "held", "completed", "aborted", "degraded", "unknown")
LEGAL = {
    ADVANCE: {"pending", "progressing", "paused"},
    PAUSE: {"progressing", "paused", "held"},
    "release.resume": {"held"},
    ABORT: {"pending", "progressing", "paused", "held", "degraded", "unknown"},
    "release.retry": {"aborted", "degraded"},
    "release.rollback": {"pending", "progressing", "paused", "held", "completed", "aborted", "degraded"},
    "release.set_weight": {"progressing", "paused", "held"},
    REGISTER: {"completed", "aborted"},
}


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("operation", LEGAL)
def test_legal_operations_of_each_phase(store: Store, operation: str, phase: str) -> None:
    """The contract's table; `held` is paused by an operator. Elsewhere 409 with the whole resource."""
    store.tick(OPEN)
    one = store.held.releases[LLAMA]
    reasons = {"paused": "gate", "held": "operator"}
    name = "paused" if phase == "held" else phase
    status = msgspec.structs.replace(one.status, phase=name, pause_reason=reasons.get(phase))
    if phase in {"pending", "aborted"}:
        status = msgspec.structs.replace(status, stage=None, stage_index=None, entered_at=None)
    one = store.put_release(msgspec.structs.replace(one, status=status), now=OPEN)
    given: dict[str, Any] = {
        "release.set_weight": {"weight": 0.5},
        "release.rollback": {"to_revision": "r41"},
        REGISTER: restarted(),
    }.get(operation, {})
    asked = command(store, operation, LLAMA, **given)
    if phase in LEGAL[operation]:
        assert store.apply(asked, now=OPEN).status == 200
        return
    problem = refusal(store, asked, OPEN)
    assert (problem.status, problem.code) == (409, "wrong-phase")
    assert problem.headers is not None
    assert problem.headers["ETag"] == f'"{one.etag}"'
    current = problem.members["current"]
    assert isinstance(current, msgspec.Raw)
    assert wire.read(current, wire.Release).etag == one.etag
    assert (log(store)[0].result, log(store)[0].code) == ("refused", "wrong-phase")


def test_a_new_release_is_registered(store: Store) -> None:
    """201, pending, base as exposure, history of the stable one; title is the id."""
    body = restarted("chat", stable="c1", base=[{"tier": "pro", "weight": 0.5}])
    done = store.apply(command(store, REGISTER, "chat", if_none_match=True, **body), now=NOW)
    made = store.held.releases["chat"]
    assert wire.read(done.body, wire.Release) == made
    assert (done.status, done.etag, made.title, made.history) == (201, made.etag, "chat", ("c1",))
    assert (stands(made), desired(made)) == (("pending", None, None), [0.5, 0, 0])
    assert made.status.gate.state == "open"
    assert (log(store)[0].op, log(store)[0].before) == (REGISTER, None)
    assert made.last_change is not None
    assert made.last_change.audit_id == log(store)[0].id


def test_a_new_release_needs_a_free_id_and_subject(store: Store) -> None:
    """412 for an id that exists, with the release; 409 for a subject that another one holds."""
    problem = refusal(store, command(store, REGISTER, LLAMA, if_none_match=True, **restarted()))
    assert (problem.status, problem.code) == (412, "stale-etag")
    assert problem.headers is not None
    assert problem.headers["ETag"] == f'"{store.held.releases[LLAMA].etag}"'
    assert "current" in problem.members
    body = restarted(id="other")
    problem = refusal(store, command(store, REGISTER, "other", if_none_match=True, **body))
    assert (problem.status, problem.code) == (409, "subject-taken")
    assert "llama-70b" in problem.detail
    assert [one.code for one in log(store)[:2]] == ["subject-taken", "stale-etag"]


def test_a_completed_release_starts_again(store: Store) -> None:
    """New candidate and stages; title, stable and history stay; a model has no base unless given."""
    release(store, ADVANCE, now=OPEN, to="free@100")
    after = release(store, REGISTER, now=OPEN, stable="r42", **restarted())
    assert (stands(after), desired(after)) == (("pending", None, None), [0, 0, 0])
    assert (after.candidate, after.stable, after.history, after.title) == (
        "r43",
        "r42",
        ("r42", "r41"),
        "Llama 70B",
    )
    assert [one.id for one in after.stages] == ["pro@100", "all"]


def test_a_feature_that_starts_again_keeps_whom_it_had(store: Store) -> None:
    """Base absent: the exposure it stands at. Given: that one."""
    release(store, ADVANCE, FEATURE)
    release(store, ADVANCE, FEATURE, now=OPEN)
    after = release(store, REGISTER, FEATURE, now=OPEN, **restarted(FEATURE))
    assert (after.base, desired(after)) == (
        tuple(wire.TierWeight(tier, 1.0) for tier in ("pro", "plus", "free")),
        [1, 1, 1],
    )
    release(store, ABORT, FEATURE, now=OPEN)
    body = restarted(FEATURE, base=[{"tier": "pro", "weight": 1.0}], title="Anew")
    after = release(store, REGISTER, FEATURE, now=OPEN, **body)
    assert (desired(after), after.title) == ([1, 0, 0], "Anew")


@pytest.mark.parametrize(
    ("given", "status", "code"),
    [
        ({"stable": "r9"}, 409, "stale-release"),
        ({"stable": None}, 409, "stale-release"),
        ({"seen": {"candidate": "r9", "stage": None}}, 409, "stale-release"),
        ({"seen": {"candidate": "r42", "stage": "pro@100"}}, 409, "stale-stage"),
        ({"seen": {"candidate": "r42"}}, 428, "precondition-required"),
        ({"if_match": None}, 428, "precondition-required"),
        ({"if_match": "m-1"}, 412, "stale-etag"),
        ({"subject": {"kind": "model", "name": "other"}}, 400, "invalid-request"),
        ({"stages": [{"id": "a", "tier": "gold", "weight": 1}]}, 400, "invalid-request"),
        ({"if_none_match": True, "if_match": "m-1"}, 400, "invalid-request"),
    ],
)
def test_what_bars_a_new_start(store: Store, given: dict[str, Any], status: int, code: str) -> None:
    """Each of its preconditions."""
    release(store, ABORT)
    problem = refusal(store, command(store, REGISTER, LLAMA, **(restarted() | given)))
    assert (problem.status, problem.code) == (status, code)


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({"subject": {"kind": "feature", "name": "nonesuch"}}, "/subject/name"),
        ({"subject": {"kind": "model", "name": "x.weight"}}, "/subject/name"),
        ({"base": [{"tier": "gold", "weight": 1}]}, "/base/0/tier"),
        ({"seen": {"candidate": "r1", "stage": None}}, "/from"),
    ],
)
def test_a_register_without_sense(store: Store, given: dict[str, Any], pointer: str) -> None:
    """400 with its place, and no entry in the log."""
    entries = log(store)
    problem = refusal(
        store, command(store, REGISTER, "x", if_none_match=True, **(restarted("chat", id="x") | given))
    )
    assert problem.status == 400
    errors = problem.members["errors"]
    assert isinstance(errors, list)
    assert errors[0]["pointer"] == pointer
    assert log(store) == entries


def test_a_register_without_either_header(store: Store) -> None:
    """428, which names the one that fits."""
    asked = command(store, REGISTER, LLAMA, if_match=None, seen=None, **restarted())
    assert refusal(store, asked).members == {"missing": ["If-Match", "from"]}
    asked = msgspec.structs.replace(asked, release="other")
    assert refusal(store, asked).members == {"missing": ["If-None-Match"]}
    asked = msgspec.structs.replace(asked, if_match="m-1")
    assert refusal(store, asked).status == 404
