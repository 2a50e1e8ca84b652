"""Who may do what: tokens and roles, and the file by which a token reaches the command line.

Source: control contract, section 7.
"""

import getpass
import hashlib
import hmac
import os
import re
import secrets
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec
import platformdirs

from collectors.control.interface import PlaneError

TOKEN_VARIABLE = "TIDEGATE_TOKEN"  # noqa: S105  # the name of a variable, not a token

Role = Literal["viewer", "operator", "release-admin"]
Scope = Literal["", "ofrep"]
RANK: dict[str, int] = {"viewer": 0, "operator": 1, "release-admin": 2}

OPERATION_ROLES: dict[str, Role] = {
    "release.advance": "release-admin",
    "release.pause": "operator",
    "release.resume": "operator",
    "release.abort": "operator",
    "release.register": "release-admin",
    "release.retry": "release-admin",
    "release.rollback": "release-admin",
    "release.set_weight": "release-admin",
    "release.override_gate": "release-admin",
    "throttle.set": "operator",
    "throttle.clear": "operator",
    "throttle.ramp": "operator",
    "dry_run": "operator",
}
"""The least role that each writing operation needs; a dry run needs that of what it tries."""

NOT_PEOPLE = ("system:", "external")
"""How actors begin that are no person's: no token may be one of them. Source: contract, section 10."""


@dataclass(frozen=True, slots=True)
class Token:
    """A secret and whose it is. Never shown: not in its repr.

    scope: "ofrep" may evaluate flags only
    delegate: may act in the name of others, who are then the actor
    expires_at: seconds since the epoch; None for never
    sha256: hex digest of the secret, where only that is known; `secret` is empty then
    """

    secret: str = field(repr=False)
    actor: str
    role: Role
    scope: Scope = ""
    delegate: bool = False
    expires_at: float | None = None
    sha256: str = field(default="", repr=False)

    @classmethod
    def fresh(cls, actor: str | None = None, role: Role = "release-admin") -> "Token":
        """A new random token, for the login name unless told otherwise."""
        return cls(f"tg-{secrets.token_urlsafe(32)}", actor or login_name(), role)

    @property
    def digest(self) -> bytes:
        """SHA-256 of the secret."""
        return bytes.fromhex(self.sha256) if self.sha256 else _digest(self.secret)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request comes from. `name` tells tokens of one actor apart, without the secret.

    via: the token's own actor, where `actor` is somebody whom it acts for
    """

    name: str
    actor: str
    role: Role
    scope: Scope = ""
    delegate: bool = False
    expires_at: float | None = None
    via: str | None = None

    def may(self, operation: str) -> bool:
        """Whether the role is enough for a writing operation."""
        return not self.scope and RANK[self.role] >= RANK[OPERATION_ROLES[operation]]

    def why_not(self, operation: str) -> str:
        """What an operation needs that this caller has not; "" if the role is enough."""
        if self.may(operation):
            return ""
        return "this token evaluates flags only" if self.scope else f"needs {OPERATION_ROLES[operation]}"


class Access:
    """The tokens a server knows."""

    def __init__(self, tokens: Iterable[Token]) -> None:
        self._callers = tuple(
            (
                one.digest,
                Caller(f"token-{number}", one.actor, one.role, one.scope, one.delegate, one.expires_at),
            )
            for number, one in enumerate(tokens, 1)
        )

    def caller(self, authorization: str | None) -> Caller | None:
        """Whose request it is, by its Authorization header; None for a missing or unknown token."""
        scheme, _, secret = (authorization or "").partition(" ")
        secret = secret.strip()
        if scheme.lower() != "bearer" or not secret:
            return None
        digest = _digest(secret)
        found = None
        # No early exit, and digests of one length: the time taken tells nothing about a token.
        for known, caller in self._callers:
            if hmac.compare_digest(known, digest):
                found = caller
        return found


def login_name() -> str:
    """The login name, or "operator" where the system knows none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "operator"


def write_token_file(url: str, token: Token, directory: Path | None = None) -> Path:
    """Leave the token where the command line of this user finds it by `url`; mode 0600.

    directory: the user's state directory by default.
    raises: OSError if the file cannot be made.
    """
    path = _token_path(url, directory)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    body = {"url": url, "token": token.secret, "actor": token.actor, "role": token.role}
    # A killed server leaves its file behind. Unlinking takes a link away, never what it points to.
    path.unlink(missing_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(file, "wb") as out:
        out.write(msgspec.json.encode(body))
    return path


def remove_token_file(path: Path, token: Token) -> None:
    """Take the file away, unless another server has written its own there since."""
    try:
        if token.secret.encode() in path.read_bytes():
            path.unlink()
    except FileNotFoundError:
        return


def token_for(url: str, directory: Path | None = None) -> str | None:
    """The token to use for `url`: of the environment variable TIDEGATE_TOKEN, else of the token file; None if
    there is neither.

    raises: PlaneError for a file that others can read, that is not ours, or that holds no token.
    """
    if given := os.environ.get(TOKEN_VARIABLE, "").strip():
        return given
    hosts = {"localhost": ("localhost", "127.0.0.1", "[::1]")}
    parts = urlsplit(url)
    host = parts.hostname or ""
    for name in hosts.get(host, (f"[{host}]" if ":" in host else host,)):
        candidate = _token_path(f"{parts.scheme}://{name}:{_port(url)}", directory)
        if (token := _token_in(candidate)) is not None:
            return token
    return None


def _token_in(path: Path) -> str | None:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PlaneError(f"token file {path} cannot be read: {error.strerror}; remove it") from error
    with os.fdopen(file, "rb") as held:
        status = os.fstat(held.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            raise PlaneError(f"token file {path} is not a file of yours; remove it and start the plane again")
        if stat.S_IMODE(status.st_mode) & 0o077:
            raise PlaneError(
                f"token file {path} can be read by others (mode {stat.S_IMODE(status.st_mode):04o}), "
                f"so its token is not used; stop the plane, remove the file and start it again"
            )
        body = held.read(65_536)
    try:
        token = msgspec.json.decode(body, type=dict[str, str])["token"]
    except (ValueError, KeyError, RecursionError) as error:
        raise PlaneError(f"token file {path} holds no token; remove it and start the plane again") from error
    return token


def _token_path(url: str, directory: Path | None) -> Path:
    parts = urlsplit(url)
    name = re.sub(r"[^A-Za-z0-9.-]+", "_", f"{parts.hostname or ''}-{_port(url)}")
    return (directory or platformdirs.user_state_path("tidegate")) / f"plane-{name}.json"


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port if parts.port is not None else 443 if parts.scheme == "https" else 80


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()
