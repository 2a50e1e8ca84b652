"""Writes whose answer is lost, late, doubled or says nothing: unknown, settled, and never done twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

import pytest

from collectors import intending
from collectors.control.native import NativePlane
from collectors.control.operator import BUSY_REPEATS, REPEATS
from collectors.intents import decided
from tests.integration.control_serving import (
    ADMIN,
    Serving,
    followed,
    serving,
)
from tests.integration.faulty_plane import (
    FaultyPlane,
    Step,
    accepted,
    answer,
    faulty_plane,
    garbled,
    lost_after,
    lost_before,
    problem,
    reset,
    silent,
    truncated,
    well,
)
from tests.integration.operating import (
    CELL,
    CHAT,
    SWIFT,
    VOICE,
    A,
    C,
    P,
    R,
    U,
    kinds,
    operating,
    outcomes,
    own_cell,
    ten,
)


@pytest.mark.parametrize("step", [lost_before, lost_after, truncated, reset, silent, garbled])
async def test_a_lost_reply_is_unknown_until_the_same_key_has_told(step: Step) -> None:
    """Whatever point it is lost at: unknown and not final, then the same bytes once more, applied once."""
    async with faulty_plane(step) as plane, operating(plane.url) as operator:
        found = await outcomes(operator, ten())
        again = await operator.rehearse([ten()])
    assert kinds(found) == [U, U, A]
    assert [one.is_final for one in found] == [False, False, True]
    assert found[0].text.startswith("no answer yet: looking whether it was applied")
    assert "1 of 3" in found[1].text
    first, second = plane.writes
    assert (first.headers["idempotency-key"], first.body) == (second.headers["idempotency-key"], second.body)
    assert first.headers["if-match"] == second.headers["if-match"]
    assert len(plane.log) == 1, "it was carried out once"
    assert again[0].moved, "settled: a look finds the new level, not a blocked target"


async def test_a_write_without_any_answer_stays_unknown_and_blocks_its_target() -> None:
    """Three repeats and no more; what comes next for the target is not sent, until the log has told."""
    async with (
        faulty_plane(*[lost_before] * (REPEATS + 1), cells=2) as plane,
        operating(plane.url) as operator,
    ):
        found = await outcomes(operator, ten(), ten(VOICE))
        assert len(plane.writes) == REPEATS + 1
        assert len({one.headers["idempotency-key"] for one in plane.writes}) == 1
        last, unsent = found[-2:]
        assert (last.kind, last.is_final, last.was_sent) == (U, True, True)
        assert "4 times under one key" in last.text
        assert "open it again to look" in last.text
        assert (unsent.kind, unsent.was_sent) == (R, False)
        assert unsent.text == "not sent: image-generation/free is unknown"

        (blocked,) = await outcomes(operator, ten())
        assert (blocked.kind, blocked.was_sent) == (R, False)
        assert "nobody knows yet whether the throttle.set before was applied" in blocked.text
        assert len(plane.writes) == REPEATS + 1
        (rehearsal,) = await operator.rehearse([ten()])
        assert "nobody knows yet" in rehearsal.refusal
        (other,) = await outcomes(operator, ten(VOICE))
        assert other.kind is A, "other targets are free"

        # It lands after all, as a request that was held up would.
        plane.applied(plane.writes[0])
        (rehearsal,) = await operator.rehearse([ten()])
        assert rehearsal.warnings == ("the throttle.set without an answer was applied",)
        assert rehearsal.moved
        now = replace(CELL, level=0.1, etag=rehearsal.etag)
        (done,) = await outcomes(operator, intending.set_throttle(now, level=0.5))
        assert done.kind is A


async def test_a_write_that_nobody_heard_frees_its_target() -> None:
    """Once nothing can be under way any more, a log that has nothing of it settles it."""
    async with faulty_plane(*[lost_before] * (REPEATS + 1)) as plane, operating(plane.url) as operator:
        await outcomes(operator, ten())
        async with asyncio.timeout(60):
            while (told := (await operator.rehearse([ten()]))[0]).refusal:
                await asyncio.sleep(0.02)
    assert told.warnings == ("the throttle.set without an answer was never heard of",)


@pytest.mark.parametrize("has_log", [True, False])
async def test_a_later_look_repeats_only_what_can_do_nothing_new(has_log: bool) -> None:
    """Without a log the key is repeated once the rev it names is gone: conflict, so it never was applied."""
    async with faulty_plane(*[lost_before] * (REPEATS + 1)) as plane, operating(plane.url) as operator:
        plane.has_log = has_log
        await outcomes(operator, ten())
        await operator.rehearse([ten()])
        assert len(plane.writes) == REPEATS + 1, "its rev still stands: a repeat might apply it now"
        plane.moved(0.5)
        plane.steps.append(problem("409 Conflict", "stale-level"))
        (told,) = await operator.rehearse([replace(ten(), seen={"level": 0.5}, etag=f"t-{plane.changed}")])
    if has_log:
        assert "look again in" in told.refusal
    else:
        assert told.would_apply
        assert told.warnings == ("the throttle.set without an answer was not applied",)
        assert len(plane.writes) == REPEATS + 2


async def test_an_answer_that_comes_twice_is_not_taken_for_the_next_ones() -> None:
    """The answer to a read, and to a write, doubled on one connection: each write waits for its own."""

    async def doubled(plane: FaultyPlane, request: object, writer: asyncio.StreamWriter) -> None:
        body, audit = plane.applied(plane.writes[-1])
        writer.write(answer(body, extra=f"Tidegate-Audit-Id: {audit}\r\n") * 2)

    async with faulty_plane(well, doubled, cells=2) as plane, operating(plane.url) as operator:
        plane.doubled_reads = 1
        found = await outcomes(operator, ten(), ten(VOICE))
    finals = [one for one in found if one.is_final]
    assert kinds(finals) == [A, A]
    assert [str(one.intent.target) for one in finals] == ["image-generation/free", "voice/free"]
    assert [one.audit_id for one in finals] == ["a-501", "a-502"]
    assert kinds(found) == [U, U, A, A], "a doubled answer is a lost reply"
    assert len(plane.writes) == 3
    assert len(plane.log) == 2


async def test_a_write_still_in_progress_is_waited_for_under_its_key() -> None:
    """409 in-progress is no conflict: after Retry-After the same key again."""
    busy = problem("409 Conflict", "in-progress", extra="Retry-After: 0\r\n")
    async with faulty_plane(lost_after, busy, busy) as plane, operating(plane.url) as operator:
        found = await outcomes(operator, ten())
    assert kinds(found) == [U, U, P, A]
    assert len({one.headers["idempotency-key"] for one in plane.writes}) == 1
    assert len(plane.writes) == 4


async def test_a_write_in_progress_for_ever_is_unknown() -> None:
    """The wait has an end, and it is not called refused."""
    busy = problem("409 Conflict", "in-progress", extra="Retry-After: 0\r\n")
    async with faulty_plane(*[busy] * 50) as plane, operating(plane.url) as operator:
        found = await outcomes(operator, ten())
    assert kinds(found) == [P, U]
    assert found[-1].is_final
    assert len(plane.writes) == 1 + BUSY_REPEATS
    assert f"sent {1 + BUSY_REPEATS} times under one key" in found[-1].text


def says_applied(level: float, *, is_done: bool = False) -> Step:
    """Answer 200 with a cell at `level`, whatever was asked; is_done: and carry out what was asked."""

    async def step(plane: FaultyPlane, request: object, writer: asyncio.StreamWriter) -> None:
        audit = "a-77"
        if is_done:
            _, audit = plane.applied(plane.writes[-1])
        cell = plane.cells["image-generation", "free"]
        if not is_done:
            cell |= {"level": level}
        writer.write(answer(cell | {"level": level}, extra=f"Tidegate-Audit-Id: {audit}\r\n"))

    return step


async def test_applied_is_what_the_resource_shows() -> None:
    """A plane that says so and shows something else is not believed, and nothing behind it is sent."""
    async with faulty_plane(says_applied(0.5), cells=2) as plane, operating(plane.url) as operator:
        first, second = await outcomes(operator, ten(), ten(VOICE))
        assert (first.kind, first.is_final, first.was_sent) == (U, True, True)
        assert first.text == (
            "the plane says that it was applied, but shows admit 50%, rev t-8, "
            "where admit 10% was asked for: look again, and see the plane's log"
        )
        assert (second.kind, second.was_sent) == (R, False)
        assert ten().target not in operator._unsettled, "it was answered: another look tells all there is"


async def test_an_answer_that_lags_is_looked_after() -> None:
    """The answer shows the state before, and a look the one that was asked for: applied."""
    async with faulty_plane(says_applied(0.3, is_done=True)) as plane, operating(plane.url) as operator:
        (done,) = await outcomes(operator, ten())
    assert (done.kind, done.text) == (A, "confirmed: admit 10%, rev t-501")


async def test_a_confirmation_that_does_not_show_is_unknown() -> None:
    """Of an operation that succeeded: by the resource; where that was changed since, by the log."""

    async def only_accepted(plane: FaultyPlane, request: object, writer: asyncio.StreamWriter) -> None:
        body = {"kind": "operation", "id": "op-1", "state": "running"}
        writer.write(answer(body, "202 Accepted", "Tidegate-Audit-Id: a-77\r\n"))

    async def overtaken(plane: FaultyPlane, request: object, writer: asyncio.StreamWriter) -> None:
        await accepted("op-1")(plane, plane.writes[-1], writer)
        plane.moved(0.5)

    for step, kind, said in (
        (only_accepted, U, "but shows admit 30%, rev t-8, where admit 10% was asked for"),
        (overtaken, A, "confirmed by the plane's log, and changed since: admit 50%, rev t-502"),
    ):
        async with faulty_plane(step) as plane, operating(plane.url) as operator:
            plane.operations["op-1"] = [{"state": "succeeded"}]
            found = await outcomes(operator, ten())
        assert kinds(found) == [P, kind]
        assert said in found[-1].text


@pytest.mark.parametrize("status", ["500 Oops", "504 Timeout", "307 Temporary Redirect"])
async def test_an_older_entry_is_not_taken_for_our_own(status: str) -> None:
    """An answer of who knows what names the entry that was there before: that was somebody else's."""
    step = problem(status, "", extra="Tidegate-Audit-Id: a-9\r\n")
    async with faulty_plane(*[step] * (1 + REPEATS)) as plane, operating(plane.url) as operator:
        plane.moved(0.3, actor="alice")
        now = replace(CELL, etag=f"t-{plane.changed}")
        found = await outcomes(operator, ten(now))
        assert plane.cells["image-generation", "free"]["level"] == 0.3
        (told,) = await operator.rehearse([ten(now)])
    assert (found[-1].kind, found[-1].is_final) == (U, True)
    assert A not in kinds(found)
    assert len(plane.writes) == 1 + REPEATS
    assert not any("without an answer was applied" in one for one in told.warnings)


