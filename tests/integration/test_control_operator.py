"""The operator: what it sends, what it compares first, and how refusals read; also against the real plane."""

import asyncio
import gc
import socket
from contextlib import aclosing
from dataclasses import replace

import pytest

from collectors import intending
from collectors.control.interface import PlaneError
from collectors.fleet import Throttle
from collectors.intents import Intent, OutcomeKind, Target, decided
from tests.integration.control_serving import (
    ADMIN,
    NOW,
    OPERATOR,
    VIEWER,
    followed,
    has_state,
    level,
    serving,
    state_of,
    until,
)
from tests.integration.faulty_plane import (
    AT,
    Step,
    faulty_plane,
    problem,
    silent,
)
from tests.integration.operating import (
    CELL,
    SECRET,
    VOICE,
    A,
    C,
    R,
    U,
    kinds,
    operating,
    outcomes,
    own_cell,
    ten,
)


async def test_a_write_is_what_the_contract_says() -> None:
    """A look, then one write on the same connection: path, headers, body, and a key of its own."""
    async with faulty_plane() as plane, operating(plane.url) as operator:
        (done,) = await outcomes(operator, ten())
    assert (done.kind, done.audit_id, done.is_final) == (A, "a-501", True)
    assert done.text == "level admit 30% → admit 10%, rev t-501 (a-501)"
    look = next(one for one in plane.requests if one.path.startswith("/v1/throttles"))
    (write,) = plane.writes
    assert (look.method, look.path) == ("GET", "/v1/throttles/image-generation/free")
    assert write.path == "/v1/throttles/image-generation/free:set"
    assert write.connection in {one.connection for one in plane.requests if one is not write}
    assert write.headers["if-match"] == '"t-8"'
    assert write.headers["idempotency-key"] == done.intent.key
    assert write.headers["authorization"] == f"Bearer {SECRET}"
    document = write.document
    assert set(document.pop("client")) == {"user", "host", "version"}
    assert document == {
        "from": {"level": 0.3},
        "level": 0.1,
        "reason": "queue p99 over 20 s",
        "ticket": "REL-311",
        "decision_id": done.intent.decision_id,
    }


@pytest.mark.parametrize(
    ("step", "kind", "said"),
    [
        (
            problem("401 Unauthorized", "unauthenticated", "expired"),
            R,
            "give the right one in TIDEGATE_TOKEN",
        ),
        (problem("403 Forbidden", "forbidden", "needs operator"), R, "ask for the role operator"),
        (problem("404 Not Found", "not-found", "no cell"), R, "look at the list again"),
        (problem("400 Bad Request", "invalid-request", "/ttl_s: at most 60"), R, "/ttl_s: at most 60"),
        (problem("413 Too Large", "too-large"), R, "shorten the reason"),
        (problem("428 Precondition Required", "precondition-required", missing=["from"]), R, "missing: from"),
        (
            problem("422 No", "gate-not-met", "hold: 120 of 600 s"),
            R,
            "the gate is closed: hold: 120 of 600 s",
        ),
        (problem("422 No", "no-baseline"), R, "give the limit"),
        (problem("429 Slow", "rate-limited", "", "Retry-After: 30\r\n"), R, "try again in 30 s"),
        (problem("501 No", "unsupported-operation"), R, "this control plane cannot set"),
        (
            problem("502 Bad", "backend-error", "gateway down", outcome="not_applied"),
            R,
            "nothing has changed",
        ),
        (problem("412 Failed", "stale-etag", "paused by bob"), C, "paused by bob"),
        (problem("409 Conflict", "wrong-phase", "voice is aborted"), C, "voice is aborted"),
    ],
)
async def test_a_refusal_says_what_to_do_and_stops_the_rest(step: Step, kind: OutcomeKind, said: str) -> None:
    """By the problem's code and status: one sentence, sent once, and nothing behind it is sent."""
    async with faulty_plane(step, cells=2) as plane, operating(plane.url) as operator:
        first, second = await outcomes(operator, ten(), ten(VOICE))
        assert (first.kind, first.is_final, first.was_sent) == (kind, True, True)
        assert said in first.text
        assert (second.kind, second.was_sent) == (R, False)
        assert second.text.startswith("not sent: image-generation/free was ")
        assert len(plane.writes) == 1
        (rehearsal,) = await operator.rehearse([ten()])
        assert rehearsal.would_apply, "a refusal leaves nothing open"


