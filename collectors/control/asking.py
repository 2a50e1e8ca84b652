"""Questions a plane is asked whole: what it can do, and its lists, page by page."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from collectors.control import wire
from collectors.control.http import PlaneHTTP
from collectors.control.interface import PlaneError
from collectors.text import clean

API_VERSION = "v1"
MAX_PAGES = 200
PAGE_LIMIT = 100
LOG_PAGE = 500
LOG_PAGES = 2000


class OtherVersion(PlaneError):
    """The plane speaks another version of the contract: nothing of it may be taken for known."""


class Listed(NamedTuple):
    """A list, whole."""

    items: tuple[msgspec.Raw, ...]
    seq: int
    etag: str | None


async def ask_capabilities(http: PlaneHTTP) -> wire.Capabilities:
    """What the plane and its caller can do. raises: PlaneError; OtherVersion for one that is not ours."""
    answer = await http.ask("/v1/capabilities")
    found = http.decoded("/v1/capabilities", answer.body, wire.Capabilities)
    if found.api_version != API_VERSION:
        error = http.error(
            f"speaks {clean(found.api_version, 20)!r} and this tidegate {API_VERSION}; update tidegate, "
            f"or name a server of {API_VERSION}"
        )
        raise OtherVersion(str(error))
    return found


async def ask_pages(http: PlaneHTTP, path: str, etag: str | None) -> Listed | None:
    """A list, every page of it; None if it is as it was at `etag`. raises: PlaneError."""
    parameters = {"limit": str(PAGE_LIMIT)}
    items: list[msgspec.Raw] = []
    first: tuple[int, str | None] | None = None
    for _ in range(MAX_PAGES):
        answer = await http.ask(path, parameters, etag=etag if first is None else None)
        if answer.status == 304:
            return None
        page = http.decoded(path, answer.body, wire.Page)
        first = first or (page.seq, answer.etag)
        items += page.items
        if page.next_page_token is None:
            return Listed(tuple(items), *first)
        parameters["page_token"] = page.next_page_token
    raise http.error(f"lists {path} without end; {MAX_PAGES} pages were read and refused")


async def ask_log(http: PlaneHTTP, filters: Mapping[str, str], limit: int | None) -> list[msgspec.Raw]:
    """Entries of the log that fit, newest first, as they came; at most `limit`, or, if None, every one.

    filters: of the contract's section 10. raises: PlaneError.
    """
    found: list[msgspec.Raw] = []
    parameters = dict(filters)
    for _ in range(LOG_PAGES):
        parameters["limit"] = str(LOG_PAGE if limit is None else min(LOG_PAGE, limit - len(found)))
        answer = await http.ask("/v1/audit", parameters)
        page = http.decoded("/v1/audit", answer.body, wire.Page)
        found += page.items
        if page.next_page_token is None or (limit is not None and len(found) >= limit):
            return found
        parameters["page_token"] = page.next_page_token
    raise http.error(f"has over {LOG_PAGE * LOG_PAGES} entries in its log; ask for a part of it")
