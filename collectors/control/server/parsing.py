"""From an HTTP request to a checked write: headers, body, and whatever is wrong with them as a problem.

What is refused here is refused whatever the state of any release or throttle.
Source: control contract, sections 1 and 3 to 7.
"""

import asyncio
import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import replace

from msgspec import structs
from starlette.requests import ClientDisconnect, Request

from collectors.control import wire
from collectors.control.server.access import NOT_PEOPLE, Caller
from collectors.control.server.commands import (
    BODIES,
    KEY_PATTERN,
    SHA256_PATTERN,
    Body,
    Command,
    Register,
    SetThrottle,
)
from collectors.control.server.lists import single_parameters
from collectors.control.server.problems import Problem, invalid
from collectors.control.server.seed import shape_fault
from collectors.control.server.state import Config
from collectors.control.server.writes import shape_problem
from collectors.text import clean

BODY_S = 20.0
"""Longest time that a body may take to arrive: a client's own wait for the answer is no longer."""

ON_BEHALF_OF = "Tidegate-On-Behalf-Of"

_KEY = re.compile(KEY_PATTERN)
_TAG = re.compile(r'"([!#-~]{0,128})"')
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z")
_PATTERNS = {
    KEY_PATTERN: "1 to 128 of A-Z a-z 0-9 . _ -",
    SHA256_PATTERN: "a SHA-256 is 64 of 0-9 a-f",
}
_UNSEEN = frozenset({"Cc", "Cs", "Zl", "Zp"})
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def is_dry_run(request: Request) -> bool:
    """Whether a write is only tried. raises: Problem 400 for any other query."""
    given = single_parameters(request, ("dry_run",)).get("dry_run")
    if given not in {None, "true"}:
        raise invalid("dry_run", "dry_run=true tries a write; leave it out to carry the write out")
    return given is not None


def acting_caller(caller: Caller, request: Request) -> Caller:
    """The caller, or whom a delegate says that it acts for.

    raises: Problem 403 for a token that is no delegate, 400 for a name that cannot be one.
    """
    given = request.headers.getlist(ON_BEHALF_OF)
    if not given:
        return caller
    if not caller.delegate:
        raise Problem(
            403,
            "forbidden",
            "Not allowed",
            f"{clean(caller.actor)}'s token may not act for others; leave {ON_BEHALF_OF} out, or have "
            f"the token marked `delegate` at the server",
        )
    name = given[0].strip()
    if len(given) > 1 or not (1 <= len(name) <= 128 and name.isascii() and name.isprintable()):
        raise invalid(ON_BEHALF_OF, f"{ON_BEHALF_OF} is one name of 1 to 128 printable ASCII characters")
    if name.casefold().startswith(NOT_PEOPLE):
        raise invalid(ON_BEHALF_OF, f"{clean(name)} is no person: {ON_BEHALF_OF} names one")
    return replace(caller, actor=name, via=caller.actor)


async def command_of(
    request: Request,
    operation: str,
    caller: Caller,
    *,
    config: Config,
    body_max_bytes: int,
    ttl_max_s: int,
) -> Command:
    """The write that a request asks for, in the contract's order of checks.

    raises: Problem 400, 413 or 415
    """
    is_rehearsal = is_dry_run(request)
    content = await _content(request, body_max_bytes)
    body = read_body(content, BODIES[operation])
    if isinstance(body, SetThrottle) and body.expires_at is not None and not _is_time(body.expires_at):
        said = "is no time such as 2026-11-21T17:00:00Z, in UTC and ending in Z"
        raise _invalid_body([("/expires_at", said)])
    tag = _if_match(request)
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    match = "" if tag is None else tag
    digest = hashlib.sha256(content).hexdigest()
    fingerprint = hashlib.sha256("\n".join((request.method, path, match, digest)).encode("utf-8", "replace"))
    names = request.path_params
    command = Command(
        operation=operation,
        body=body,
        caller=caller,
        key="",
        fingerprint=fingerprint.hexdigest(),
        request_id=request.state.request_id,
        release=body.id if isinstance(body, Register) else names.get("id", ""),
        feature=names.get("feature", ""),
        tier=names.get("tier", ""),
        if_match=tag,
        if_none_match=_if_none_match(request, operation),
    )
    if problem := shape_problem(command, config, ttl_max_s):
        raise problem
    return command if is_rehearsal else structs.replace(command, key=_key(request))


def read_body(content: bytes, shape: type[Body]) -> Body:
    """The body as the operation's shape.

    raises: Problem 400 with the JSON pointer of what is wrong: shape, a member given twice, or a character
        that a screen must not get
    """
    try:
        body = wire.read(content, shape)
    except ValueError as error:
        fault = shape_fault(str(error), shape, _PATTERNS)
        member = f"/{_token(fault.key)}" if fault.key else ""
        raise _invalid_body([(fault.at + member, fault.what)]) from None
    # Only now: what has this shape is neither deep nor of endless numbers.
    document = json.loads(content, object_pairs_hook=_Members, parse_int=str, parse_float=str)
    if faults := list(_text_faults(document, "")):
        raise _invalid_body(faults)
    return body


