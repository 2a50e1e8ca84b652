"""What moved and what changes, in words; a write as bytes; what each answer says of it."""

import json
from dataclasses import replace
from typing import Any

import pytest

from collectors import intending
from collectors.control import compare, refusals, wire, writing
from collectors.control.http import Reply
from collectors.control.writing import Fate
from collectors.fleet import Exposure, LastChange, Release, Revert, Stage, Throttle
from collectors.intents import Difference, Intent, Target, decided

NOON = 1795280400.0
BY_BOB = LastChange("a-9", "release.pause", "bob", "p99 rises", NOON)
RELEASE = Release(
    id="llama-70b",
    title="Llama 70B",
    subject_kind="model",
    subject="llama-70b",
    seq=412,
    etag="m-18",
    stable="r41",
    candidate="r42",
    stages=(Stage("pro@100", "pro", 1.0), Stage("plus@25", "plus", 0.25), Stage("plus@100", "plus", 1.0)),
    phase="paused",
    pause_reason="gate",
    stage_index=1,
    exposure=(Exposure("pro", 1.0), Exposure("plus", 0.25)),
    gate="open",
)
CELL = Throttle("image-generation", "free", 410, "t-8", 0.3)
LIMITED = replace(CELL, level=None, unit="rpm", limit=200.0)
BY = ("by", "", "bob at 2026-11-21 17:00:00Z: release.pause (p99 rises)")


def later(**members: Any) -> Release:
    """The release after bob did something to it."""
    return replace(RELEASE, etag="m-19", last_change=BY_BOB, **members)


@pytest.mark.parametrize(
    ("now", "then", "said"),
    [
        (RELEASE, None, []),
        (later(stage_index=2), None, [("stage", "plus@25", "plus@100"), BY]),
        (later(stage_index=None), None, [("stage", "plus@25", "none"), BY]),
        (later(candidate="r43"), None, [("candidate", "r42", "r43"), BY]),
        (later(), None, [("rev", "m-18", "m-19"), BY]),
        (later(pause_reason="operator"), RELEASE, [("phase", "paused (gate)", "paused (operator)"), BY]),
        (later(gate="closed"), RELEASE, [("gate", "open", "closed"), BY]),
        (later(gate="closed"), later(), [("rev", "m-18", "m-19"), BY]),
        (later(stage_index=2), RELEASE, [("stage", "plus@25", "plus@100"), BY]),
        (replace(RELEASE, etag="m-19"), RELEASE, [("rev", "m-18", "m-19")]),
    ],
)
def test_what_moved_of_a_release(now: Release, then: Release | None, said: list[tuple[str, ...]]) -> None:
    """Stage, candidate, and what else moved where it is known how it was; and who did it."""
    assert [tuple(one) for one in compare.moved(intending.advance(RELEASE), now, then)] == said


@pytest.mark.parametrize(
    ("seen", "now", "said"),
    [
        (CELL, CELL, []),
        (replace(CELL, level=0.30001), CELL, []),
        (CELL, replace(CELL, level=0.5, etag="t-9"), [("level", "admit 30%", "admit 50%")]),
        (CELL, replace(LIMITED, etag="t-9"), [("level", "admit 30%", "admit 200 rpm")]),
        (CELL, replace(CELL, level=None, etag="t-9"), [("level", "admit 30%", "admit unknown")]),
        (LIMITED, replace(LIMITED, limit=90.0, etag="t-9"), [("limit", "admit 200.0 rpm", "admit 90 rpm")]),
        (CELL, replace(CELL, expires_at=NOON, etag="t-9"), [("rev", "t-8", "t-9")]),
    ],
)
def test_what_moved_of_a_cell(seen: Throttle, now: Throttle, said: list[tuple[str, ...]]) -> None:
    """Levels to 4 decimals as the plane compares them, always as what is admitted."""
    assert [tuple(one) for one in compare.moved(intending.clear_throttle(seen), now)] == said


def test_a_brake_looks_at_the_candidate_alone() -> None:
    """Whatever stage or rev it is by then; another candidate is another release."""
    brake = intending.abort(RELEASE)
    assert compare.moved(brake, later(stage_index=2, phase="progressing")) == ()
    assert compare.moved(brake, later(candidate="r43"))[0] == ("candidate", "r42", "r43")


def test_a_weight_that_was_set_meanwhile_is_seen() -> None:
    """Of the tier, or, of everyone, of any; before the first stage there is none to compare."""
    intent = intending.set_weight(RELEASE, 0.5)
    now = later(exposure=(Exposure("pro", 1.0), Exposure("plus", 0.4)))
    assert compare.moved(intent, now)[0] == ("weight", "25%", "40%")
    for_all = replace(now, stages=(Stage("all", "*", 1.0),), stage_index=0, exposure=(Exposure("pro", 0.4),))
    assert ("weight", "25%", "40%") in compare.moved(intent, for_all)
    assert "weight" not in {one.what for one in compare.moved(intent, later(stage_index=None))}