async def test_a_newer_entry_of_somebody_else_is_not_taken_for_our_own() -> None:
    """The entry is new and the last, and of another actor: it is not what we sent."""

    async def other(plane: FaultyPlane, request: object, writer: asyncio.StreamWriter) -> None:
        plane.moved(0.1)
        await problem("500 Oops", "", extra="Tidegate-Audit-Id: a-9\r\n")(plane, plane.writes[-1], writer)

    stale = problem("409 Conflict", "stale-level", "image-generation/free is at admit 10%")
    async with faulty_plane(other, stale) as plane, operating(plane.url) as operator:
        found = await outcomes(operator, ten())
    assert kinds(found) == [U, U, C]


async def test_a_rev_that_would_guard_nothing_is_not_sent() -> None:
    """`*` as a resource's rev: the write it would guard is not sent, nor is one tried."""
    async with faulty_plane() as plane, operating(plane.url) as operator:
        plane.cells["image-generation", "free"]["etag"] = "*"
        for etag in ("*", ""):
            (found,) = await outcomes(operator, ten(replace(CELL, etag=etag)))
            (told,) = await operator.rehearse([ten(replace(CELL, etag=etag))])
            assert (found.kind, found.was_sent) == (R, False)
            assert "its rev cannot be used" in found.text
            assert "its rev cannot be used" in told.refusal
        assert not [one for one in plane.requests if one.method == "POST"]


