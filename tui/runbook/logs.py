"""The log on standard output, and the check of its chain: `tidegate audit`."""

import argparse
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from collectors.control import chain, told, wire
from collectors.text import clean
from tui.output import as_json, fail, say
from tui.runbook.planes import Plane

if TYPE_CHECKING:
    import msgspec

BROKEN = 4


async def print_log(args: argparse.Namespace, plane: Plane) -> int:
    """The newest entries that were asked for, oldest first."""
    filters = {
        "actor": args.actor,
        "result": args.result,
        "decision_id": args.decision,
        "since": args.since,
        "until": args.until,
    }
    if args.release is not None:
        filters["resource"] = f"/v1/releases/{args.release}"
    if args.feature is not None and args.tier is not None:
        filters["resource"] = f"/v1/throttles/{args.feature}/{args.tier}"
    asked = {name: value for name, value in filters.items() if value is not None}
    if "resource" in asked or (args.feature is None and args.tier is None):
        entries = await plane.plane.log(asked, args.limit)
    else:
        entries = await _of_throttles(args, plane, asked)
    if args.json:
        say("[" + ",\n ".join(bytes(one).decode(errors="replace") for one in reversed(entries)) + "]")
        return 0
    for entry in reversed(entries):
        say(_line(entry))
    if not entries:
        say("no entry: nothing was done yet, or nothing that fits")
    return 0


async def verify_log(args: argparse.Namespace, plane: Plane) -> int:
    """Whether every entry follows the one before it."""
    entries = await plane.plane.log({}, None)
    broken = chain.verify(reversed(entries), previous="")
    newest = _read(entries[0]).sha256 if entries else ""
    if args.json:
        say(as_json({"entries": len(entries), "broken": broken, "newest_sha256": newest}))
        return 0 if broken is None else BROKEN
    if broken is not None:
        return fail(f"the log's chain is broken: {broken}", BROKEN)
    say(f"{len(entries)} entries, every hash follows the one before; newest {newest or 'none'}")
    return 0


async def _of_throttles(
    args: argparse.Namespace, plane: Plane, filters: Mapping[str, str]
) -> "list[msgspec.Raw]":
    """The newest entries of all cells of a feature, or of a tier. A plane finds one whole cell only, so more
    of the log is read until enough of it fits, or it ends. raises: PlaneError."""
    parts = [re.escape(one) if one else "[^/]+" for one in (args.feature, args.tier)]
    fits = re.compile("/v1/throttles/" + "/".join(parts))
    limit: int = args.limit
    while True:
        entries = await plane.plane.log(filters, limit)
        found = [one for one in entries if fits.fullmatch(_read(one).resource)]
        if len(found) >= args.limit or len(entries) < limit:
            return found[: args.limit]
        limit *= 8


def _read(raw: "msgspec.Raw") -> wire.Audit:
    """An entry; one without anything where it cannot be read."""
    try:
        return wire.read(raw, wire.Audit)
    except ValueError:
        return wire.Audit(id="", seq=0, at="")


def _line(raw: "msgspec.Raw") -> str:
    try:
        entry = wire.read(raw, wire.Audit)
        event = told.logged(entry)
    except ValueError as error:
        return f"(an entry that cannot be read: {clean(str(error), 200)})"
    at = datetime.fromtimestamp(event.at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    client = entry.client or {}
    user, host = client.get("user", "?"), client.get("host")
    whence = f"  from {user}@{host}" if host else ""
    line = f"{at}  {entry.id}  {event.actor}  {entry.op} {event.subject}  {entry.result}  {event.text}"
    return clean(f"{line}{whence}", 600)