def is_seen(text: str) -> bool:
    """Whether every character can be shown as it was sent: no controls, line breaks or changes of direction.

    Letters of every script are fine, and so are the marks that join them, as in an emoji of several.
    """
    if text.isascii():
        return text.isprintable()
    return not any(one in _DIRECTIONS or unicodedata.category(one) in _UNSEEN for one in text)


class _Members(list[tuple[str, object]]):
    """A JSON object as it was written: a name may be there twice."""


def _text_faults(found: object, pointer: str) -> Iterator[tuple[str, str]]:
    if isinstance(found, _Members):
        names = set[str]()
        for name, one in found:
            place = f"{pointer}/{_token(name)}"
            if name in names:
                yield place, "is given twice; give it once"
            names.add(name)
            yield from _text_faults(one, place)
    elif isinstance(found, list):
        for number, one in enumerate(found):
            yield from _text_faults(one, f"{pointer}/{number}")
    elif isinstance(found, str) and not is_seen(found):
        yield pointer, "holds a control character, a line break or a mark that turns the direction of text"


async def _content(request: Request, most: int) -> bytes:
    """The body's bytes, which are JSON. raises: Problem 415, 413; 400 if it does not arrive."""
    kind, _, parameters = request.headers.get("content-type", "").partition(";")
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    charset = re.search(r'charset="?([^\s";]*)', parameters.lower())
    if kind.strip().lower() != "application/json" or (charset and charset[1] not in {"utf-8", "utf8"}):
        what = clean(request.headers.get("content-type", ""), 80) or "none"
        raise _bad_media_type(f"Content-Type is {what}; send application/json in UTF-8")
    if coding not in {"identity", ""}:
        raise _bad_media_type(f"Content-Encoding is {clean(coding, 80)}; send the body as it is")
    return await received(request, most)


async def received(request: Request, most: int) -> bytes:
    """The body's bytes, whatever they are. raises: Problem 413; 400 if it does not arrive in time."""
    announced = request.headers.get("content-length", "0")
    if announced.isascii() and announced.isdigit() and int(announced[:19]) > most:
        raise _too_large(most)
    content = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for piece in request.stream():
                content += piece
                if len(content) > most:
                    raise _too_large(most)
    except TimeoutError:
        raise invalid("", f"the body did not arrive within {BODY_S:g} s; send it again") from None
    except ClientDisconnect:
        raise invalid("", "the client left before its body was here") from None
    return bytes(content)


def _is_time(text: str) -> bool:
    try:
        return bool(_TIME.fullmatch(text) and wire.render_time(wire.read_time(text)))
    except (ValueError, OverflowError):
        return False


def _key(request: Request) -> str:
    """raises: Problem 400"""
    given = request.headers.getlist("idempotency-key")
    if not given:
        raise Problem(
            400,
            "idempotency-key-missing",
            "Idempotency-Key is missing",
            "send Idempotency-Key with a new UUID for each write, and the same one to repeat it",
        )
    if len(given) > 1 or not _KEY.match(given[0]):
        raise invalid("Idempotency-Key", f"one Idempotency-Key, {_PATTERNS[KEY_PATTERN]}")
    return given[0]


def _if_match(request: Request) -> str | None:
    """The tag without its quotes, "*", or None where there is none. raises: Problem 400"""
    given = request.headers.getlist("if-match")
    if not given:
        return None
    if given == ["*"]:
        return "*"
    if len(given) > 1 or not (tag := _TAG.fullmatch(given[0].strip())):
        what = clean(", ".join(given), 80)
        raise invalid("If-Match", f'{what} is not one strong tag in quotes, such as "m-17"')
    return tag[1]


def _if_none_match(request: Request, operation: str) -> bool:
    """raises: Problem 400"""
    given = request.headers.getlist("if-none-match")
    if not given:
        return False
    if operation != "release.register":
        raise invalid("If-None-Match", "only a register takes If-None-Match; send If-Match")
    if given != ["*"]:
        raise invalid("If-None-Match", "If-None-Match is * here: the release must not exist yet")
    return True


def _invalid_body(faults: Sequence[tuple[str, str]]) -> Problem:
    errors = [{"pointer": clean(pointer), "detail": clean(what, 1000)} for pointer, what in faults]
    pointer, what = faults[0]
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    detail = f"{clean(pointer) or 'the body'}: {clean(what, 1000)}{more}"
    return Problem(400, "invalid-request", "Invalid request", detail, members={"errors": errors})


def _bad_media_type(detail: str) -> Problem:
    return Problem(415, "bad-media-type", "Not JSON", detail)


def _too_large(most: int) -> Problem:
    return Problem(413, "too-large", "Body too large", f"a body has at most {most} bytes here")


def _token(name: str) -> str:
    """One part of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")