async def test_what_is_accepted_settles_by_its_operation() -> None:
    """202: pending, the next target goes out meanwhile; then applied, failed, unknown, each in words."""
    steps = [accepted("op-1"), accepted("op-2"), accepted("op-3")]
    async with faulty_plane(*steps, cells=3) as plane, operating(plane.url) as operator:
        running = {"state": "running"}
        failed = {"state": "failed", "problem": {"code": "backend-error", "detail": "gateway says no"}}
        plane.operations |= {"op-1": [running, {"state": "succeeded"}], "op-2": [failed]}
        plane.operations["op-3"] = [running, {"state": "shadowing"}]
        found = await outcomes(operator, ten(), ten(VOICE), ten(CHAT))
    assert kinds(found)[:3] == [P, P, P]
    assert not any(one.is_final for one in found[:3])
    ends = {one.intent.target.id: one for one in found[3:]}
    assert all(one.is_final for one in ends.values())
    assert (ends["image-generation"].kind, ends["image-generation"].audit_id) == (A, "a-501")
    assert "admit 10%" in ends["image-generation"].text
    assert (ends["voice"].kind, ends["voice"].code) == (R, "backend-error")
    assert "gateway says no" in ends["voice"].text
    assert ends["chat"].kind is U


async def test_what_is_never_confirmed_is_unknown() -> None:
    """The wait for an operation has an end, and its target is blocked."""
    async with faulty_plane(accepted("op-1")) as plane, operating(plane.url) as operator:
        plane.operations["op-1"] = [{"state": "running"}]
        found = await outcomes(operator, ten())
        assert kinds(found) == [P, U]
        assert "not confirmed within 0.4 s" in found[-1].text


