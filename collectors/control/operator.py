"""The way of intents to a native plane: look again, compare, write once, and settle what is left open.

Source: control contract, sections 5 and 6. A reply that never came is unknown, never failed: the same request
is repeated under the same key, which the plane carries out once.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import NamedTuple

from collectors.control import compare, decode, effect, wire, writing
from collectors.control.asking import OtherVersion, ask_capabilities
from collectors.control.asks import PlaneAsks
from collectors.control.http import PlaneHTTP
from collectors.control.interface import PlaneError
from collectors.control.told import span
from collectors.control.unsettled import Unsettled, UnsettledWrites
from collectors.control.writing import Fate, Verdict
from collectors.fleet import Release, Throttle
from collectors.intents import (
    ANY_ETAG,
    BRAKES,
    Difference,
    Intent,
    Logged,
    Outcome,
    OutcomeKind,
    Rehearsal,
    Target,
)
from collectors.text import clean

REPEATS = 3
"""Most repeats of a write that got no answer."""

BUSY_REPEATS = 5
"""Most repeats of a write whose first request still runs: at 1 s each time longer, up to 4 s, past the 10 s
after which a plane answers 202."""

CLOCK_WARNING_S = 2.0
AT_ONCE = 6
"""Rehearsals asked side by side."""

LINE = 500
_MOST_SEEN = 1000
_LANDED = frozenset({OutcomeKind.APPLIED, OutcomeKind.PENDING})

Thing = Release | Throttle


class _Accepted(NamedTuple):
    """A write that was answered 202. `operation`: the id to ask about."""

    operation: str
    held: Unsettled


class PlaneOperator:
    """`intents.Operator` for a native plane. Made by the plane it belongs to, once."""

    def __init__(
        self, http: PlaneHTTP, *, held: Callable[[Target], Thing | None], keep: Callable[[Thing], None]
    ) -> None:
        """held: what is known of a target; keep: told of every resource that is read, or comes of a write"""
        self._http, self._held = http, held
        self._asks = PlaneAsks(http, keep)
        self._unsettled = UnsettledWrites(self._asks, quiet_s=http.timing.read_s)
        self._in_flight: set[tuple[Target, bool]] = set()
        self._seen: dict[Target, Thing] = {}
        self._role = self._actor = ""

    async def rehearse(self, intents: Sequence[Intent]) -> tuple[Rehearsal, ...]:
        """See `intents.Operator`."""
        meeting = asyncio.create_task(self._meet())
        places = asyncio.Semaphore(AT_ONCE)

        async def one(intent: Intent) -> Rehearsal:
            async with places:
                return await self._rehearsed(intent, meeting)

        try:
            return tuple(await asyncio.gather(*(one(intent) for intent in intents)))
        finally:
            meeting.cancel()

    def carry_out(self, intents: Sequence[Intent]) -> AsyncIterator[Outcome]:
        """See `intents.Operator`. Close it, or read it to its end: until then its targets are in flight."""
        for intent in intents:
            if not (intent.reason and intent.key and intent.decision_id):
                raise ValueError(
                    f"the intent on {intent.target} is not decided: give reason, key and decision"
                )
        return self._carried_out(tuple(intents))

    async def own_actions(self, limit: int = 20) -> tuple[Logged, ...]:
        """See `intents.Operator`. Entries that cannot be read are left out."""
        found = await ask_capabilities(self._http)
        parameters = {"actor": found.actor, "limit": str(min(max(limit, 1), 500))}
        answer = await self._http.ask("/v1/audit", parameters)
        own = []
        for item in self._http.decoded("/v1/audit", answer.body, wire.Page).items[:limit]:
            try:
                own.append(decode.logged(wire.read(item, wire.Audit)))
            except ValueError:
                # Of a newer plane, or about neither a release nor a cell: nothing to undo or extend here.
                continue
        return tuple(own)

    async def _meet(self) -> wire.Capabilities:
        """What the plane says of itself now: a newer one must not be written to. raises: PlaneError."""
        found, _ = await asyncio.gather(ask_capabilities(self._http), self._asks.client())
        self._role, self._actor = clean(found.role, 40), clean(found.actor)
        return found

    async def _rehearsed(self, intent: Intent, meeting: asyncio.Task[wire.Capabilities]) -> Rehearsal:
        told = Rehearsal(intent, self._http.clock())
        if why := writing.unfit(intent):
            return replace(told, refusal=why)
        if self._is_busy(intent):
            return replace(told, refusal=_busy(intent), code="in-progress")
        try:
            now = await self._asks.resource(intent.target)
            found = await asyncio.shield(meeting)
        except PlaneError as error:
            return replace(told, refusal=str(error), code=error.code)
        ability = decode.abilities(found)["dry_run"]
        told = replace(told, at=self._http.clock(), etag=now.etag if now is not None else "")
        if now is not None:
            self._remember(intent.target, now)
        if not ability.is_open:
            why = f"what it would do cannot be tried first: {ability.why or 'this plane has no dry run'}"
            return replace(told, refusal=why, code="unsupported-operation")
        told = replace(told, warnings=self._warnings())
        if intent.operation not in BRAKES:
            look = await self._unsettled.look(intent.target, now)
            told = replace(told, warnings=(*((look.said,) if look.said else ()), *told.warnings))
            if not look.is_settled:
                return replace(told, refusal=look.said, code="in-progress")
        if now is None and not _is_new(intent):
            return replace(told, refusal=_gone(intent), code="not-found")
        if now is not None and (moved := compare.moved(intent, now, self._as_seen(intent))):
            return replace(told, refusal=compare.changed(moved), code="stale-etag", moved=moved)
        return await self._dry_run(intent, now, told)

    async def _dry_run(self, intent: Intent, now: Thing | None, told: Rehearsal) -> Rehearsal:
        undecided = replace(intent, key="")
        request = await self._asks.request(undecided)
        try:
            reply = await self._http.send(request.path, request.body, request.headers, {"dry_run": "true"})
        except PlaneError as error:
            return replace(told, refusal=f"{error}; nothing was changed by trying")
        told = replace(told, at=self._http.clock())
        if reply.status == 200:
            try:
                found = wire.read(reply.body, wire.DryRun)
            except ValueError as error:
                why = f"its dry run cannot be read ({clean(str(error), 200)}); update whichever is older"
                return replace(told, refusal=why)
            warnings = (*(clean(one, 256) for one in found.warnings[:20]), *told.warnings)
            refusal = "" if found.would_apply else "the plane says that it would not apply it"
            changes = compare.planned(found.changes, now)
            return replace(told, refusal=refusal, changes=changes, warnings=warnings)
        answer = writing.verdict(intent, reply, role=self._role)
        if answer.fate is Fate.CONFLICT:
            moved = await self._moved(intent, answer)
            return replace(told, refusal=_conflict(answer, moved), code=answer.code, moved=moved)
        why = answer.why or f"the plane answers a dry run with {reply.status}; update whichever is older"
        return replace(told, refusal=why, code=answer.code)

    def _warnings(self) -> tuple[str, ...]:
        found = []
        offset = self._http.server_clock.offset_s
        is_simulated = self._http.server_clock.is_simulated
        if offset is not None and abs(offset) > CLOCK_WARNING_S and not is_simulated:
            side = "ahead of" if offset > 0 else "behind"
            found.append(
                f"the plane's clock is {span(abs(offset))} {side} ours: the times shown are the plane's"
            )
        return (*found, *self._http.warnings())

    async def _carried_out(self, intents: tuple[Intent, ...]) -> AsyncGenerator[Outcome, None]:
        busy = [self._is_busy(intent) for intent in intents]
        claims = {_claim(one) for one, is_busy in zip(intents, busy, strict=True) if not is_busy}
        self._in_flight |= claims
        # Beside the first look, so that it costs no time of its own.
        meeting = asyncio.create_task(self._meet())
        pending: list[_Accepted] = []
        stopped = ""
        try:
            for intent, is_busy in zip(intents, busy, strict=True):
                if stopped:
                    yield self._unsent(intent, f"not sent: {stopped}")
                    continue
                if is_busy:
                    yield self._unsent(intent, _busy(intent), "in-progress")
                    stopped = f"{intent.target} was in flight"
                    continue
                outcome = None
                async with aclosing(self._one(intent, meeting, pending)) as outcomes:
                    async for outcome in outcomes:
                        yield outcome
                assert outcome is not None  # every target has at least one
                if outcome.kind not in _LANDED:
                    stopped = f"{intent.target} {_ENDED[outcome.kind]}"
            async with aclosing(self._confirmed(pending)) as outcomes:
                async for outcome in outcomes:
                    yield outcome
        finally:
            self._in_flight -= claims
            # Also where it failed and nobody came as far as asking for it: then that is nobody's error.
            meeting.cancel()

    async def _one(
        self, intent: Intent, meeting: asyncio.Task[wire.Capabilities], pending: list[_Accepted]
    ) -> AsyncGenerator[Outcome, None]:
        """One target: looked at, compared, written, settled, unless it is pending."""
        is_brake, now = intent.operation in BRAKES, None
        if why := writing.unfit(intent):
            yield self._unsent(intent, f"not sent: {why}")
            return
        try:
            now = await self._asks.resource(intent.target)
        except PlaneError as error:
            # A brake only names the candidate: what cannot be read must not keep anybody from stopping it.
            if not is_brake:
                yield self._unsent(intent, f"not sent: {error}", error.code)
                return
        try:
            await asyncio.shield(meeting)
        except PlaneError as error:
            if not is_brake or isinstance(error, OtherVersion):
                yield self._unsent(intent, f"not sent: {error}", error.code)
                return
        # A brake is never held up by what is unknown: it stops, whatever the write before it did.
        if intent.target in self._unsettled and not is_brake:
            look = await self._unsettled.look(intent.target, now)
            if not look.is_settled:
                yield self._unsent(intent, f"not sent: {look.said}", "in-progress")
                return
        if now is None and not is_brake and not _is_new(intent):
            yield self._unsent(intent, f"not sent: {_gone(intent)}", "not-found")
            return
        if now is not None and (moved := compare.moved(intent, now, self._as_seen(intent))):
            text = f"not sent: {compare.changed(moved)}"
            yield self._outcome(
                intent, OutcomeKind.CONFLICT, text, code="stale-etag", moved=moved, was_sent=False
            )
            return
        async with aclosing(self._written(intent, now, pending)) as outcomes:
            async for outcome in outcomes:
                yield outcome

    async def _written(
        self, intent: Intent, before: Thing | None, pending: list[_Accepted]
    ) -> AsyncGenerator[Outcome, None]:
        """The write itself, and under its key as many repeats as it takes to know, or as are allowed."""
        target, timing = intent.target, self._http.timing
        request = await self._asks.request(intent)
        loop = asyncio.get_running_loop()
        end = loop.time() + timing.settle_s
        # From here on, whatever breaks this off leaves the target blocked: it may have been sent.
        held = self._unsettled.open(intent, before, actor=self._actor)
        sent, busy, repeats, is_repeat = 0, 0, 0, False
        while True:
            try:
                answer = await self._asks.write(request, intent, is_repeat=is_repeat, role=self._role)
                sent += 1
            except PlaneError as error:
                if not is_repeat:
                    self._unsettled.settle(held)
                    yield self._unsent(intent, f"not sent, nor tried again by itself: {error}", error.code)
                    return
                answer = Verdict(Fate.LOST, str(error))
            held.sent_at, held.audit_id = loop.time(), answer.audit_id or held.audit_id
            wait_s = max(answer.wait_s * min(2**busy, 4), 0.05)
            if answer.fate is Fate.IN_PROGRESS and busy < BUSY_REPEATS and loop.time() + wait_s < end:
                if not busy:
                    yield self._outcome(
                        intent, OutcomeKind.PENDING, "the plane is still at it", is_final=False
                    )
                busy, is_repeat = busy + 1, True
                await asyncio.sleep(wait_s)
                continue
            if answer.fate is Fate.PENDING:
                text = f"accepted, and not confirmed yet by what carries it out ({answer.operation})"
                pending.append(_Accepted(answer.operation, held))
                yield self._outcome(
                    intent, OutcomeKind.PENDING, text, audit_id=answer.audit_id, is_final=False
                )
                return
            if repeats and answer.fate in {Fate.REFUSED, Fate.CONFLICT} and intent.etag == ANY_ETAG:
                # It names no rev: an earlier request of it, still on its way, would be carried out.
                refused = Verdict(Fate.LOST, f"a repeat was refused: {answer.why}", audit_id=answer.audit_id)
                yield self._unknown(intent, refused, sent)
                return
            if answer.fate in {Fate.APPLIED, Fate.REFUSED, Fate.CONFLICT}:
                self._unsettled.settle(held, answer.resource)
                yield await self._concluded(intent, before, answer)
                return
            if repeats == REPEATS or answer.fate is Fate.IN_PROGRESS:
                yield self._unknown(intent, answer, sent)
                return
            text = f"no answer yet: looking whether it was applied ({answer.why})"
            yield self._outcome(intent, OutcomeKind.UNKNOWN, text, audit_id=answer.audit_id, is_final=False)
            now = await self._looked(target)
            if now is not None and held.is_last_change(now):
                self._unsettled.settle(held, now)
                done = Verdict(Fate.APPLIED, audit_id=held.audit_id, resource=now)
                yield await self._concluded(intent, before, done)
                return
            await asyncio.sleep(max(timing.repeat_s * 2**repeats, min(answer.wait_s, timing.settle_s)))
            repeats, is_repeat = repeats + 1, True
            stands = f"; it stands at {compare.standing(now)}" if now is not None else ""
            text = f"no answer yet: repeating it under the same key, {repeats} of {REPEATS}{stands}"
            yield self._outcome(intent, OutcomeKind.UNKNOWN, text, is_final=False)

    async def _confirmed(self, pending: list[_Accepted]) -> AsyncGenerator[Outcome, None]:
        """The final outcomes of what was accepted and not confirmed, as each settles."""
        timing, loop = self._http.timing, asyncio.get_running_loop()
        end = loop.time() + timing.settle_s
        while pending and loop.time() < end:
            await asyncio.sleep(timing.operation_s)
            for one in tuple(pending):
                try:
                    running = await self._asks.operation(one.operation)
                except PlaneError:
                    # Whatever is wrong now may pass before the time is up; then it is unknown.
                    continue
                if running.state == "running":
                    continue
                pending.remove(one)
                yield await self._ended(one.held, running)
        for one in pending:
            text = f"not confirmed within {timing.settle_s:g} s ({one.operation}): {_BLOCKED}"
            yield self._outcome(one.held.intent, OutcomeKind.UNKNOWN, text, audit_id=one.held.audit_id)

    async def _ended(self, held: Unsettled, running: wire.RunningOperation) -> Outcome:
        """What became of a pending write. A state that is no word of ours is unknown."""
        intent, audit_id = held.intent, held.audit_id
        if running.state == "succeeded":
            now = await self._looked(intent.target)
            self._unsettled.settle(held, now)
            return await self._seen_to(intent, held.before, now, audit_id)
        if running.state == "failed":
            self._unsettled.settle(held)
            problem = running.problem or wire.Problem()
            why = clean(problem.detail or problem.title, 256) or "no reason given"
            text = f"accepted, and then it failed: {why}; see the plane's log, and look again"
            code = clean(problem.code, 60)
            return self._outcome(intent, OutcomeKind.REFUSED, text, code=code, audit_id=audit_id)
        text = f"the plane itself does not know whether it was applied: {_BLOCKED}"
        return self._outcome(intent, OutcomeKind.UNKNOWN, text, audit_id=audit_id)

    async def _seen_to(
        self, intent: Intent, before: Thing | None, now: Thing | None, audit_id: str
    ) -> Outcome:
        """Of a write that the plane calls done: applied if the resource shows it, or if the log has it and
        somebody changed the resource since. Else nobody knows. now: as it was last looked at"""
        lacks = "" if now is None else effect.lacking(intent, before, now)
        stands = "" if now is None else f"{compare.standing(now)}, rev {now.etag}"
        told, is_hidden = f"confirmed: {stands}", now is None
        if now is None or (lacks and effect.is_overtaken(before, now, audit_id)):
            is_hidden = not await self._asks.is_logged(intent)
            told = f"confirmed by the plane's log{stands and f', and changed since: {stands}'}"
            lacks = lacks if is_hidden else ""
        if not (lacks or is_hidden):
            return self._outcome(intent, OutcomeKind.APPLIED, told, audit_id=audit_id)
        shown = f"shows {stands}, where {lacks} was asked for" if lacks else "cannot be looked at"
        told = f"the plane says that it was applied, but {shown}: look again, and see the plane's log"
        return self._outcome(intent, OutcomeKind.UNKNOWN, told, audit_id=audit_id)

    async def _concluded(self, intent: Intent, before: Thing | None, answer: Verdict) -> Outcome:
        """The final outcome of an answer that says what became of the write."""
        if answer.fate is Fate.REFUSED:
            return self._outcome(
                intent, OutcomeKind.REFUSED, answer.why, code=answer.code, audit_id=answer.audit_id
            )
        if answer.fate is Fate.CONFLICT:
            moved = await self._moved(intent, answer)
            return self._outcome(
                intent,
                OutcomeKind.CONFLICT,
                _conflict(answer, moved),
                code=answer.code,
                audit_id=answer.audit_id,
                moved=moved,
            )
        after = answer.resource
        assert after is not None  # an applied write brings its resource
        self._asks.keep(after)
        lacks = effect.lacking(intent, before, after)
        # A stored answer is as old as the first request.
        now = await self._looked(intent.target) if answer.is_replay or lacks else None
        if lacks:
            return await self._seen_to(intent, before, now or after, answer.audit_id)
        since = ""
        if now is not None and now.etag != after.etag:
            since = f"; changed since: {compare.sentence(compare.changes(after, now))}, rev {now.etag}"
        if before is None:
            what = compare.standing(after)
        else:
            what = compare.sentence(compare.changes(before, after)) or f"{compare.standing(after)}, as before"
        text = f"{what}, rev {after.etag} ({answer.audit_id}){since}"
        return self._outcome(intent, OutcomeKind.APPLIED, text, audit_id=answer.audit_id)

    async def _moved(self, intent: Intent, answer: Verdict) -> tuple[Difference, ...]:
        """What a conflict is about, by the resource that came with it, or else by another look."""
        if answer.resource is not None:
            self._asks.keep(answer.resource)
        current = answer.resource or await self._looked(intent.target)
        return () if current is None else compare.moved(intent, current, self._as_seen(intent))

    async def _looked(self, target: Target) -> Thing | None:
        """The target as it is now; None if that cannot be known."""
        try:
            return await self._asks.resource(target)
        except PlaneError:
            # Only to tell more: what matters is settled by the write's own key.
            return None

    def _is_busy(self, intent: Intent) -> bool:
        """Whether another decision is at its target. A brake waits for no write, only for another brake."""
        is_brake = intent.operation in BRAKES
        return (intent.target, True) in self._in_flight or (
            not is_brake and (intent.target, False) in self._in_flight
        )

    def _remember(self, target: Target, thing: Thing) -> None:
        if len(self._seen) >= _MOST_SEEN:
            self._seen.clear()
        self._seen[target] = thing

    def _as_seen(self, intent: Intent) -> Thing | None:
        """The resource as the intent saw it, where that is still known."""
        for one in (self._seen.get(intent.target), self._held(intent.target)):
            if one is not None and one.etag == intent.etag:
                return one
        return None

    def _unknown(self, intent: Intent, answer: Verdict, requests: int) -> Outcome:
        times = "once" if requests == 1 else f"{requests} times under one key"
        text = f"nobody knows whether it was applied: it was sent {times} ({answer.why}); {_BLOCKED}"
        return self._outcome(intent, OutcomeKind.UNKNOWN, text, audit_id=answer.audit_id)

    def _unsent(self, intent: Intent, text: str, code: str = "") -> Outcome:
        return self._outcome(intent, OutcomeKind.REFUSED, text, code=code, was_sent=False)

    def _outcome(
        self,
        intent: Intent,
        kind: OutcomeKind,
        text: str,
        *,
        code: str = "",
        audit_id: str = "",
        moved: tuple[Difference, ...] = (),
        is_final: bool = True,
        was_sent: bool = True,
    ) -> Outcome:
        at = self._http.clock()
        return Outcome(intent, kind, at, clean(text, LINE), code, audit_id, moved, is_final, was_sent)


_BLOCKED = (
    "nothing else is sent to it from here until that is known; open it again to look, or see the plane's log"
)

_ENDED = {
    OutcomeKind.REFUSED: "was refused",
    OutcomeKind.CONFLICT: "was changed by somebody else",
    OutcomeKind.UNKNOWN: "is unknown",
}


def _claim(intent: Intent) -> tuple[Target, bool]:
    """A target, and whether it is a brake that is at it."""
    return intent.target, intent.operation in BRAKES


def _is_new(intent: Intent) -> bool:
    """Whether it registers what must not be there yet."""
    return intent.etag is None and not intent.seen


def _gone(intent: Intent) -> str:
    return f"the plane has no {intent.target} any more; look at the list again"


def _busy(intent: Intent) -> str:
    return f"an action on {intent.target} is in flight: wait for its outcome"


def _conflict(answer: Verdict, moved: tuple[Difference, ...]) -> str:
    """A conflict in words: by what moved, else by what the plane says, as where a phase does not allow it."""
    return compare.changed(moved) if moved else f"{answer.why or 'the plane sees another state'}; look again"
