"""Two operators write to a plane behind proxies that lose and double, while it is killed again and again.

`run_campaign` drives a real `tidegate plane serve` process; `fault_judge` says what was wrong.
"""

import asyncio
import random
import re
import time
from collections import Counter, defaultdict, deque
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import NamedTuple

import httpx
from msgspec import Raw

from collectors import intending
from collectors.control import decode, wire
from collectors.control.http import Timing
from collectors.control.native import NativePlane
from collectors.control.operator import PlaneOperator
from collectors.intents import Intent, OutcomeKind, Target, decided
from tests.fault_judge import (
    Claim,
    Made,
    Resource,
    Witness,
    claim_faults,
    entries,
    log_faults,
    state_faults,
    told_faults,
)
from tests.fault_moves import Move, View, moves, seed_document
from tests.fault_proxy import NO_FAULTS, FaultProxy, Odds
from tests.plane_process import PlaneProcess, secret

WRITES = Odds(
    lose_request=0.03,
    cut_request=0.02,
    late_request=0.04,
    lose_reply=0.05,
    hold_reply=0.02,
    cut_reply=0.03,
    double_reply=0.04,
    double=0.04,
    twin=0.03,
    delay=0.05,
    delay_reply=0.05,
)
"""`late_s` is well below `read_s` of TIMINGS: after so long the client takes it that nothing is under way."""

READS = Odds(lose_request=0.01, lose_reply=0.01, cut_reply=0.01, double_reply=0.04, delay=0.03)
TIMINGS = {
    "ann": Timing(connect_s=1.0, read_s=0.4, repeat_s=0.02, settle_s=1.0),
    # Its repeats span a restart, more often than not.
    "ben": Timing(connect_s=1.0, read_s=0.4, repeat_s=0.1, settle_s=1.0),
}
JUDGE = "judge"
TRAIL = 20
SETTLED_WITHIN_S = 10.0
KILL_WITHIN_S = 0.008
"""A write takes the plane a few milliseconds: a kill falls before, into and after its commit."""

_SAID = re.compile(r"the (\S+) without an answer (was (?:\w+ ?)+|left no trace)")


@dataclass
class Report:
    """What a campaign did and found, counted. faults: sentences, none where everything held.

    trail: the last decisions up to the first fault; rounds: both operators at once, a step each
    """

    seed: int
    steps: int = 0
    rounds: int = 0
    seconds: float = 0.0
    kills: int = 0
    chains_verified: int = 0
    entries: int = 0
    applied: int = 0
    etags: int = 0
    intents: int = 0
    unheard: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    unknown_that_landed: int = 0
    settled: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    harmed: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    trail: list[str] = field(default_factory=list)

    def figures(self) -> dict[str, object]:
        """It as JSON's members, without the trail."""
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name != "trail"}

    def told(self) -> str:
        """Seed, faults and trail, to look for the cause with."""
        return "\n".join((f"seed {self.seed}, {self.steps} steps", *self.faults, "", *self.trail))


class Judge:
    """Asks the plane itself, past the proxies, and keeps what it saw of its log and lists."""

    def __init__(self, url: str, client: httpx.AsyncClient) -> None:
        self._url, self._client = url, client
        self.witness = Witness()
        self.log: list[bytes] = []
        self.faults: list[str] = []
        self.verified = 0

    async def resources(self) -> list[Resource]:
        """Every release and cell, as they are now. raises: httpx.HTTPError"""
        releases, seq = await self._list("/v1/releases")
        cells, later = await self._list("/v1/throttles")
        self.witness.saw(seq)
        found: list[Resource] = [wire.read(one, wire.Release) for one in releases]
        found += [wire.read(one, wire.Throttle) for one in cells]
        self.witness.look(later, found)
        return found

    async def verify(self) -> None:
        """The whole log anew: its chain, its keys, and that what it had is still there.
        raises: httpx.HTTPError"""
        found: list[bytes] = []
        token: str | None = ""
        while token is not None:
            page = await self._page("/v1/audit", {"page_token": token} if token else {})
            found += [bytes(one) for one in page.items]
            token = page.next_page_token
        found.reverse()
        self.faults += log_faults(found)
        if found[: len(self.log)] != self.log:
            self.faults.append("entries that the log had are gone, or are others now")
        self.log, self.verified = found, self.verified + 1

    async def _list(self, path: str) -> tuple[tuple[Raw, ...], int]:
        page = await self._page(path, {})
        return page.items, page.seq

    async def _page(self, path: str, parameters: dict[str, str]) -> wire.Page:
        answer = await self._client.get(f"{self._url}{path}", params={"limit": "500"} | parameters)
        return wire.read(answer.raise_for_status().content, wire.Page)


