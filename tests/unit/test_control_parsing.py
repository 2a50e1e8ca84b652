"""Bodies of writes: what is refused, where, and in which words."""

import json
from typing import Any

import pytest

from collectors.control.server.commands import BODIES, Advance, Register, SetThrottle
from collectors.control.server.parsing import is_seen, read_body
from collectors.control.server.problems import Problem
from collectors.control.server.serve import EXAMPLE_SEED

REGISTER = {
    "id": "new",
    "subject": {"kind": "model", "name": "new"},
    "candidate": "r1",
    "stages": [{"id": "all", "tier": "*", "weight": 1.0}],
    "reason": "first",
}

MALFORMED: list[tuple[bytes, str, str]] = [
    (b"", "", "no valid JSON"),
    (b"{", "", "no valid JSON"),
    (b"null", "", "expected object, got null"),
    (b"[]", "", "expected object, got array"),
    (b'"x"', "", "expected object, got str"),
    (b"\xff\xfe", "", "no valid JSON"),
    (b"\xef\xbb\xbf{}", "", "no valid JSON"),
    (b"[" * 60_000, "", "expected object, got array"),
    (b'{"from":' * 9_000, "/from/from", "no such key 'from'"),
    (b'{"level":0.5}', "/reason", "missing required field reason"),
    (b'{"reason":"ab","level":0.5}', "/reason", "length >= 3"),
    (b'{"reason":"%b","level":0.5}' % (b"x" * 501), "/reason", "length <= 500"),
    (b'{"reason":"load","levle":0.5}', "/levle", "did you mean 'level'? allowed here: reason, from, ticket"),
    (b'{"reason":"load","a/b~":0.5}', "/a~1b~0", "no such key 'a/b~'"),
    (b'{"reason":"load","level":0.5,"from":{"levl":1}}', "/from/levl", "did you mean 'level'?"),
    (b'{"reason":"load","level":1.1}', "/level", "<= 1.0"),
    (b'{"reason":"load","level":-0.1}', "/level", ">= 0.0"),
    (b'{"reason":"load","level":NaN}', "", "no valid JSON"),
    (b'{"reason":"load","level":Infinity}', "", "no valid JSON"),
    (b'{"reason":"load","level":1e999}', "/level", "out of range"),
    (b'{"reason":"load","limit":1%b}' % (b"0" * 5_000), "/limit", "out of range"),
    (b'{"reason":"load","level":true}', "/level", "expected float, got bool"),
    (b'{"reason":"load","level":"0.5"}', "/level", "expected float, got str"),
    (b'{"reason":"load","level":null}', "/level", "got null"),
    (b'{"reason":"load","level":0.5,"ttl_s":0}', "/ttl_s", ">= 1"),
    (b'{"reason":"load","level":0.5,"ttl_s":604801}', "/ttl_s", "<= 604800"),
    (b'{"reason":"load","level":0.5,"ttl_s":9%b}' % (b"9" * 5_000), "/ttl_s", "out of range"),
    (b'{"reason":"load","level":0.5,"ttl_s":1.5}', "/ttl_s", "got float"),
    (b'{"reason":"load","level":0.5,"ramp_per_min":0}', "/ramp_per_min", "> 0.0"),
    (b'{"reason":"load","level":0.5,"ramp_per_min":1.5}', "/ramp_per_min", "<= 1.0"),
    (b'{"reason":"load","level":0.5,"revert_to":"back"}', "/revert_to", "invalid enum value 'back'"),
    (b'{"reason":"load","level":0.5,"decision_id":"a b"}', "/decision_id", "1 to 128 of A-Z a-z 0-9 . _ -"),
    (b'{"reason":"load","level":0.5,"ticket":"%b"}' % (b"x" * 65), "/ticket", "length <= 64"),
    (b'{"reason":"load","level":0.5,"client":{"user":"%b"}}' % (b"x" * 65), "/client/user", "length <= 64"),
    (
        b'{"reason":"load","level":0.5,"client":{"pid":"1"}}',
        "/client/pid",
        "allowed here: user, host, version",
    ),
    (b'{"reason":"load","level":0.5,"level":0.4}', "/level", "given twice"),
    (b'{"reason":"load","level":0.5,"lev\\u0065l":0.4}', "/level", "given twice"),
    (b'{"reason":"load","level":0.5,"from":{"level":1,"level":0}}', "/from/level", "given twice"),
    (b'{"reason":"lo\\u0000ad","level":0.5}', "/reason", "control character"),
    (b'{"reason":"two\\nlines","level":0.5}', "/reason", "control character"),
    (b'{"reason":"\\u001b[31mred","level":0.5}', "/reason", "control character"),
    (b'{"reason":"\\u202eetirw","level":0.5}', "/reason", "turns the direction"),
    (b'{"reason":"load\\ud800","level":0.5}', "", "no valid JSON"),
    (b'{"reason":"load","level":0.5,"client":{"host":"a\\u0007"}}', "/client/host", "control character"),
    (b'{"reason":"load","level":0.5}{}', "", "trailing characters"),
    (b'{"reason":"load","x - at `$.nowhere":1}', "/nowhere", "no such key"),
    (b'{"reason":"load","level":0.5,"revert_to":"unknown field `z` - at `$.a[0].b"}', "/a/0/b", "z"),
]


