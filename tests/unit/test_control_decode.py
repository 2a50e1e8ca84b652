"""The contract's objects, read and written; what happened, in words."""

import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from collectors import fleet
from collectors.control import chain, decode, told, wire
from collectors.fleet import EventKind
from collectors.intents import OPERATIONS, Ability, Target

RELEASE = """
{"kind":"release","subject":{"kind":"model","name":"llama-70b"},"id":"llama-70b","title":"Llama 70B",
  "seq":412,"etag":"m-17",
 "stable":"r41","candidate":"r42","history":["r41","r40"],"base":[],
 "stages":[
  {"id":"pro@100","tier":"pro","weight":1.0,"gate":{"kind":"manual","hold_s":0}},
  {"id":"plus@25","tier":"plus","weight":0.25,"gate":{"kind":"manual","hold_s":900}},
  {"id":"plus@100","tier":"plus","weight":1.0,"gate":{"kind":"auto","hold_s":600}},
  {"id":"free@100","tier":"free","weight":1.0,"gate":{"kind":"manual","hold_s":0}}],
 "status":{"phase":"paused","pause_reason":"gate","stage_index":1,"stage":"plus@25",
  "entered_at":"2026-11-21T17:00:00Z","message":"",
  "gate":{"state":"closed","checks":[{"id":"hold","state":"fail","detail":"612 of 900 s",
  "ready_at":"2026-11-21T17:15:00Z"}]},
  "exposure":[{"tier":"pro","desired":1.0,"observed":0.998},{"tier":"plus","desired":0.25,
  "observed":0.246},{"tier":"free","desired":0.0,"observed":null}]},
 "last_change":{"audit_id":"a-1041","op":"release.advance","actor":"alice@example.com",
  "reason":"p99 ok","at":"2026-11-21T17:00:00Z"},
 "backend":{"adapter":"native","ref":"llama-70b","observed_at":"2026-11-21T17:10:12Z"}}
"""

THROTTLE = """
{"kind":"throttle","feature":"image-generation","tier":"free","seq":431,"etag":"t-9","level":0.1,
  "unit":"share","limit":null,
 "baseline":null,"state":"applied","effective_level":0.1,"ramp_per_min":null,"return_ramp_per_min":0.1,
 "expires_at":"2026-11-21T17:50:00Z","revert_to":{"level":0.3,"expires_at":"2026-11-21T19:00:00Z"},
 "last_change":{"audit_id":"a-1051","op":"throttle.set","actor":"bob@example.com",
  "reason":"queue p99 over 20 s","at":"2026-11-21T17:20:00Z"}}
"""

AUDIT = """
{"kind":"audit","id":"a-1052","seq":434,"at":"2026-11-21T17:31:00Z","actor":"bob@example.com",
  "via":null,"role":"operator",
 "op":"throttle.clear","resource":"/v1/throttles/image-generation/free","reason":"queue drained",
  "ticket":null,
 "result":"applied","code":null,"override_gate":false,"client_gate":null,"decision_id":null,
 "idempotency_key":"7d7a4f52-9f64-4a2e-bb39-0a2f6c1f2b10","request_id":"q-9008",
 "before":{"level":0.1,"expires_at":"2026-11-21T17:50:00Z"},"after":{"level":1.0,"expires_at":null}}
"""

CAPABILITIES = """
{"api_version":"v1","server":{"name":"tidegate","version":"0.1.0","instance":""},"adapter":"native","seq":412,
 "actor":"bob@example.com","role":"operator",
 "operations":{"release.advance":{"supported":true,"allowed":false,"why":"needs release-admin"},
  "release.pause":{"supported":true,"allowed":true},"watch":{"supported":true,"allowed":true}},
 "tiers":["pro","plus","free"],"default_tier":"free",
 "features":[{"id":"image-generation","title":"Image generation","models":["llama-70b","pixel-2"]}],
 "throttle_units":["share"],"limits":{"page_max":500}}
"""

SHAPES: list[tuple[str, type[Any]]] = [
    (RELEASE, wire.Release),
    (THROTTLE, wire.Throttle),
    (AUDIT, wire.Audit),
    (CAPABILITIES, wire.Capabilities),
]


OURS = {wire.Audit: ("client", "previous_sha256", "sha256")}
"""Members that this server adds to what the contract's examples show."""