class _Step(NamedTuple):
    """One decision of one operator, drawn before it begins.

    wait_s: before it begins; leave_s: when its operator stops listening, None stays to the end
    """

    number: int
    actor: str
    moves: tuple[Move, ...]
    wait_s: float
    is_rehearsed: bool
    leave_s: float | None


class Campaign:
    """One run. Draws everything by its seed; what the machine does with time is its own."""

    def __init__(self, plane: PlaneProcess, judge: Judge, seed: int, kill_share: float) -> None:
        self.plane, self.judge, self.kill_share = plane, judge, kill_share
        self.proxies: dict[str, FaultProxy] = {}
        self.operators: dict[str, PlaneOperator] = {}
        self.made: list[Made] = []
        self.claims: list[Claim] = []
        self.steps = self.rounds = 0
        self._draw = random.Random(seed)
        self._views: deque[View] = deque(maxlen=20)
        self._left: defaultdict[tuple[str, Target], list[Made]] = defaultdict(list)
        self._hot: Target | None = None
        self._killing: asyncio.Task[None] | None = None

    async def round(self) -> None:
        """Both operators decide and act at about one moment, while the plane may be killed."""
        draw = self._draw
        if self._killing is not None and (self._killing.done() or draw.random() < 0.6):
            await self._killing
            self._killing = None
        if self._killing is None:
            self._views.append(_view(await self.judge.resources()))
            if draw.random() < self.kill_share:
                proxy = draw.choice((None, *self.proxies.values()))
                self._killing = asyncio.create_task(self._killed(draw.uniform(0, KILL_WITHIN_S), proxy))
        self.rounds += 1
        steps = [step for actor in self.operators if (step := self._step(actor)).moves]
        await asyncio.gather(*(self._carried_out(step) for step in steps))

    async def end(self) -> None:
        """No more faults: everything is looked at until it is settled, after one more kill."""
        if self._killing is not None:
            await self._killing
        await self._killed(0.0)
        for proxy in self.proxies.values():
            proxy.odds = proxy.reads = NO_FAULTS
            await proxy.quiet()
        view = _view(await self.judge.resources())
        for actor in self.operators:
            try:
                async with asyncio.timeout(SETTLED_WITHIN_S):
                    while not await self._is_settled(actor, view):
                        await asyncio.sleep(0.05)
            except TimeoutError:
                self.judge.faults.append(f"not everything of {actor} settles in {SETTLED_WITHIN_S:g} s")
        await self._killed(0.0)

    def _step(self, actor: str) -> _Step:
        draw = self._draw
        view = draw.choice(self._views) if draw.random() < 0.1 else self._views[-1]
        if self._hot is None or draw.random() < 0.1:
            self._hot = draw.choice(view.targets)
        # Where both are at one target, one of them comes second.
        target = self._hot if draw.random() < 0.4 else self._drawn(view)
        self.steps += 1
        return _Step(
            self.steps,
            actor,
            tuple(moves(view, target, draw, self.steps)),
            wait_s=draw.uniform(0, 0.005),
            is_rehearsed=draw.random() < 0.4,
            leave_s=draw.uniform(0, 0.05) if draw.random() < 0.03 else None,
        )

    def _drawn(self, view: View) -> Target:
        releases = [one for one in view.targets if one.kind == "release"]
        return self._draw.choice(releases if self._draw.random() < 0.4 else view.targets)

    async def _carried_out(self, step: _Step) -> None:
        await asyncio.sleep(step.wait_s)
        operator = self.operators[step.actor]
        intents = [one.intent for one in step.moves]
        if step.is_rehearsed:
            await self._rehearsed(step.actor, intents)
        ready = decided(intents, f"step {step.number} by {step.actor}")
        made = {
            one.key: Made(step.number, step.actor, one, move.expected)
            for one, move in zip(ready, step.moves, strict=True)
        }
        self.made += made.values()
        try:
            async with asyncio.timeout(step.leave_s):
                async with aclosing(operator.carry_out(ready)) as outcomes:  # type: ignore[type-var]  # it has one
                    async for outcome in outcomes:
                        made[outcome.intent.key].outcomes.append(outcome)
        except TimeoutError:
            # As meant: the operator left.
            pass
        for one in made.values():
            if one.final is None or one.final.kind is OutcomeKind.UNKNOWN:
                self._left[step.actor, one.intent.target].append(one)

    async def _rehearsed(self, actor: str, intents: list[Intent]) -> bool:
        """Look, as a dialog does, and keep what is said of writes without an answer. True if none is open."""
        is_settled = True
        for one in await self.operators[actor].rehearse(intents):
            left = self._left[actor, one.intent.target]
            for operation, what in _SAID.findall("; ".join((one.refusal, *one.warnings))):
                about = [each for each in left if each.intent.operation == operation]
                self.claims.append(Claim(what, tuple(about)))
                if len(about) == 1:
                    left.remove(about[0])
            is_settled &= "nobody knows yet" not in one.refusal
        return is_settled

    async def _is_settled(self, actor: str, view: View) -> bool:
        looks = [intending.clear_throttle(one) for one in view.cells]
        looks += [intending.advance(one) for one in view.releases]
        return await self._rehearsed(actor, looks)

    async def _killed(self, wait_s: float, proxy: FaultProxy | None = None) -> None:
        """Kill it and start it again, `wait_s` from now, or after the next write that passes `proxy`."""
        if proxy is not None:
            proxy.sending.clear()
            try:
                async with asyncio.timeout(0.2):
                    await proxy.sending.wait()
            except TimeoutError:
                # Nobody wrote: any moment is as good.
                pass
        await asyncio.sleep(wait_s)
        await self.plane.kill()
        await self.plane.start()
        await self.judge.verify()
        await self.judge.resources()