@pytest.mark.parametrize(
    "step",
    [
        problem("500 Oops", "", "stack"),
        problem("503 Unavailable", "backend-unavailable", outcome="unknown"),
        problem("504 Timeout", "backend-timeout"),
        problem("302 Found", ""),
    ],
)
async def test_an_error_without_a_word_on_the_outcome_is_unknown(step: Step) -> None:
    """A 5xx that does not say `not_applied` may have been applied: looked at, and repeated."""
    async with faulty_plane(step) as plane, operating(plane.url) as operator:
        assert kinds(await outcomes(operator, ten())) == [U, U, A]


@pytest.mark.parametrize(
    "step",
    [
        problem("401 Unauthorized", "unauthenticated"),
        problem("429 Slow", "rate-limited", "", "Retry-After: 0\r\n"),
        problem("404 Not Found", ""),
        problem("503 Unavailable", "", outcome="not_applied"),
    ],
)
async def test_a_refused_repeat_does_not_speak_for_the_first_request(step: Step) -> None:
    """What is checked before the key tells nothing of the write that got no answer: it goes on asking."""
    async with faulty_plane(lost_after, step) as plane, operating(plane.url) as operator:
        found = await outcomes(operator, ten())
    assert kinds(found) == [U, U, U, U, A]
    assert len(plane.log) == 1


async def test_a_look_that_finds_our_own_entry_needs_no_repeat() -> None:
    """An answer that knew no end but named its entry: the resource names the same one, so it was applied."""

    async def timed_out(plane: FaultyPlane, request: object, writer: asyncio.StreamWriter) -> None:
        _, audit = plane.applied(plane.writes[-1])
        body = {"code": "backend-timeout", "outcome": "unknown"}
        extra = f"Tidegate-Audit-Id: {audit}\r\n"
        writer.write(answer(body, "504 Timeout", extra, "application/problem+json"))

    async with faulty_plane(timed_out) as plane, operating(plane.url) as operator:
        found = await outcomes(operator, ten())
    assert [(one.kind, one.audit_id) for one in found] == [(U, "a-501"), (A, "a-501")]
    assert len(plane.writes) == 1


async def test_a_stored_answer_is_not_taken_for_how_it_stands_now() -> None:
    """Applied, and changed by somebody else before the repeat: both are told, and the newer one is held."""

    async def overtaken(plane: FaultyPlane, request: object, writer: asyncio.StreamWriter) -> None:
        plane.applied(plane.writes[-1])
        plane.moved(0.5)
        writer.close()

    async with faulty_plane(overtaken) as plane, operating(plane.url) as operator:
        found = await outcomes(operator, ten())
    assert kinds(found) == [U, U, A]
    assert found[-1].text == (
        "level admit 30% → admit 10%, rev t-501 (a-501); "
        "changed since: level admit 10% → admit 50%, rev t-502"
    )


