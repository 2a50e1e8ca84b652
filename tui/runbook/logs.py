"""The log on standard output, and the check of its chain: `tidegate audit`."""

import argparse
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from collectors.control import chain, told, wire
from collectors.fleet import clean
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
    if args.feature is not None:
        filters["resource"] = f"/v1/throttles/{args.feature}/{args.tier}"
    entries = await plane.plane.log(
        {name: value for name, value in filters.items() if value is not None}, args.limit
    )
    if args.json:
        say("[" + ",\n ".join(bytes(one).decode() for one in reversed(entries)) + "]")
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
    newest = wire.read(entries[0], wire.Audit).sha256 if entries else ""
    if args.json:
        say(as_json({"entries": len(entries), "broken": broken, "newest_sha256": newest}))
        return 0 if broken is None else BROKEN
    if broken is not None:
        return fail(f"the log's chain is broken: {broken}", BROKEN)
    say(f"{len(entries)} entries, every hash follows the one before; newest {newest or 'none'}")
    return 0


def _line(raw: "msgspec.Raw") -> str:
    entry = wire.read(raw, wire.Audit)
    event = told.logged(entry)
    at = datetime.fromtimestamp(event.at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    client = entry.client or {}
    whence = f"  from {client['user']}@{client['host']}" if client.get("host") else ""
    line = f"{at}  {entry.id}  {event.actor}  {entry.op} {event.subject}  {entry.result}  {event.text}"
    return clean(f"{line}{whence}", 600)