async def test_what_moved_is_found_before_anything_is_sent() -> None:
    """The level that somebody else set, and who; nothing left for the plane."""
    async with faulty_plane() as plane, operating(plane.url) as operator:
        plane.moved(0.5)
        (rehearsal,) = await operator.rehearse([ten()])
        (found,) = await outcomes(operator, ten())
    assert (found.kind, found.was_sent, plane.writes) == (C, False, [])
    assert [tuple(one) for one in found.moved] == [
        ("level", "admit 30%", "admit 50%"),
        ("by", "", "bob at 2026-11-21 17:00:00Z: throttle.set (mine)"),
    ]
    assert "level admit 30% → admit 50%, by bob" in found.text
    assert rehearsal.moved == found.moved
    assert rehearsal.refusal == found.text.removeprefix("not sent: ")


async def test_a_rehearsal_says_what_would_change() -> None:
    """The dry run's changes in words; no key, no trace at the plane, and nothing wrong to say."""
    async with faulty_plane() as plane, operating(plane.url) as operator:
        (found,) = await operator.rehearse([ten()])
    assert found.would_apply
    assert [tuple(one) for one in found.changes] == [("level", "admit 30%", "admit 10%")]
    assert (found.etag, found.warnings, found.at) == ("t-8", (), NOW)
    (dry,) = [one for one in plane.requests if one.method == "POST"]
    assert dry.query == {"dry_run": ["true"]}
    assert "idempotency-key" not in dry.headers
    assert (dry.document["reason"], "decision_id" in dry.document) == ("dry run", False)


async def test_a_plane_without_a_dry_run_says_so() -> None:
    """Nothing that would be applied is sent to try it."""
    async with faulty_plane() as plane, operating(plane.url) as operator:
        plane.can_dry_run = False
        (found,) = await operator.rehearse([ten()])
    assert "cannot be tried first" in found.refusal
    assert not [one for one in plane.requests if one.method == "POST"]


async def test_a_newer_plane_is_sent_nothing() -> None:
    """Another version of the contract: every intent is refused, a brake too, with what to do."""
    brake = Intent("release.abort", Target("release", "llama-70b"), {}, {"candidate": "r42"}, "*")
    async with faulty_plane() as plane, operating(plane.url) as operator:
        plane.api_version = "v2"
        found = [*await outcomes(operator, ten()), *await outcomes(operator, brake)]
        rehearsals = await operator.rehearse([ten()])
    assert kinds(found) == [R, R]
    assert not any(one.was_sent for one in found)
    for said in (found[0].text, found[1].text, rehearsals[0].refusal):
        assert "speaks 'v2' and this tidegate v1; update tidegate" in said
    assert not [one for one in plane.requests if one.method == "POST"]