@pytest.mark.parametrize(("text", "shape"), SHAPES, ids=lambda one: getattr(one, "__name__", ""))
def test_what_the_contract_shows_is_what_is_written_again(text: str, shape: type[Any]) -> None:
    """Read and written, each worked example keeps every member, and their order."""
    again = json.loads(wire.render(wire.read(text.encode(), shape)))
    for name in OURS.get(shape, ()):
        del again[name]
    assert again == json.loads(text)
    assert list(again) == list(json.loads(text))


def test_a_release_in_the_words_of_tidegate() -> None:
    """Stages, exposure, gate and who changed it last come through, times as seconds."""
    release = decode.release(wire.read(RELEASE.encode(), wire.Release))
    assert (release.subject_kind, release.subject, release.phase) == ("model", "llama-70b", "paused")
    assert release.stages[release.stage_index or 0] == fleet.Stage("plus@25", "plus", 0.25, "manual", 900)
    assert (release.desired("plus"), release.observed("plus"), release.observed("free")) == (
        0.25,
        0.246,
        None,
    )
    assert release.entered_at == 1795280400.0
    assert release.checks[0].ready_at == 1795280400.0 + 900
    assert release.last_change is not None
    assert release.last_change.actor == "alice@example.com"


def test_a_throttle_in_the_words_of_tidegate() -> None:
    """Level, times and the remembered setting come through."""
    cell = decode.throttle(wire.read(THROTTLE.encode(), wire.Throttle))
    assert (cell.level, cell.in_force, cell.expires_at) == (0.1, 0.1, 1795283400.0)
    assert cell.revert_to == fleet.Revert(0.3, 1795287600.0)


def test_abilities_name_every_operation_and_say_why_not() -> None:
    """What the server leaves out is not supported, with a sentence for the greyed key."""
    found = decode.abilities(wire.read(CAPABILITIES.encode(), wire.Capabilities))
    assert set(found) == set(OPERATIONS)
    assert found["release.advance"] == Ability(True, False, "needs release-admin")
    assert found["release.pause"] == Ability(True, True)
    assert not found["throttle.set"].supported
    assert found["throttle.set"].why


def test_unknown_words_and_fields_are_survived() -> None:
    """A newer server's phase is unknown, not a crash and not a known one; new fields are ignored."""
    newer = (
        RELEASE.replace('"paused"', '"shadowing"').replace('"auto"', '"vote"').replace("{", '{"new":[1],', 1)
    )
    newer = newer.replace('"closed"', '"ajar"').replace('"gate","stage_index"', '"moon","stage_index"')
    release = decode.release(wire.read(newer.encode(), wire.Release))
    assert (release.phase, release.gate, release.pause_reason) == ("unknown", "unknown", "unknown")
    assert release.stages[2].gate == "unknown"


def test_a_stage_index_past_the_stages_is_no_stage() -> None:
    """An index that names nothing reads as none, so that nothing indexes with it."""
    for index in ("99", "-1"):
        text = RELEASE.replace('"stage_index":1', f'"stage_index":{index}')
        assert decode.release(wire.read(text.encode(), wire.Release)).stage_index is None


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "truncated"),
        (b"<html>", "malformed"),
        (b'{"seq":1,"items":[NaN]}', "malformed"),
        (b"\xff\xfe{}", "malformed"),
        (b'{"seq":1,"items":[{"t":"\\ud800"}]}', "JSON"),
        (b'{"seq":1,"items":[{"t":"\xed\xa0\x80"}]', "JSON"),
        (b'{"seq":1,"items":' + b"[" * 100_000, "deeply"),
        (b'{"seq":-1,"items":[]}', "seq"),
        (b'{"seq":"1","items":[]}', "seq"),
    ],
    ids=lambda one: str(one)[:20],
)
def test_garbage_is_one_sentence(body: bytes, said: str) -> None:
    """Whatever comes instead of a page is a ValueError with the reason, never another error."""
    with pytest.raises(ValueError, match=said):
        wire.read(body, wire.Page)


@pytest.mark.parametrize("weight", ["1.5", "-0.1", "1e999", '"1"', "null"])
def test_a_share_outside_0_to_1_is_refused(weight: str) -> None:
    """A weight that is no share makes the object unreadable, not wrong."""
    text = RELEASE.replace('"weight":0.25', f'"weight":{weight}')
    with pytest.raises(ValueError, match=r"weight"):
        wire.read(text.encode(), wire.Release)


