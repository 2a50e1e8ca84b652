"""Writes whose answer never came, by target: each blocks its target until somebody has looked what it did."""

import asyncio
from dataclasses import dataclass
from typing import NamedTuple

from collectors.control import effect
from collectors.control.asks import PlaneAsks
from collectors.control.interface import PlaneError
from collectors.control.writing import Fate
from collectors.fleet import Release, Throttle
from collectors.intents import ANY_ETAG, Intent, Target

_NO_LOG = frozenset({403, 404, 405, 501})
"""Statuses by which a plane says that it has no log, or none for us. Whatever else is wrong may pass."""


@dataclass(slots=True)
class Unsettled:
    """A write whose fate is unknown.

    sent_at: when it was last sent, by the event loop's clock; audit_id: where an answer named one
    before: the resource as it was before it was sent; None where there was none, or it was not known
    actor: who we are to the plane; "" if not known
    """

    intent: Intent
    sent_at: float
    before: Release | Throttle | None = None
    actor: str = ""
    audit_id: str = ""

    def is_last_change(self, thing: Release | Throttle | None) -> bool:
        """Whether a resource says that this was its last change: newly, ours, and so that it shows.

        An answer that is none of the plane's may name any entry, also one that was there before.
        """
        change = None if thing is None else thing.last_change
        if thing is None or change is None or not self.audit_id or change.audit_id != self.audit_id:
            return False
        if self.before is None and self.intent.etag is not None:
            return False
        old = None if self.before is None else self.before.last_change
        is_new = old is None or old.audit_id != self.audit_id
        is_ours = (change.op, change.actor) == (self.intent.operation, self.actor)
        return is_new and is_ours and not effect.lacking(self.intent, self.before, thing)

    def is_past(self, thing: Release | Throttle | None) -> bool:
        """Whether the rev it names is gone, so that it cannot do anything new any more."""
        etag = self.intent.etag
        # A resource without a rev that can be used tells of none that is gone.
        return thing is not None and bool(thing.etag) and etag not in {None, ANY_ETAG, thing.etag}


class Look(NamedTuple):
    """What a look told. `said`: about the writes, or why it is still unknown; "" where there are none."""

    is_settled: bool
    said: str = ""


class UnsettledWrites:
    """The writes of one operator that are not settled: one for a target, or more where a brake came after."""

    def __init__(self, asks: PlaneAsks, *, quiet_s: float) -> None:
        """quiet_s: after so long a request cannot be under way any more"""
        self._asks, self._quiet_s = asks, quiet_s
        self._held: dict[Target, list[Unsettled]] = {}

    def __contains__(self, target: Target) -> bool:
        return target in self._held

    def open(self, intent: Intent, before: Release | Throttle | None = None, *, actor: str = "") -> Unsettled:
        """A write of `intent` is about to be sent. before, actor: see `Unsettled`"""
        held = Unsettled(intent, asyncio.get_running_loop().time(), before, actor)
        self._held.setdefault(intent.target, []).append(held)
        return held

    def settle(self, one: Unsettled, after: Release | Throttle | None = None) -> None:
        """It is known what a write did. after: the resource as it is now, if that is known: it settles all
        that can do nothing new to it."""
        target = one.intent.target
        left = [held for held in self._held.get(target, []) if held is not one and not held.is_past(after)]
        if left:
            self._held[target] = left
        else:
            self._held.pop(target, None)

    async def look(self, target: Target, now: Release | Throttle | None) -> Look:
        """Find out what the unsettled writes did, from the resource as it is now and from the log."""
        looks = [await self._look(held, now) for held in tuple(self._held.get(target, ()))]
        return Look(all(one.is_settled for one in looks), "; ".join(one.said for one in looks))

    async def _look(self, held: Unsettled, now: Release | Throttle | None) -> Look:
        """What became of one.

        It is repeated, under its key, only where that cannot do anything new: the plane has it already, or
        the rev it names is gone.
        """
        if held.is_last_change(now):
            return self._settled(held, "was applied")
        try:
            entry = await self._asks.entry(held.intent)
            result, unread = (None if entry is None else entry.result), None
        except PlaneError as error:
            # A plane without a log, or one that is in trouble: the resource alone has to tell.
            result, unread = None, error
        if result == "applied":
            return self._settled(held, "was applied")
        is_refused = result in {"refused", "failed"}
        if is_refused and held.intent.etag != ANY_ETAG:
            return self._settled(held, f"was {result}")
        if not is_refused and (result is not None or (unread is not None and held.is_past(now))):
            return await self._repeated(held)
        left_s = held.sent_at + self._quiet_s - asyncio.get_running_loop().time()
        if left_s > 0:
            # Of a brake that was refused too: it names no rev, so an earlier request of it might yet do it.
            return _open(held, f"look again in {left_s:.0f} s")
        if unread is not None and unread.status not in _NO_LOG:
            return _open(held, str(unread))
        if is_refused:
            return self._settled(held, f"was {result}")
        return self._settled(held, "was never heard of" if unread is None else "left no trace")

    async def _repeated(self, held: Unsettled) -> Look:
        request = await self._asks.request(held.intent)
        try:
            verdict = await self._asks.write(request, held.intent, is_repeat=True, role="")
        except PlaneError as error:
            return _open(held, str(error))
        held.sent_at = asyncio.get_running_loop().time()
        if verdict.fate is Fate.APPLIED:
            assert verdict.resource is not None  # an applied write brings its resource
            lacks = effect.lacking(held.intent, held.before, verdict.resource)
            what = f"was applied, says the plane, but does not show {lacks}" if lacks else "was applied"
            return self._settled(held, what)
        if verdict.fate in {Fate.REFUSED, Fate.CONFLICT}:
            return self._settled(held, "was not applied")
        return _open(held, "the plane has not finished it; look again")

    def _settled(self, held: Unsettled, what: str) -> Look:
        self.settle(held)
        return Look(True, f"the {held.intent.operation} without an answer {what}")


def _open(held: Unsettled, what: str) -> Look:
    said = f"nobody knows yet whether the {held.intent.operation} before was applied, so it waits: {what}"
    return Look(False, said)