async def test_nobody_there_is_a_refusal_in_words() -> None:
    """Nothing was sent, and that is said; a rehearsal says it too, and no exception is seen."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with operating(url) as operator:
        (found,) = await outcomes(operator, ten())
        (rehearsal,) = await operator.rehearse([ten()])
        with pytest.raises(PlaneError, match="nothing listens there"):
            await operator.own_actions()
    assert (found.kind, found.was_sent, found.is_final) == (R, False, True)
    assert "nothing listens there" in found.text
    assert "nothing listens there" in rehearsal.refusal


async def test_a_plane_that_goes_before_the_write_is_sent_nothing() -> None:
    """Refused between look and write: not sent, not tried again, and the target is not blocked."""
    async with faulty_plane() as plane, operating(plane.url) as operator:
        await operator.rehearse([ten()])
        look = operator._asks.resource

        async def looked(target: Target) -> object:
            found = await look(target)
            operator._http.url = "http://127.0.0.1:1"
            return found

        operator._asks.resource = looked  # type: ignore[assignment,method-assign]  # the moment between
        (found,) = await outcomes(operator, ten())
        assert (found.kind, found.was_sent) == (R, False)
        assert found.text.startswith("not sent, nor tried again by itself: ")
        assert ten().target not in operator._unsettled


async def test_a_page_in_between_is_not_the_planes_word() -> None:
    """A 404 of something else does not say that there is no such release: it is not registered anew."""
    new = Intent("release.register", Target("release", "voice-2"), {"id": "voice-2"}, {}, None)
    async with faulty_plane() as plane, operating(plane.url) as operator:
        plane.is_hidden = True
        (found,) = await outcomes(operator, new)
        assert (found.kind, found.was_sent) == (R, False)
        assert "check that the URL is a control plane" in found.text
        assert plane.writes == []


async def test_a_failure_that_nobody_waits_for_is_no_noise() -> None:
    """A plane that is gone, and a decision that never comes as far as asking it: nothing on the terminal."""
    noise: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: noise.append(context))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with operating(url) as operator:
        stream = operator.carry_out(decided([ten(replace(CELL, feature="A B"))], "queue p99"))
        assert (await anext(stream)).kind is R
        async with asyncio.timeout(60):
            while any("_meet" in repr(task) for task in asyncio.all_tasks()):
                await asyncio.sleep(0.005)
        assert [one async for one in stream] == []
    gc.collect()
    assert noise == []


async def test_two_decisions_at_once_on_one_target() -> None:
    """The second is refused as in flight, and is not sent; it is free again afterwards."""
    async with faulty_plane(silent) as plane, operating(plane.url) as operator:
        first = operator.carry_out(decided([ten()], "first come"))
        assert (await anext(first)).kind is U
        (second,) = await outcomes(operator, ten())
        assert (second.kind, second.was_sent, second.code) == (R, False, "in-progress")
        assert "in flight: wait for its outcome" in second.text
        assert [one.kind async for one in first][-1] is A
        (third,) = await outcomes(operator, intending.set_throttle(CELL, level=0.5))
        assert third.kind is C, "free again, and stale"


@pytest.mark.slow
async def test_a_brake_waits_for_no_write_that_is_in_flight() -> None:
    """Whatever else is at the release, it can be stopped; a second brake waits for the first."""
    async with serving() as plane, aclosing(followed(plane.url, token=ADMIN.secret)) as client:
        operator = client.operator()
        (release,) = [one for one in (await client.read()).releases if one.id == "llama-70b"]
        target = Target("release", "llama-70b")
        operator._in_flight.add((target, False))
        assert "in flight" in (await operator.rehearse([intending.resume(release)]))[0].refusal
        assert (await operator.rehearse([intending.abort(release)]))[0].would_apply
        assert kinds(await outcomes(operator, intending.pause(release))) == [A]
        operator._in_flight.add((target, True))
        (second,) = await outcomes(operator, intending.abort(release))
        assert (second.kind, second.was_sent) == (R, False)


async def test_what_is_not_decided_is_an_error_of_ours() -> None:
    """No key, no write."""
    async with operating("http://127.0.0.1:1") as operator:
        with pytest.raises(ValueError, match="is not decided"):
            operator.carry_out([ten()])


async def test_a_name_that_is_no_id_never_becomes_a_path() -> None:
    """What the plane's own lists may hold is checked before it is put into a URL."""
    async with faulty_plane() as plane, operating(plane.url) as operator:
        evil = replace(CELL, feature="x/../../admin?y")
        (found,) = await outcomes(operator, ten(evil))
        (rehearsal,) = await operator.rehearse([ten(evil)])
    assert "is no id of the control contract" in found.text
    assert "is no id" in rehearsal.refusal
    assert not [one for one in plane.requests if "admin" in one.path]


async def test_a_clock_that_is_off_is_said_and_changes_nothing() -> None:
    """An hour between the clocks: a warning, and the same bytes as with none; a second is no news."""
    bodies = []
    for time, warned in (("2026-11-21T18:00:00Z", 1), (AT, 0), ("2026-11-21T17:00:01Z", 0)):
        async with faulty_plane() as plane, operating(plane.url) as operator:
            plane.time = time
            intent = intending.set_throttle(CELL, level=0.1, ttl_s=1800)
            (found,) = await operator.rehearse([intent])
            assert len(found.warnings) == warned
            await outcomes(operator, intent)
            (write,) = plane.writes
            bodies.append({name: write.document[name] for name in ("level", "ttl_s", "from")})
    assert bodies[0] == bodies[1] == bodies[2] == {"level": 0.1, "ttl_s": 1800, "from": {"level": 0.3}}


async def test_an_echoed_token_is_in_no_outcome() -> None:
    """A plane that puts the token into its problem does not get it onto the screen."""
    echo = problem("403 Forbidden", "forbidden", f"you sent {SECRET}")
    async with faulty_plane(echo) as plane, operating(plane.url) as operator:
        (found,) = await outcomes(operator, ten())
    assert SECRET not in repr(found)
    assert "you sent (token)" in found.text


async def test_text_of_a_plane_is_cleaned_in_every_outcome() -> None:
    """Escapes in a problem, and a megabyte of it, do not reach the terminal."""
    evil = problem("422 No", "\x1b[2J", "\x1b]0;owned\x07" + "x" * 60_000)
    async with faulty_plane(evil) as plane, operating(plane.url) as operator:
        (found,) = await outcomes(operator, ten())
    assert "\x1b" not in found.text + found.code
    assert len(found.text) <= 500