@pytest.mark.parametrize(("content", "pointer", "words"), MALFORMED, ids=lambda one: str(one)[:50])
def test_a_malformed_body_is_placed_and_explained(content: bytes, pointer: str, words: str) -> None:
    """400 with the JSON pointer of the fault and a sentence; nothing else ever escapes."""
    with pytest.raises(Problem) as caught:
        read_body(content, SetThrottle)
    problem = caught.value
    errors: Any = problem.members["errors"]
    assert (problem.status, problem.code) == (400, "invalid-request")
    assert errors[0]["pointer"].startswith(pointer) if pointer else errors[0]["pointer"] == ""
    assert words in errors[0]["detail"]
    assert len(problem.detail) < 1200


def test_faults_deep_in_a_register_are_placed() -> None:
    """Stages and gates: ids by pattern, misspelt members with what was meant."""
    wrong: list[tuple[dict[str, Any], str, str]] = [
        ({"id": "UPPER", "tier": "*", "weight": 1}, "/stages/0/id", "an id is 1 to 63"),
        ({"id": "a", "tier": "Pro", "weight": 1}, "/stages/0/tier", "an id is 1 to 63"),
        ({"id": "a", "tier": "*", "weight": 1, "gate": {"hold": 5}}, "/stages/0/gate/hold", "'hold_s'"),
        ({"id": "a", "tier": "*", "weight": 1, "gate": {"kind": "x"}}, "/stages/0/gate/kind", "invalid enum"),
        ({"id": "a", "tier": "*"}, "/stages/0/weight", "missing required field"),
    ]
    for stage, pointer, words in wrong:
        with pytest.raises(Problem) as caught:
            read_body(json.dumps(REGISTER | {"stages": [stage]}).encode(), Register)
        error = caught.value.members["errors"][0]  # type: ignore[index]
        assert error["pointer"] == pointer
        assert words in error["detail"]


@pytest.mark.parametrize("operation", BODIES)
def test_every_body_needs_a_reason_and_refuses_what_it_does_not_know(operation: str) -> None:
    """No operation lets a misspelt member vanish."""
    for content, pointer in ((b'{"forom":{}}', "/forom"), (b"{}", "/")):
        with pytest.raises(Problem) as caught:
            read_body(content, BODIES[operation])
        assert caught.value.members["errors"][0]["pointer"].startswith(pointer)  # type: ignore[index]


def test_what_was_left_out_differs_from_null() -> None:
    """A stage of null was seen: before the first one. One left out was not looked at."""
    seen = read_body(b'{"reason":"go on","from":{"candidate":"r1","stage":null}}', Advance).seen
    assert (seen.candidate, seen.stage) == ("r1", None)  # type: ignore[union-attr]
    without = read_body(b'{"reason":"go on","from":{"candidate":"r1"}}', Advance).seen
    assert without.stage is not None  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "text", ["plain", "", "Grüße", "理由　です", "علت\u200cها", "👩\u200d🚀", "a\u00a0b"]
)
def test_letters_of_every_script_are_kept(text: str) -> None:
    """A reason may be written in any language."""
    assert is_seen(text)


def test_the_example_seed_could_be_registered() -> None:
    """Each release of the example is a body that a register takes, less where it starts."""
    for release in json.loads(EXAMPLE_SEED.read_text())["releases"]:
        body = {name: value for name, value in release.items() if name not in {"stage", "phase"}}
        assert read_body(json.dumps(body).encode(), Register).id == release["id"]  # type: ignore[union-attr]