def test_a_release_to_be_registered_must_not_be_there() -> None:
    """It says where it stands, and who put it there."""
    new = Intent("release.register", Target("release", "llama-70b"), {}, {}, None)
    assert [tuple(one) for one in compare.moved(new, later())] == [
        ("release", "not there yet", "is there, paused"),
        BY,
    ]


def test_what_a_write_changed_is_told_without_what_was_measured() -> None:
    """Level, end, ramp and what is remembered; effective level and times of looking are no news."""
    after = replace(
        CELL,
        level=0.1,
        effective_level=0.2,
        state="ramping",
        ramp_per_min=0.1,
        expires_at=NOON,
        revert_to=Revert(0.3, None),
        seq=500,
        etag="t-9",
    )
    assert compare.sentence(compare.changes(CELL, after)) == (
        "level admit 30% → admit 10%, ends never → 2026-11-21 17:00:00Z, then admit 100% → admit 30%, "
        "ramping from admit 20% by 10 %/min"
    )
    assert compare.changes(CELL, replace(CELL, effective_level=0.2, seq=900)) == ()
    assert compare.changes(CELL, RELEASE) == ()


@pytest.mark.parametrize(
    ("path", "before", "after", "said"),
    [
        ("/level", 0.3, 0.1, [("level", "admit 30%", "admit 10%")]),
        ("/level", None, 0.1, [("level", "admit unknown", "admit 10%")]),
        ("/expires_at", None, "2026-11-21T17:00:00Z", [("ends", "never", "2026-11-21 17:00:00Z")]),
        ("/expires_at", "soon", None, [("ends", "soon", "never")]),
        ("/ramp_per_min", None, 0.1, [("ramp", "at once", "10% a minute")]),
        ("/revert_to", None, {"level": 0.3, "expires_at": None}, [("then", "admit 100%", "admit 30%")]),
        ("/revert_to/level", 0.5, 0.3, [("then", "admit 50%", "admit 30%")]),
        ("/status/stage", "plus@25", None, [("stage", "plus@25", "none")]),
        ("/status/exposure/1/desired", 0.25, 1.0, [("plus opens to", "25%", "100%")]),
        ("/status/exposure/9/desired", 0.25, 1.0, [("/status/exposure/9/desired", "0.25", "1.0")]),
        (
            "/status/exposure",
            [],
            [{"tier": "pro", "desired": 1.0}, {"tier": "free", "desired": 0.5}],
            [("pro opens to", "none", "100%"), ("free opens to", "none", "50%")],
        ),
        ("/status/gate/state", "open", "closed", [("gate", "open", "closed")]),
        ("/status/gate/checks", [], [1], []),
        ("/etag", "m-1", "m-2", []),
        ("/status/exposure/0/observed", 0.1, 0.2, []),
        ("/brand/new", {"a": "\x1b[2J"}, [1], [("/brand/new", '{"a":"[2J"}', "[1]")]),
        (
            "",
            None,
            {"candidate": "r43", "stages": [{"id": "pro@100"}, {"id": "all"}]},
            [("release", "not there yet", "candidate r43, stages pro@100 all")],
        ),
        ("/level", {"a": 1}, "\x1b", [("level", "admit {'a': 1}", "admit ")]),
    ],
)
def test_a_dry_runs_changes_in_words(
    path: str, before: object, after: object, said: list[tuple[str, ...]]
) -> None:
    """Every member by its name on the screen; what we do not know keeps its path; telemetry is left out."""
    body = json.dumps({"would_apply": True, "changes": [{"path": path, "from": before, "to": after}]})
    found = wire.read(body.encode(), wire.DryRun).changes
    assert [tuple(one) for one in compare.planned(found, RELEASE)] == said


def test_what_is_in_force_is_told_where_it_differs_from_the_level() -> None:
    """At once with the level it is said by the level; on its way it is not."""
    level, same = wire.Difference("/level", 0.3, 0.1), wire.Difference("/effective_level", 0.3, 0.1)
    assert compare.planned((level, same)) == (Difference("level", "admit 30%", "admit 10%"),)
    lags = wire.Difference("/effective_level", 0.3, 0.28)
    assert compare.planned((level, lags))[1] == ("in force", "admit 30%", "admit 28%")


