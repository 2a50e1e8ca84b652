"""What an operator asks of a plane around a write: the resource, the log, an operation, the write itself."""

import getpass
import socket
from collections.abc import Callable, Mapping
from importlib import metadata

from collectors.control import wire, writing
from collectors.control.http import LostReply, PlaneHTTP
from collectors.control.interface import PlaneError
from collectors.control.writing import Fate, Request, Verdict
from collectors.daemon import in_daemon
from collectors.fleet import Release, Throttle
from collectors.intents import Intent, Target
from collectors.text import clean

CLIENT_LIMIT = 64
"""Longest user, host or version a plane takes. Source: control contract, section 5."""


class PlaneAsks:
    """One question or one request each; nothing is repeated here."""

    def __init__(self, http: PlaneHTTP, keep: Callable[[Release | Throttle], None]) -> None:
        """keep: given every resource that is read, at once"""
        self.http, self.keep = http, keep
        self._client: Mapping[str, str] | None = None

    async def resource(self, target: Target) -> Release | Throttle | None:
        """The target as it is now; None if the plane has none. raises: PlaneError."""
        try:
            answer = await self.http.ask(target.path)
        except PlaneError as error:
            # A 404 by something else in between is no word of the plane's.
            if error.code == "not-found":
                return None
            raise
        try:
            thing = writing.read_resource(target, answer.body)
        except ValueError as error:
            raise self.http.error(
                f"answers {target.path} with something this tidegate cannot read "
                f"({clean(str(error), 200)}); update whichever of the two is older"
            ) from error
        self.keep(thing)
        return thing

    async def entry(self, intent: Intent) -> wire.Audit | None:
        """The log's entry of a write, by its key; None if the log has none. raises: PlaneError."""
        parameters = {"resource": intent.target.path, "decision_id": intent.decision_id, "limit": "100"}
        answer = await self.http.ask("/v1/audit", parameters)
        for item in self.http.decoded("/v1/audit", answer.body, wire.Page).items:
            try:
                entry = wire.read(item, wire.Audit)
            except ValueError:
                # An entry that cannot be read is none that could be known by its key.
                continue
            if entry.idempotency_key == intent.key:
                return entry
        return None

    async def is_logged(self, intent: Intent) -> bool:
        """Whether the log says, under the key of a write, that it was applied."""
        try:
            entry = await self.entry(intent)
        except PlaneError:
            # No log, or none that can be read now: it says nothing.
            return False
        return entry is not None and (entry.op, entry.result) == (intent.operation, "applied")

    async def operation(self, name: str) -> wire.RunningOperation:
        """A write that its backend has to confirm. raises: PlaneError."""
        path = f"/v1/operations/{name}"
        answer = await self.http.ask(path)
        return self.http.decoded(path, answer.body, wire.RunningOperation)

    async def client(self) -> Mapping[str, str]:
        """Who and where we claim to be; looked up once."""
        if self._client is None:
            # The user may have to be looked up in a directory, and the version is in a file.
            self._client = await in_daemon(_client_facts)
        return self._client

    async def request(self, intent: Intent) -> Request:
        """The write of an intent, to be sent as often as need be."""
        return writing.request(intent, await self.client())

    async def write(self, request: Request, intent: Intent, *, is_repeat: bool, role: str) -> Verdict:
        """Send a write, once. raises: PlaneError if nothing has left."""
        try:
            reply = await self.http.send(request.path, request.body, request.headers)
        except LostReply as error:
            return Verdict(Fate.LOST, str(error))
        return writing.verdict(intent, reply, is_repeat=is_repeat, role=role)


def _client_facts() -> dict[str, str]:
    """Who and where we claim to be, as the plane's log keeps it beside the token's actor."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # A user id without a name, as in a container.
        user = ""
    try:
        version = metadata.version("tidegate")
    except metadata.PackageNotFoundError:
        version = ""
    facts = {"user": user, "host": socket.gethostname(), "version": version}
    return {name: clean(text, CLIENT_LIMIT) for name, text in facts.items()}