@pytest.mark.slow
async def test_two_operators_move_one_stage_and_the_second_is_told_who() -> None:
    """Both look at plus@25; one advances; the other hears that it moved, and by whom."""
    async with (
        serving() as plane,
        aclosing(followed(plane.url, token=ADMIN.secret)) as alice,
        aclosing(followed(plane.url, token=ADMIN.secret)) as also,
    ):
        plane.clock.now += 1000
        (release,) = [one for one in (await alice.read()).releases if one.id == "llama-70b"]
        intent = intending.advance(release)
        assert (await also.operator().rehearse([intent]))[0].would_apply
        found = await asyncio.gather(outcomes(alice.operator(), intent), outcomes(also.operator(), intent))
        ends = sorted((one[-1] for one in found), key=lambda one: one.kind)
        assert kinds(ends) == [A, C]
        assert "stage plus@25 → plus@100" in ends[0].text
        assert ("stage", "plus@25", "plus@100") in ends[1].moved
        assert "by alice at" in ends[1].text
        state = await alice.read()
        assert [one.stage_index for one in state.releases if one.id == "llama-70b"] == [2]


@pytest.mark.slow
async def test_what_was_applied_is_in_the_next_update() -> None:
    """The state held beside the stream has it at once, whenever the stream brings it; and it is told once."""
    async with (
        serving() as plane,
        aclosing(followed(plane.url, token=OPERATOR.secret)) as client,
        aclosing(client.updates()) as updates,
    ):
        state = state_of(await until(updates, has_state))
        (cell,) = [one for one in state.throttles if (one.feature, one.tier) == ("voice", "free")]
        (done,) = await outcomes(client.operator(), intending.set_throttle(cell, level=0.5, ttl_s=600))
        held = client._held(cell_target := Target("throttle", "voice", "free"))
        assert isinstance(held, Throttle)
        assert (done.kind, held.level) == (A, 0.5)
        assert f"rev {held.etag}" in done.text
        update = await until(updates, lambda one: level(one) == 0.5)
        lines = [event.text for event in update.events]
        async with asyncio.timeout(60):
            while not lines:
                lines += [event.text for event in (await anext(updates)).events]
        assert lines == ["admit 100% → 50%, ttl 10 m, reason: queue p99 over 20 s"]
        assert client.operator() is client.operator()
        assert cell_target not in client.operator()._unsettled


@pytest.mark.slow
async def test_roles_are_refused_with_what_to_do() -> None:
    """A viewer may not set, an operator may not advance: by the real plane, in words."""
    async with serving() as plane:
        async with aclosing(followed(plane.url, token=VIEWER.secret)) as carol:
            intent = intending.set_throttle(await own_cell(carol), level=0.5)
            (found,) = await outcomes(carol.operator(), intent)
            (rehearsal,) = await carol.operator().rehearse([intent])
        assert (found.kind, found.code) == (R, "forbidden")
        assert "your role viewer may not set" in found.text
        assert "ask for the role operator" in found.text
        assert not rehearsal.would_apply
        async with aclosing(followed(plane.url, token="no longer")) as gone:
            (found,) = await outcomes(gone.operator(), intent)
        assert "characters that no header can carry" in found.text
        async with aclosing(followed(plane.url, token="expired")) as gone:
            (found,) = await outcomes(gone.operator(), intent)
        assert (found.was_sent, "wants another token (401" in found.text) == (False, True)


@pytest.mark.slow
async def test_a_release_is_registered_only_where_there_is_none() -> None:
    """If-None-Match for a new one: applied; again: not sent, for it is there."""
    arguments = {
        "id": "voice-2",
        "subject": {"kind": "model", "name": "voice-2"},
        "candidate": "r1",
        "stages": [{"id": "pro@100", "tier": "pro", "weight": 1.0, "gate": {"kind": "manual", "hold_s": 0}}],
    }
    intent = Intent("release.register", Target("release", "voice-2"), arguments, {}, None)
    async with serving() as plane, aclosing(followed(plane.url, token=ADMIN.secret)) as client:
        (rehearsal,) = await client.operator().rehearse([intent])
        (first,) = await outcomes(client.operator(), intent)
        (second,) = await outcomes(client.operator(), intent)
    assert [tuple(one) for one in rehearsal.changes] == [
        ("release", "not there yet", "candidate r1, stages pro@100")
    ]
    assert (first.kind, second.kind, second.was_sent) == (A, C, False)
    assert second.moved[0] == ("release", "not there yet", "is there, pending")