def test_a_request_has_what_the_contract_asks_for() -> None:
    """Path, precondition and body of each kind of write; arguments never displace the reason."""
    (intent,) = decided([replace(intending.advance(RELEASE, to="plus@100"))], "steady")
    sent = writing.request(intent, {"user": "alice"})
    assert (sent.path, sent.headers["If-Match"]) == ("/v1/releases/llama-70b:advance", '"m-18"')
    assert json.loads(sent.body) == {
        "to": "plus@100",
        "from": {"candidate": "r42", "stage": "plus@25"},
        "reason": "steady",
        "decision_id": intent.decision_id,
        "client": {"user": "alice"},
    }
    brake = writing.request(intending.abort(RELEASE), {})
    assert brake.headers == {"If-Match": "*"}
    new = Intent("release.register", Target("release", "x"), {"id": "x", "reason": "mine"}, {}, None)
    sent = writing.request(new, {})
    assert (sent.path, sent.headers) == ("/v1/releases", {"If-None-Match": "*"})
    assert json.loads(sent.body)["reason"] == "dry run"
    assert "from" not in json.loads(sent.body)


@pytest.mark.parametrize(
    "broken",
    [
        replace(CELL, feature="a/b"),
        replace(CELL, feature="a:b"),
        replace(CELL, tier=""),
        replace(CELL, tier="Free"),
        replace(CELL, feature=".."),
        replace(CELL, etag="t-ü"),
        replace(CELL, etag="t\n"),
        replace(CELL, etag="*"),
        replace(CELL, etag=""),
        replace(CELL, etag='t-8", "t-9'),
        replace(CELL, etag="t 8"),
    ],
)
def test_what_no_url_or_header_may_hold_is_unfit(broken: Throttle) -> None:
    """Names of a plane's lists become paths only if they are ids of the contract."""
    assert writing.unfit(intending.clear_throttle(broken))
    assert not writing.unfit(intending.clear_throttle(CELL))


def test_a_rev_that_guards_nothing_does_not_keep_a_brake_from_being_sent() -> None:
    """`*` of a plane would turn the precondition off; a pause and an abort name no rev anyway."""
    bad = replace(RELEASE, etag="*")
    assert "its rev cannot be used (*)" in writing.unfit(intending.advance(bad))
    assert not writing.unfit(intending.pause(bad))
    assert not writing.unfit(intending.abort(replace(RELEASE, etag="")))


def test_a_redirect_names_no_entry_of_the_log() -> None:
    """Whatever stands in between may name any: it settles nothing."""
    intent = intending.set_throttle(CELL, level=0.1)
    told = writing.verdict(intent, reply(307, b"", tidegate_audit_id="a-9"))
    assert (told.fate, told.audit_id) == (Fate.LOST, "")


def reply(status: int, body: object = None, **headers: str) -> Reply:
    """An answer."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status, text, {name.replace("_", "-"): value for name, value in headers.items()})


WIRE_CELL = {
    "kind": "throttle",
    "feature": "image-generation",
    "tier": "free",
    "seq": 500,
    "etag": "t-9",
    "level": 0.1,
}


@pytest.mark.parametrize(
    ("answer", "first", "repeat"),
    [
        (reply(200, WIRE_CELL, tidegate_audit_id="a-1"), Fate.APPLIED, Fate.APPLIED),
        (reply(201, WIRE_CELL, tidegate_audit_id="a-1"), Fate.APPLIED, Fate.APPLIED),
        (reply(200, WIRE_CELL), Fate.LOST, Fate.LOST),
        (reply(200, WIRE_CELL | {"tier": "pro"}, tidegate_audit_id="a-1"), Fate.LOST, Fate.LOST),
        (reply(200, b"<html>", tidegate_audit_id="a-1"), Fate.LOST, Fate.LOST),
        (reply(200, WIRE_CELL | {"level": 7}, tidegate_audit_id="a-1"), Fate.LOST, Fate.LOST),
        (reply(202, {"id": "op-1"}), Fate.PENDING, Fate.PENDING),
        (reply(202, {"id": "../x"}), Fate.LOST, Fate.LOST),
        (reply(202, {}), Fate.LOST, Fate.LOST),
        (reply(204, b""), Fate.LOST, Fate.LOST),
        (reply(302, b""), Fate.LOST, Fate.LOST),
        (reply(409, {"code": "in-progress"}), Fate.IN_PROGRESS, Fate.IN_PROGRESS),
        (reply(409, {"code": "stale-level"}), Fate.CONFLICT, Fate.CONFLICT),
        (reply(409, {"code": "brand-new"}), Fate.CONFLICT, Fate.CONFLICT),
        (reply(409, b"<html>"), Fate.LOST, Fate.LOST),
        (reply(412, b""), Fate.CONFLICT, Fate.CONFLICT),
        (reply(400, {"code": "invalid-request"}), Fate.REFUSED, Fate.LOST),
        (reply(401, {"code": "unauthenticated"}), Fate.REFUSED, Fate.LOST),
        (reply(403, {"code": "forbidden"}), Fate.REFUSED, Fate.LOST),
        (reply(404, {"code": "not-found"}), Fate.REFUSED, Fate.REFUSED),
        (reply(404, b"<html>"), Fate.REFUSED, Fate.LOST),
        (reply(422, {"code": "gate-not-met"}), Fate.REFUSED, Fate.REFUSED),
        (reply(422, {"code": "idempotency-key-reused"}), Fate.REFUSED, Fate.LOST),
        (reply(429, {"code": "rate-limited"}), Fate.REFUSED, Fate.LOST),
        (reply(500, b"<html>"), Fate.LOST, Fate.LOST),
        (reply(501, {"code": "unsupported-operation"}), Fate.REFUSED, Fate.REFUSED),
        (reply(503, {"code": "backend-unavailable"}), Fate.LOST, Fate.LOST),
        (reply(503, {"code": "backend-error", "outcome": "not_applied"}), Fate.REFUSED, Fate.REFUSED),
        (reply(503, {"outcome": "not_applied"}), Fate.REFUSED, Fate.LOST),
        (reply(504, {"code": "backend-timeout", "outcome": "unknown"}), Fate.LOST, Fate.LOST),
        (reply(502, {"code": "backend-error", "outcome": "nearly"}), Fate.LOST, Fate.LOST),
    ],
)
def test_the_fate_of_a_write_by_its_answer(answer: Reply, first: Fate, repeat: Fate) -> None:
    """The contract's table; and of a repeat, only what comes after its key was looked up says it all."""
    (intent,) = decided([intending.set_throttle(CELL, level=0.1)], "queue p99 over 20 s")
    assert writing.verdict(intent, answer).fate is first
    assert writing.verdict(intent, answer, is_repeat=True).fate is repeat


