"""Writes whose answer never came, by target: each blocks its target until somebody has looked what it did."""

import asyncio
from dataclasses import dataclass
from typing import NamedTuple

from collectors.control.asks import PlaneAsks
from collectors.control.interface import PlaneError
from collectors.control.writing import Fate
from collectors.fleet import Release, Throttle
from collectors.intents import ANY_ETAG, Intent, Target


@dataclass(slots=True)
class Unsettled:
    """A write whose fate is unknown. `sent_at`: when it was last sent, by the event loop's clock."""

    intent: Intent
    sent_at: float
    audit_id: str = ""


class Look(NamedTuple):
    """What a look told. `said`: about the write, or why it is still unknown; "" where there is none."""

    is_settled: bool
    said: str = ""


class Unsettleds:
    """The writes of one operator that are not settled."""

    def __init__(self, asks: PlaneAsks, *, quiet_s: float) -> None:
        """quiet_s: after so long a request cannot be under way any more"""
        self._asks, self._quiet_s = asks, quiet_s
        self._held: dict[Target, Unsettled] = {}

    def __contains__(self, target: Target) -> bool:
        return target in self._held

    def open(self, intent: Intent) -> Unsettled | None:
        """A write of `intent` is about to be sent. Returns the one that stood there before."""
        before = self._held.get(intent.target)
        self._held[intent.target] = Unsettled(intent, asyncio.get_running_loop().time())
        return before

    def sent(self, target: Target, audit_id: str = "") -> None:
        """It was sent; audit_id: where an answer named one."""
        if (held := self._held.get(target)) is not None:
            held.sent_at = asyncio.get_running_loop().time()
            held.audit_id = audit_id or held.audit_id

    def is_it(self, thing: Release | Throttle | None, target: Target) -> bool:
        """Whether the last change of a resource is the unsettled write of its target."""
        held = self._held.get(target)
        if held is None or not held.audit_id or thing is None or thing.last_change is None:
            return False
        return thing.last_change.audit_id == held.audit_id

    def settle(self, target: Target, before: Unsettled | None = None) -> None:
        """The write of a target is settled; `before` stands again, where there was one."""
        if before is None:
            self._held.pop(target, None)
        else:
            self._held[target] = before

    async def look(self, target: Target, now: Release | Throttle | None) -> Look:
        """Find out what an unsettled write did, from the resource as it is now and from the log.

        The write is repeated, under its key, only where that cannot do anything new: the plane has it
        already, or the rev it names is gone.
        """
        held = self._held.get(target)
        if held is None:
            return Look(True)
        intent = held.intent
        if self.is_it(now, target):
            return self._settled(held, "was applied")
        try:
            entry = await self._asks.entry(intent)
            result, is_known = (None if entry is None else entry.result), True
        except PlaneError:
            # A plane without a log, or one that is in trouble: the resource alone has to tell.
            result, is_known = None, False
        if result == "applied":
            return self._settled(held, "was applied")
        if result in {"refused", "failed"}:
            return self._settled(held, f"was {result}")
        is_past = now is not None and intent.etag not in {None, ANY_ETAG} and now.etag != intent.etag
        if result is not None or (not is_known and is_past):
            return await self._repeated(held)
        left_s = held.sent_at + self._quiet_s - asyncio.get_running_loop().time()
        if left_s > 0:
            return self._open(held, f"look again in {left_s:.0f} s")
        return self._settled(held, "was never heard of" if is_known else "left no trace")

    async def _repeated(self, held: Unsettled) -> Look:
        intent = held.intent
        request = await self._asks.request(intent)
        try:
            verdict = await self._asks.write(request, intent, is_repeat=True, role="")
        except PlaneError as error:
            return self._open(held, str(error))
        self.sent(intent.target, verdict.audit_id)
        if verdict.fate is Fate.APPLIED:
            return self._settled(held, "was applied")
        if verdict.fate in {Fate.REFUSED, Fate.CONFLICT}:
            return self._settled(held, "was not applied")
        return self._open(held, "the plane has not finished it; look again")

    def _settled(self, held: Unsettled, what: str) -> Look:
        if self._held.get(held.intent.target) is held:
            self.settle(held.intent.target)
        return Look(True, f"the {held.intent.operation} without an answer {what}")

    def _open(self, held: Unsettled, what: str) -> Look:
        return Look(
            False,
            f"nobody knows yet whether the {held.intent.operation} before was applied, so it waits: {what}",
        )