async def test_a_conflict_on_a_repeat_tells_that_it_was_not_applied() -> None:
    """The key was looked up first: a stale level means that the first request never landed."""

    async def overtaken(plane: FaultyPlane, request: object, writer: asyncio.StreamWriter) -> None:
        plane.moved(0.5)
        writer.close()

    stale = problem("409 Conflict", "stale-level", "image-generation/free is at admit 50%")
    async with faulty_plane(overtaken, stale) as plane, operating(plane.url) as operator:
        found = await outcomes(operator, ten())
    assert kinds(found) == [U, U, C]
    assert "level admit 30% → admit 50%, by bob at" in found[-1].text


async def test_breaking_off_leaves_the_target_blocked() -> None:
    """Whoever stops listening to a write that was sent has not taken it back."""
    async with faulty_plane(silent, cells=2) as plane, operating(plane.url) as operator:
        task = asyncio.create_task(outcomes(operator, ten()))
        async with asyncio.timeout(60):
            while not plane.writes:
                await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ten().target in operator._unsettled
        (found,) = await operator.rehearse([ten()])
        assert found.warnings == ("the throttle.set without an answer was applied",)


@pytest.mark.slow
async def test_a_brake_passes_where_a_write_is_unsettled() -> None:
    """Aborting a release whose advance got no answer is what one would do: it is sent, and it settles."""
    async with serving() as plane, aclosing(followed(plane.url, token=ADMIN.secret)) as client:
        operator = client.operator()
        plane.clock.now += 1000
        (release,) = [one for one in (await client.read()).releases if one.id == "deep-research"]
        (advance,) = decided([intending.advance(release)], "p99 steady")
        operator._unsettled.open(advance)
        (held_up,) = await outcomes(operator, intending.advance(release))
        assert (held_up.kind, held_up.was_sent) == (R, False)
        (refused,) = await outcomes(operator, intending.pause(release))
        assert (refused.kind, refused.code) == (C, "wrong-phase")
        assert advance.target in operator._unsettled, "a brake that was refused settles nothing"
        (stopped,) = await outcomes(operator, intending.abort(release))
        assert stopped.kind is A
        assert advance.target not in operator._unsettled


@asynccontextmanager
async def losing(plane: Serving) -> AsyncIterator[str]:
    """A way to a real plane that loses the answer to the first write, which the plane has carried out."""
    lost: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = plane.url.removeprefix("http://").split(":")
        to_reader, to_writer = await asyncio.open_connection(host, int(port))
        is_write = asyncio.Event()

        async def forth() -> None:
            while chunk := await reader.read(65_536):
                if chunk.startswith(b"POST") and b"dry_run" not in chunk:
                    is_write.set()
                to_writer.write(chunk)
            to_writer.close()

        async def back() -> None:
            while chunk := await to_reader.read(65_536):
                if is_write.is_set() and not lost:
                    lost.append(chunk)
                    break
                writer.write(chunk)
            writer.close()

        try:
            await asyncio.gather(forth(), back())
        except ConnectionError:
            pass
        finally:
            to_writer.close()
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@pytest.mark.slow
async def test_a_real_plane_carries_out_once_though_its_answer_is_lost() -> None:
    """Applied by the first request, told by the second: one entry of the log, one change of the cell."""
    async with serving() as plane, losing(plane) as url:
        async with aclosing(NativePlane(url, lambda: ADMIN.secret, timing=SWIFT)) as client:
            found = await outcomes(
                client.operator(), intending.set_throttle(await own_cell(client), level=0.5)
            )
            own = await client.operator().own_actions()
        assert kinds(found) == [U, U, A]
        assert [(one.operation, str(one.target), one.result) for one in own] == [
            ("throttle.set", "voice/free", "applied")
        ]
        assert (own[0].before["level"], own[0].after["level"]) == (1.0, 0.5)
        assert own[0].audit_id == found[-1].audit_id
        assert own[0].decision_id == found[-1].intent.decision_id
