"""Lists: paging, weak tags and query parameters. Source: control contract, sections 5 and 9."""

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from msgspec import Raw, Struct
from starlette.requests import Request
from starlette.responses import Response

from collectors.control import wire
from collectors.control.server.problems import Problem, invalid

PAGE_DEFAULT = 100
PAGE_TOKEN_S = 600.0

_LIMIT = re.compile("[1-9][0-9]{0,8}")

Item = TypeVar("Item")


class Place(Struct, frozen=True, array_like=True):
    """Where a list goes on: after `key` in `of` (path and filters), as asked first at `seq`."""

    of: str
    issued_at: float
    seq: wire.Count
    key: tuple[str, ...]


class Asked(Struct, frozen=True):
    """A list request, checked. `place`: None for the first page."""

    of: str
    limit: int
    place: Place | None
    filters: Mapping[str, str]


def asked(
    request: Request, filters: Sequence[str], *, key: Sequence[re.Pattern[str]], page_max: int, now: float
) -> Asked:
    """What a list request asks for. `key`: what the parts of a place in the list look like.

    raises: Problem 400 for an unknown, repeated or wrong parameter; 410 for an old page token.
    """
    parameters = single_parameters(request, (*filters, "limit", "page_token"))
    limit_text = parameters.pop("limit", str(min(PAGE_DEFAULT, page_max)))
    token = parameters.pop("page_token", None)
    if not _LIMIT.fullmatch(limit_text) or int(limit_text) > page_max:
        raise invalid("limit", f"limit is a whole number from 1 to {page_max}")
    of = "&".join((request.url.path, *(f"{name}={value}" for name, value in sorted(parameters.items()))))
    place = None if token is None else _place(token, of, key, now)
    return Asked(of, int(limit_text), place, parameters)


def single_parameters(request: Request, allowed: Sequence[str]) -> dict[str, str]:
    """The query's parameters. raises: Problem 400 for one that is unknown or given twice."""
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in allowed:
            known = ", ".join(allowed) or "none"
            raise invalid(name, f"no such query parameter here; there are: {known}")
        if name in found:
            raise invalid(name, "given twice")
        found[name] = value
    return found


def answer_list(
    request: Request,
    ask: Asked,
    items: Sequence[Item],
    *,
    seq: int,
    now: float,
    key: Callable[[Item], tuple[str, ...]],
    body: Callable[[Item], bytes],
) -> Response:
    """One page. `items`: what follows the asked place, in order, at least one more than fits if there is."""
    if ask.place is not None:
        seq = ask.place.seq
    tag = f'W/"{seq}"'
    if ask.place is None and is_same_tag(request, tag):
        return Response(status_code=304, headers={"ETag": tag})
    fit = items[: ask.limit]
    token = None
    if len(items) > ask.limit:
        place = Place(ask.of, ask.place.issued_at if ask.place else now, seq, key(fit[-1]))
        token = base64.urlsafe_b64encode(wire.render(place)).decode().rstrip("=")
    items_raw = tuple(Raw(body(one)) for one in fit)
    page = wire.Page(items=items_raw, next_page_token=token, seq=seq)
    return Response(wire.render(page), headers={"ETag": tag}, media_type="application/json; charset=utf-8")


def is_same_tag(request: Request, tag: str) -> bool:
    """Whether If-None-Match names `tag`, compared weakly."""
    given = request.headers.get("if-none-match", "")
    bare = tag.removeprefix("W/")
    return given.strip() == "*" or any(one.strip().removeprefix("W/") == bare for one in given.split(","))


def _place(token: str, of: str, key: Sequence[re.Pattern[str]], now: float) -> Place:
    try:
        text = base64.urlsafe_b64decode(token.encode() + b"=" * (-len(token) % 4))
        place = wire.read(text, Place)
        if [bool(part.fullmatch(one)) for part, one in zip(key, place.key, strict=True)].count(False):
            raise ValueError("a key of another shape")
    except ValueError as error:
        raise invalid("page_token", "no page token of this server; start with the first page") from error
    if place.of != of:
        raise invalid("page_token", "this page token belongs to another list or other filters")
    if not 0 <= now - place.issued_at <= PAGE_TOKEN_S:
        raise Problem(
            410,
            "page-expired",
            "Page token too old",
            "a page token is good for 10 min; start with the first page",
        )
    return place