async def run_campaign(
    folder: Path,
    *,
    steps: int,
    seed: int,
    kill_share: float = 0.06,
    writes: Odds = WRITES,
    reads: Odds = READS,
) -> Report:
    """Drive a plane of its own in `folder` for `steps` decisions, and judge it.

    kill_share: how often the plane is killed, of all rounds of two decisions
    """
    began = time.monotonic()
    roles = dict.fromkeys(TIMINGS, "release-admin") | {JUDGE: "viewer"}
    plane = PlaneProcess(folder, seed_document(), roles)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(plane.kill)
        await plane.start()
        head = {"Authorization": f"Bearer {secret(JUDGE)}"}
        client = await stack.enter_async_context(httpx.AsyncClient(headers=head, trust_env=False))
        judge = Judge(plane.url, client)
        campaign = Campaign(plane, judge, seed, kill_share)
        for number, (actor, timing) in enumerate(TIMINGS.items()):
            proxy = FaultProxy(plane.address, seed * 100 + number, writes, reads)
            url = await stack.enter_async_context(proxy.serving())
            own = NativePlane(url, lambda name=actor: secret(name), timing=timing)  # type: ignore[misc]  # bound
            await stack.enter_async_context(aclosing(own))
            campaign.proxies[actor], campaign.operators[actor] = proxy, own.operator()
        while campaign.steps < steps:
            await campaign.round()
        await campaign.end()
        resources = await judge.resources()
        await judge.verify()
        found = _report(seed, campaign, resources, plane.errors())
        found.kills, found.seconds = plane.kills, round(time.monotonic() - began, 1)
    return found


def _report(seed: int, campaign: Campaign, resources: list[Resource], errors: str) -> Report:
    judge, made, log = campaign.judge, campaign.made, entries(campaign.judge.log)
    report = Report(seed, campaign.steps, campaign.rounds, chains_verified=judge.verified, entries=len(log))
    report.applied = sum(one.result == "applied" for one in log)
    report.etags, report.intents = judge.witness.etags, len(made)
    landed = {one.idempotency_key for one in log if one.result == "applied"}
    for one in made:
        if one.final is None:
            report.unheard += 1
            continue
        sent = "" if one.final.was_sent else ", not sent"
        report.outcomes[f"{one.final.kind}{sent}"] += 1
        report.unknown_that_landed += one.final.kind is OutcomeKind.UNKNOWN and one.intent.key in landed
    report.settled = Counter(one.what for one in campaign.claims)
    for proxy in campaign.proxies.values():
        for (method, fault), times in proxy.done.items():
            counted = report.harmed if fault != "none" else report.requests
            counted[f"{method} {fault}" if fault != "none" else f"{method} unharmed"] += times
    told = [*told_faults(made, log), *claim_faults(campaign.claims, log)]
    report.faults = [*judge.faults, *judge.witness.faults, *state_faults(log, resources)]
    report.faults += [f"step {one.step}: {one.intent.target}: {why}" for one, why in told]
    if errors:
        report.faults.append(f"the plane wrote to stderr: {errors[-2000:]}")
    if report.faults:
        first = told[0][0].step if told else campaign.steps
        report.trail = [str(one) for one in made if one.step <= first][-TRAIL:]
    return report


def _view(resources: list[Resource]) -> View:
    releases = (decode.release(one) for one in resources if isinstance(one, wire.Release))
    cells = (decode.throttle(one) for one in resources if isinstance(one, wire.Throttle))
    return View(tuple(releases), tuple(cells))
