"""Throttles and releases as feature flags, so that any OpenFeature SDK obeys them.

The protocol keeps its own spelling. Source: control contract, section 13; OFREP 0.3.0.
"""

import hashlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from collectors.control import wire
from collectors.control.server import parsing
from collectors.control.server.lists import is_same_tag
from collectors.control.server.problems import Problem
from collectors.control.server.state import Held
from collectors.control.server.store import Store
from collectors.text import clean

PATH = "/ofrep/v1/evaluate/flags"
_RELEASE = "release."
_LEVEL, _WEIGHT = ".level", ".weight"
_MEDIA_TYPE = "application/json; charset=utf-8"


class Context(NamedTuple):
    """Whom a flag is evaluated for. `tier` is one of the plane's; `tier_defaulted`: none of its was told."""

    targeting_key: str
    tier: str
    tier_defaulted: bool


class FlagError(Exception):
    """A flag that cannot be evaluated. `code` is the protocol's; str() is for people."""

    def __init__(self, status: int, code: str, details: str) -> None:
        self.status, self.code = status, code
        super().__init__(details)


def share_of(flag: str, targeting_key: str) -> float:
    """Where a key stands in 0..1, by the SHA-256 of flag and key: it is admitted by every level above.

    flag: key of the boolean flag
    """
    digest = hashlib.sha256(f"{flag}:{targeting_key}".encode()).hexdigest()
    return int(digest[:8], 16) / 4294967296


def evaluated(held: Held, key: str, context: Context) -> dict[str, Any]:
    """One flag as the protocol writes it.

    raises: FlagError for a flag that there is not, a key that is missing, or a share that is not known.
    """
    boolean = key
    if key.startswith(_RELEASE):
        boolean = key.removesuffix(_WEIGHT)
        share, metadata = _exposed(held, key, boolean.removeprefix(_RELEASE), context)
    else:
        boolean = key.removesuffix(_LEVEL)
        share, metadata = _admitted(held, key, boolean, context)
    if share is None:
        raise FlagError(400, "GENERAL", f"{clean(key)}: the share in force is not known")
    if key != boolean:
        variant = f"{context.tier}@{share:.4f}"
        return {
            "key": key,
            "value": share,
            "reason": "TARGETING_MATCH",
            "variant": variant,
            "metadata": metadata,
        }
    if not context.targeting_key:
        raise FlagError(
            400, "TARGETING_KEY_MISSING", "context.targetingKey is missing: it says who is asked for"
        )
    value = share_of(boolean, context.targeting_key) < share
    return {
        "key": key,
        "value": value,
        "reason": "STATIC" if share in {0.0, 1.0} else "SPLIT",
        "variant": "on" if value else "off",
        "metadata": metadata,
    }


def flag_keys(held: Held) -> Iterator[str]:
    """Every flag: of each feature, then of each release."""
    for feature in held.config.features:
        yield from (feature.id, f"{feature.id}{_LEVEL}")
    for release in held.releases.values():
        name = f"{_RELEASE}{release.subject.name}"
        yield from (name, f"{name}{_WEIGHT}")


def _admitted(held: Held, key: str, feature: str, context: Context) -> tuple[float | None, dict[str, Any]]:
    cell = held.throttles.get((feature, context.tier))
    if cell is None:
        raise FlagError(404, "FLAG_NOT_FOUND", f"no flag {clean(key)}: no such feature")
    level = cell.effective_level if cell.state == "ramping" else cell.level
    return level, {"feature": feature, **_tier(context), "seq": cell.seq}


def _exposed(held: Held, key: str, subject: str, context: Context) -> tuple[float | None, dict[str, Any]]:
    release = next((one for one in held.releases.values() if one.subject.name == subject), None)
    if release is None:
        raise FlagError(404, "FLAG_NOT_FOUND", f"no flag {clean(key)}: no release of such a subject")
    share = next((one.desired for one in release.status.exposure if one.tier == context.tier), None)
    metadata: dict[str, Any] = {"subject": subject, "kind": release.subject.kind, **_tier(context)}
    metadata["candidate"] = release.candidate
    if release.stable is not None:
        metadata["stable"] = release.stable
    # Of the last change of the tag, not of telemetry: else every flag would look new all the time.
    metadata["seq"] = int(release.etag.rpartition("-")[2])
    return share, metadata


def _tier(context: Context) -> dict[str, Any]:
    return {"tier": context.tier, "tier_defaulted": context.tier_defaulted}


def context_of(body: bytes, held: Held) -> Context:
    """Whom a request asks for. raises: FlagError for a body that cannot be read."""
    try:
        asked = wire.read(body, dict[str, Any])
    except ValueError as error:
        raise FlagError(400, "PARSE_ERROR", f"the body cannot be read: {clean(str(error), 200)}") from error
    context = asked.get("context", {})
    if not isinstance(context, dict):
        raise FlagError(400, "PARSE_ERROR", "context must be an object")
    key, tier = context.get("targetingKey", ""), context.get("tier")
    if not isinstance(key, str):
        raise FlagError(400, "PARSE_ERROR", "context.targetingKey must be a string")
    is_known = isinstance(tier, str) and tier in held.config.tiers
    return Context(key, str(tier) if is_known else held.config.default_tier, not is_known)


@dataclass(frozen=True, slots=True)
class Flags:
    """The endpoints. `settle` does time's work first, so that what is evaluated is in force."""

    store: Store
    settle: Callable[[], Awaitable[None]]
    body_max_bytes: int

    async def single(self, request: Request) -> Response:
        """One flag by its key."""
        key = request.path_params["key"]
        try:
            body = await self._body(request)
            await self.settle()
            held = self.store.held
            return _json(evaluated(held, key, context_of(body, held)))
        except FlagError as error:
            return _failed(error, key)

    async def bulk(self, request: Request) -> Response:
        """All flags, or 304 where they and the context are as they were."""
        try:
            body = await self._body(request)
            await self.settle()
            held = self.store.held
            context = context_of(body, held)
            if not context.targeting_key:
                raise FlagError(
                    400, "TARGETING_KEY_MISSING", "context.targetingKey is missing: it says who is asked for"
                )
        except FlagError as error:
            return _failed(error)
        flags = [_or_failure(held, key, context) for key in flag_keys(held)]
        seq = max((one["metadata"]["seq"] for one in flags if "metadata" in one), default=0)
        answer = wire.render({"flags": flags, "metadata": {"seq": seq}})
        digest = hashlib.sha256(answer + b"\n" + wire.render(context._asdict())).hexdigest()
        tag = f'"{digest[:16]}"'
        if is_same_tag(request, tag):
            return Response(status_code=304, headers={"ETag": tag})
        return Response(answer, headers={"ETag": tag}, media_type=_MEDIA_TYPE)

    async def _body(self, request: Request) -> bytes:
        """The body, bounded in size and time. raises: FlagError."""
        try:
            return await parsing.received(request, self.body_max_bytes)
        except Problem as problem:
            raise FlagError(problem.status, "PARSE_ERROR", problem.detail) from None


def _or_failure(held: Held, key: str, context: Context) -> dict[str, Any]:
    try:
        return evaluated(held, key, context)
    except FlagError as error:
        return {"key": key, "errorCode": error.code, "errorDetails": str(error)}


def _failed(error: FlagError, key: str | None = None) -> Response:
    named = {} if key is None else {"key": clean(key)}
    return _json(named | {"errorCode": error.code, "errorDetails": str(error)}, error.status)


def _json(found: dict[str, Any], status: int = 200) -> Response:
    return Response(wire.render(found), status, media_type=_MEDIA_TYPE)
