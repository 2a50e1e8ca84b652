"""The tokens that a plane was given, in a file of its own: who may do what.

Source of roles, scope and delegates: control contract, section 7.
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StrictBool, model_validator

from collectors.control.server.access import NOT_PEOPLE, RANK, Role, Token
from collectors.credentials import private_text
from collectors.text import clean
from collectors.toml_file import FileError, checked_toml

SHORTEST_SECRET = 16
"""Characters: a shorter secret can be guessed over the network."""


def _actor(text: str) -> str:
    if not text or clean(text) != text:
        raise ValueError("must be 1 to 128 characters without control characters")
    if text.casefold().startswith(NOT_PEOPLE):
        raise ValueError("names what is no person: such actors are the server's own")
    return text


def _secret(text: str) -> str:
    if len(text) < SHORTEST_SECRET or not re.fullmatch(r"[!-~]+", text):
        raise ValueError(
            f"must be at least {SHORTEST_SECRET} printable ASCII characters without spaces; "
            f"make one with `openssl rand -hex 32`"
        )
    return text


def _sha256(text: str) -> str:
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise ValueError("must be 64 hex digits, as `printf %s TOKEN | sha256sum` prints them")
    return text.lower()


class _Given(BaseModel):
    """One [[token]]. The secret itself, or its SHA-256, so that the file gives no token away."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    actor: Annotated[str, AfterValidator(_actor)]
    role: Role
    secret: Annotated[str, AfterValidator(_secret)] | None = None
    sha256: Annotated[str, AfterValidator(_sha256)] | None = None
    scope: Literal["ofrep"] | None = None
    delegate: StrictBool = False
    expires_at: AwareDatetime | None = None

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        if (self.secret is None) == (self.sha256 is None):
            raise ValueError("give exactly one of secret and sha256")
        if self.delegate and self.scope:
            raise ValueError("a token with scope ofrep evaluates flags only: it is no delegate")
        return self

    def token(self) -> Token:
        """What the server knows by it."""
        expires_at = None if self.expires_at is None else self.expires_at.timestamp()
        return Token(
            self.secret or "",
            self.actor,
            self.role,
            self.scope or "",
            self.delegate,
            expires_at,
            self.sha256 or "",
        )


class _TokenFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    token: Annotated[tuple[_Given, ...], Field(min_length=1)]


def read_tokens(path: Path) -> tuple[Token, ...]:
    """The tokens of a TOML file, in its order.

    raises: ConfigError for a file that cannot be read or that others can; FileError with file, line, key and
        what is allowed, and never with a secret
    """
    file = clean(str(path), 4096)
    found = tuple(one.token() for one in checked_toml(private_text(path), file, _TokenFile).token)
    digests = Counter(one.digest for one in found)
    for number, one in enumerate(found, 1):
        if digests[one.digest] > 1:
            raise FileError(f"{file}: token {number}, of {clean(one.actor)}: another has the same secret")
    return found


def told_roles(tokens: Sequence[Token], now: float) -> str:
    """How many tokens of which role there are, as "1 release-admin, 2 operator, 1 ofrep"."""
    counted = Counter[str](one.scope or one.role for one in tokens)
    words = [
        f"{counted[name]} {name}" for name in (*sorted(RANK, key=RANK.__getitem__, reverse=True), "ofrep")
    ]
    told = ", ".join(one for one in words if not one.startswith("0 "))
    expired = sum(one.expires_at is not None and one.expires_at <= now for one in tokens)
    return f"{told}; {expired} of them expired already" if expired else told