def test_text_of_a_server_cannot_reach_the_terminal() -> None:
    """Escapes, bidi controls and a megabyte of title are cleaned wherever text is shown."""
    release = wire.read(RELEASE.encode(), wire.Release)
    evil = "\x1b]0;owned\x07\u202e[/red]" + "x" * 1_000_000
    stage = msgspec.structs.replace(release.stages[0], id=evil)
    status = msgspec.structs.replace(release.status, message=evil, stage_index=0)
    shown = decode.release(
        msgspec.structs.replace(release, title=evil, candidate=evil, stages=(stage,), status=status)
    )
    for text in (shown.title, shown.candidate, shown.stages[0].id, shown.message):
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert len(text) <= decode.REASON_LIMIT


@pytest.mark.parametrize("text", ["2026-11-21T17:00:00", "soon", "", "9999-99-99T00:00:00Z", "1795280400"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    """Only RFC 3339 with an offset is a time: one without would be ours or theirs, nobody knows."""
    with pytest.raises(ValueError, match="RFC 3339"):
        wire.read_time(text)


def test_times_are_written_as_they_are_read() -> None:
    """Whole seconds have no fraction; others have milliseconds; both end in Z and come back."""
    assert wire.render_time(1795280400.0) == "2026-11-21T17:00:00Z"
    assert wire.render_time(1795280400.0, millis=True) == "2026-11-21T17:00:00.000Z"
    assert wire.render_time(1795280400.1239) == "2026-11-21T17:00:00.124Z"
    assert wire.render_time(1795280400.9999) == "2026-11-21T17:00:01Z"
    assert wire.read_time("2026-11-21T18:00:00.124+01:00") == 1795280400.124


def test_an_entry_of_the_log_is_one_line() -> None:
    """Who, which cell, from what to what, and why."""
    event = told.logged(wire.read(AUDIT.encode(), wire.Audit))
    assert event.at == 1795282260.0
    assert (event.kind, event.actor) == (EventKind.THROTTLE, "bob@example.com")
    assert (event.subject, event.text) == ("image-generation/free", "admit 10% → 100%, reason: queue drained")


def test_a_ttl_is_told() -> None:
    """A setting that expires says after how long."""
    entry = wire.read(AUDIT.encode(), wire.Audit)
    entry = msgspec.structs.replace(entry, after={"level": 0.5, "expires_at": "2026-11-21T18:01:00Z"})
    assert told.logged(entry).text == "admit 10% → 50%, ttl 30 m, reason: queue drained"


def test_a_refusal_is_told_as_one() -> None:
    """What was not applied never reads as if it had been."""
    entry = wire.Audit(
        id="a-1",
        seq=1,
        at="2026-11-21T17:31:00Z",
        actor="eve",
        op="release.advance",
        resource="/v1/releases/llama-70b",
        result="refused",
        code="forbidden",
    )
    event = told.logged(entry)
    assert (event.subject, event.text) == ("llama-70b", "advance refused (forbidden)")


def test_a_stage_change_in_the_log_is_told() -> None:
    """Only what differs is named."""
    entry = wire.Audit(
        id="a-1",
        seq=1,
        at="2026-11-21T17:31:00Z",
        actor="alice",
        op="release.advance",
        resource="/v1/releases/llama-70b",
        reason="p99 ok",
        result="applied",
        before={"candidate": "r42", "stage": "plus@25", "phase": "paused"},
        after={"candidate": "r42", "stage": "plus@100", "phase": "paused"},
    )
    assert told.logged(entry).text == "advance stage plus@25 → plus@100, reason: p99 ok"


def entry(**members: Any) -> wire.Audit:
    """An entry of the log, of a release unless told otherwise."""
    known = {"id": "a-1", "seq": 1, "at": "2026-11-21T17:31:00Z", "actor": "alice", "result": "applied"}
    return wire.Audit(**({"resource": "/v1/releases/llama-70b"} | known | members))


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (
            entry(op="release.register", after={"candidate": "r43", "phase": "pending", "stage": None}),
            "register candidate r43, phase pending",
        ),
        (
            entry(
                op="release.set_weight",
                reason="half first",
                before={"stage": "plus@25", "desired": {"pro": 1.0, "plus": 0.25}},
                after={"stage": "plus@25", "desired": {"pro": 1.0, "plus": 0.5}},
            ),
            "set weight plus 25% → 50%, reason: half first",
        ),
        (
            entry(
                op="release.advance",
                actor="system:gate",
                reason="automatic gate: every check passes",
                before={"stage": "plus@25"},
                after={"stage": "plus@100"},
            ),
            "advance stage plus@25 → plus@100, reason: automatic gate: every check passes",
        ),
        (
            entry(op="release.advance", override_gate=True, reason="launch", after={"stage": "all"}),
            "advance stage all, gate overridden, reason: launch",
        ),
        (
            entry(
                op="throttle.clear",
                actor="system:expiry",
                resource="/v1/throttles/voice/free",
                reason="its time ran out",
                before={"level": 0.1, "expires_at": "2026-11-21T17:31:00Z"},
                after={"level": 1.0, "expires_at": None},
            ),
            "admit 10% → 100%, reason: its time ran out",
        ),
        (
            entry(
                op="throttle.set",
                resource="/v1/throttles/voice/free",
                before={"level": 1.0, "ramp_per_min": None},
                after={"level": 0.3, "ramp_per_min": 0.1, "expires_at": "2026-11-21T18:01:00Z"},
            ),
            "admit 100% → 30%, ttl 30 m, ramp 10% a minute",
        ),
        (
            entry(op="release.set_weight", result="refused", code="stale-level", reason="half first"),
            "set weight refused (stale-level), reason: half first",
        ),
        (
            entry(op="throttle.set", result="unknown", resource="/v1/throttles/voice/free"),
            "set outcome unknown",
        ),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_every_kind_of_entry_reads_well(one: wire.Audit, said: str) -> None:
    """Who did what, from what to what, for how long and why; what was not applied says so."""
    event = told.logged(one)
    assert (event.text, event.actor) == (said, one.actor)


def test_an_entry_of_the_log_as_facts() -> None:
    """Target, result, and the members it changed; every text in them cleaned, whatever the depth."""
    found = decode.logged(wire.read(AUDIT.encode(), wire.Audit))
    assert found.target == Target("throttle", "image-generation", "free")
    assert (found.audit_id, found.at, found.result, found.decision_id) == (
        "a-1052",
        1795282260.0,
        "applied",
        "",
    )
    assert (found.before["level"], found.after["level"], found.after["expires_at"]) == (0.1, 1.0, None)
    nested: object = "\x1b[2J"
    for _ in range(50):
        nested = [nested]
    evil = decode.logged(entry(op="x", result="odd", after={"a\x07": {"b": ["\x1bc"]}, "deep": nested}))
    assert evil.result == "unknown"
    assert evil.after["a"] == {"b": ["c"]}
    assert "\x1b" not in repr(evil.after)


@pytest.mark.parametrize("resource", ["", "/", "/v1/releases/", "/v1/operations/op-1", "/v1/throttles/voice"])
def test_an_entry_about_something_else_is_refused(resource: str) -> None:
    """Only releases and cells can be acted on from here."""
    with pytest.raises(ValueError, match="names no release and no throttle"):
        decode.logged(entry(op="x", resource=resource))


@pytest.mark.parametrize("fact", [10**400, "x", None, [1], {"a": 1}, True])
def test_strange_facts_in_a_log_are_survived(fact: object) -> None:
    """A log from elsewhere may hold anything; its line is still one line."""
    entry = wire.read(AUDIT.encode(), wire.Audit)
    entry = msgspec.structs.replace(entry, before={"level": fact}, after={"level": fact, "expires_at": None})
    assert "\n" not in told.logged(entry).text


KNOWN = '"id":"a-1","seq":1,"at":"2026-11-21T17:00:00Z","sha256":"x"'
DEEP = "[" * 400 + "]" * 400


@pytest.mark.parametrize(
    "body",
    [
        b"3",
        b"{}",
        b'{"id":"\xff"}',
        f'{{{KNOWN},"at":"soon"}}'.encode(),
        f'{{{KNOWN},"client":7}}'.encode(),
        f'{{{KNOWN},"client":{{"host":"h"}}}}'.encode(),
        f'{{{KNOWN},"op":"throttle.set","after":{{"level":1e999}}}}'.encode(),
        f'{{{KNOWN},"op":"throttle.set","after":{{"level":{"9" * 50}}}}}'.encode(),
        f'{{{KNOWN},"op":"throttle.set","after":{{"level":0.1,"expires_at":"soon"}}}}'.encode(),
        f'{{{KNOWN},"op":"release.advance","after":{{"stage":{DEEP},"phase":{{}}}}}}'.encode(),
        f'{{{KNOWN},"news":{"9" * 50}}}'.encode(),
        b'{"id":"a\\u001b[31m","sha256":"x"}',
        f'{{"id":{DEEP},"sha256":{DEEP}}}'.encode(),
    ],
)
def test_a_hostile_entry_is_one_line_or_refused(body: bytes) -> None:
    """Told, or a ValueError and nothing else; the chain names it in a sentence that a terminal can show."""
    try:
        assert told.logged(wire.read(body, wire.Audit)).text.isprintable()
    except ValueError as error:
        assert str(error)
    for previous in (None, ""):
        broken = chain.verify([body], previous)
        assert broken
        assert broken.isprintable()
        assert len(broken) < 400


def test_an_end_that_cannot_be_read_does_not_cost_the_entry() -> None:
    """What else it says is told."""
    one = entry(op="throttle.set", after={"level": 0.1, "expires_at": "soon", "ramp_per_min": [1]})
    assert told.logged(one).text == "admit 10%, ttl that cannot be read"
    odd = entry(op="release.advance", before={"stage": [1]}, after={"stage": {"a": [2]}})
    assert told.logged(odd).text == "advance stage ? → ?"


@pytest.mark.parametrize("etag", ["*", "", 't-8", "t-9', "t-8\n", "t 8", "t-\u200b8", "t" * 200])
def test_a_rev_that_cannot_be_sent_is_none(etag: str) -> None:
    """Neither mended, which would make it another's, nor taken for a precondition that is none."""
    cell = json.loads(THROTTLE) | {"etag": etag}
    assert decode.throttle(wire.read(wire.render(cell), wire.Throttle)).etag == ""
    release = json.loads(RELEASE) | {"etag": etag}
    assert decode.release(wire.read(wire.render(release), wire.Release)).etag == ""


def test_a_gate_that_opens_is_told_though_nobody_logs_it() -> None:
    """A change without an entry of the log is told from the two states; telemetry is not."""
    closed = decode.release(wire.read(RELEASE.encode(), wire.Release))
    opened = decode.release(wire.read(RELEASE.replace('"closed"', '"open"').encode(), wire.Release))
    event = told.changed_release(closed, opened, 5.0)
    assert event is not None
    assert (event.actor, event.subject, event.text) == ("ctl", "llama-70b", "gate of stage plus@25 is open")
    seen = decode.release(wire.read(RELEASE.replace("0.246", "0.25").encode(), wire.Release))
    assert told.changed_release(closed, seen, 5.0) is None


READY = 1795280400.0 + 900
"""When the hold of the contract's release is over."""

HOLD = fleet.Check("hold", "fail", "612 of 900 s", READY)
HELD = HOLD._replace(state="pass", detail="900 of 900 s")
SLOW = fleet.Check("p99", "fail", "3.1 s")


@pytest.mark.parametrize(
    ("was", "now", "at"),
    [
        ((HOLD,), (HELD,), READY),
        ((HOLD,), (HELD._replace(ready_at=None),), READY + 30),
        ((HOLD, SLOW), (HELD, SLOW._replace(state="pass")), READY + 30),
        ((HELD, SLOW), (HELD, SLOW._replace(state="pass", ready_at=READY + 20)), READY + 20),
        ((HOLD,), (HOLD,), READY + 30),
        ((HOLD,), (), READY + 30),
        ((), (), READY + 30),
    ],
)
def test_a_gate_opened_when_the_last_check_that_held_it_passed(
    was: tuple[fleet.Check, ...], now: tuple[fleet.Check, ...], at: float
) -> None:
    """As the plane tells it; where it does not, the gate opened when it was first seen open."""
    closed = replace(decode.release(wire.read(RELEASE.encode(), wire.Release)), checks=was)
    event = told.changed_release(closed, replace(closed, gate="open", checks=now), READY + 30)
    assert event is not None
    assert (event.text, event.at) == ("gate of stage plus@25 is open", at)


def test_a_level_that_changed_is_told_with_its_actor() -> None:
    """Where a plane has no log, its last change says who and why."""
    cell = decode.throttle(wire.read(THROTTLE.encode(), wire.Throttle))
    later = THROTTLE.replace('"level":0.1', '"level":0.5', 1).replace("a-1051", "a-1060")
    event = told.changed_throttle(cell, decode.throttle(wire.read(later.encode(), wire.Throttle)), 5.0)
    assert event is not None
    assert (event.actor, event.at) == ("bob@example.com", 1795281600.0)
    assert event.text == "admit 10% → 50%, reason: queue p99 over 20 s"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (45, "45 s"),
        (1800, "30 m"),
        (5400, "1 h 30 m"),
        (3605, "1 h"),
        (90_000, "1 d 1 h"),
        (-3, "0 s"),
    ],
)
def test_a_duration_in_words(seconds: float, said: str) -> None:
    """The two largest units, and no zeros."""
    assert told.span(seconds) == said