def test_a_conflict_brings_the_resource_as_it_is() -> None:
    """Whatever else of the problem cannot be read, its code and words can."""
    intent = intending.set_throttle(CELL, level=0.1)
    told = writing.verdict(intent, reply(409, {"code": "stale-level", "current": WIRE_CELL}))
    assert isinstance(told.resource, Throttle)
    assert told.resource.level == 0.1
    for current in (None, [], {"kind": "throttle"}, WIRE_CELL | {"feature": "voice"}):
        told = writing.verdict(intent, reply(409, {"code": "stale-level", "current": current}))
        assert (told.fate, told.resource) == (Fate.CONFLICT, None)
    odd = writing.verdict(intent, reply(409, {"code": "in-progress", "missing": 7, "gate": "x"}))
    assert odd.fate is Fate.IN_PROGRESS


def test_a_replayed_answer_is_known_as_one() -> None:
    """It may be old: the resource is read again."""
    intent = intending.set_throttle(CELL, level=0.1)
    headers = {"tidegate_audit_id": "a-1", "idempotency_replayed": "true"}
    assert writing.verdict(intent, reply(200, WIRE_CELL, **headers)).is_replay


@pytest.mark.parametrize(
    ("status", "problem", "said"),
    [
        (403, wire.Problem(detail="needs release-admin"), "your role operator may not set weight (403"),
        (403, wire.Problem(detail="needs release-admin"), "ask for the role release-admin"),
        (403, wire.Problem(), "ask somebody who may"),
        (401, wire.Problem(detail="expired at 17:00"), "wants another token (401: expired at 17:00)"),
        (428, wire.Problem(missing=("from", "If-Match")), "missing: from, If-Match"),
        (429, wire.Problem(), "try again in 7 s"),
        (418, wire.Problem(title="Teapot"), "the plane refused to set weight (418: Teapot)"),
    ],
)
def test_a_refusal_is_a_sentence_with_what_to_do(status: int, problem: wire.Problem, said: str) -> None:
    """What it was, why, and what to do, by status."""
    assert said in refusals.unwritten("release.set_weight", status, problem, role="operator", wait_s=7.0)


def test_a_closed_gate_says_until_when() -> None:
    """The time at which its checks can pass, where all of those that fail have one."""
    hold = wire.Check("hold", "fail", "120 of 600 s", "2026-11-21T17:26:00Z")
    error = wire.Check("errors", "fail", "0.4% of 0.1%")

    def said(*checks: wire.Check) -> str:
        gate = wire.GateState("closed", checks)
        return refusals.unwritten("release.advance", 422, wire.Problem("gate-not-met", gate=gate))

    assert "the gate is closed (hold 120 of 600 s, until 2026-11-21 17:26:00Z); wait" in said(hold)
    assert "until" not in said(hold, error)
    assert "errors 0.4% of 0.1%" in said(hold, error)
    assert "until" not in said(wire.Check("hold", "fail", "soon", "never"))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30", 30.0), ("0", 0.0), ("", None), ("soon", None), ("-1", None), ("9999999", 3600.0), ("²", None)],
)
def test_a_wait_is_read_as_seconds_or_not_at_all(text: str, seconds: float | None) -> None:
    """Bounded, and never an error, whatever a header holds."""
    assert refusals.retry_after_s({"retry-after": text}) == seconds
