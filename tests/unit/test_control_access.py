"""Tokens, roles, and the file that carries a token to the command line."""

import hashlib
import json
import os
import stat
from pathlib import Path

import pytest

from collectors.control.interface import PlaneError
from collectors.control.server.access import (
    TOKEN_VARIABLE,
    Access,
    Caller,
    Token,
    remove_token_file,
    token_for,
    write_token_file,
)

URL = "http://127.0.0.1:9911"


@pytest.fixture(autouse=True)
def _no_token_around(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)


def test_a_token_names_its_caller_and_is_never_shown() -> None:
    """Actor and role come with it; its repr hides the secret."""
    token = Token.fresh("alice", "operator")
    caller = Access([Token.fresh("bob"), token]).caller(f"Bearer {token.secret}")
    assert caller is not None
    assert (caller.actor, caller.role) == ("alice", "operator")
    assert token.secret not in repr(token)
    assert token.secret not in repr(caller)


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Bearer   ", "Basic {}", "Bearer {}x", "{}", "Bearer \udcff"]
)
def test_anything_else_is_nobody(header: str | None) -> None:
    """A missing, wrong or half header is nobody, without an error."""
    token = Token.fresh("alice")
    assert Access([token]).caller(None if header is None else header.format(token.secret)) is None


def test_roles_may_what_the_contract_says() -> None:
    """Viewers nothing, operators the brakes and throttles, release-admins all; flag tokens nothing."""
    operator = Access([Token("x", "a", "operator")]).caller("Bearer x")
    viewer = Access([Token("x", "a", "viewer")]).caller("Bearer x")
    admin = Access([Token("x", "a", "release-admin")]).caller("Bearer x")
    flags = Access([Token("x", "a", "release-admin", "ofrep")]).caller("Bearer x")
    assert operator and viewer and admin and flags
    assert operator.may("throttle.set") and operator.may("release.abort")
    assert not operator.may("release.advance")
    assert not viewer.may("release.pause")
    assert admin.may("release.advance")
    assert not flags.may("throttle.set")


def test_the_hash_of_nothing_lets_nobody_in() -> None:
    """A token given by the SHA-256 of an empty secret matches no request."""
    empty = Token("", "a", "operator", sha256=hashlib.sha256(b"").hexdigest())
    assert Access([empty]).caller("Bearer ") is None


def test_why_not_names_the_role_that_is_needed() -> None:
    """The sentence of a greyed key; empty where the role is enough."""
    operator = Caller("token-1", "bob", "operator")
    assert operator.why_not("throttle.set") == ""
    assert operator.why_not("release.override_gate") == "needs release-admin"
    assert Caller("token-2", "carol", "viewer").why_not("dry_run") == "needs operator"
    assert Caller("token-3", "app", "viewer", "ofrep").why_not("dry_run") == "this token evaluates flags only"


def test_the_file_is_found_by_url_and_is_ours_alone(tmp_path: Path) -> None:
    """Mode 0600 whatever the umask, four members, found by URL, localhost included; then removed."""
    token = Token.fresh("alice")
    before = os.umask(0)
    try:
        path = write_token_file(URL, token, tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text()) == {
        "url": URL,
        "token": token.secret,
        "actor": "alice",
        "role": "release-admin",
    }
    assert token_for(URL, tmp_path) == token.secret
    assert token_for(URL + "/", tmp_path) == token.secret
    assert token_for("http://localhost:9911", tmp_path) == token.secret
    assert token_for("http://127.0.0.1:9912", tmp_path) is None
    remove_token_file(path, token)
    assert token_for(URL, tmp_path) is None
    remove_token_file(path, token)


def test_the_environment_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable set on purpose beats a file that happens to lie there."""
    write_token_file(URL, Token.fresh("alice"), tmp_path)
    monkeypatch.setenv(TOKEN_VARIABLE, "mine")
    assert token_for(URL, tmp_path) == "mine"


def test_a_file_others_can_read_is_refused(tmp_path: Path) -> None:
    """With what is wrong and what to do, and without the token."""
    token = Token.fresh("alice")
    path = write_token_file(URL, token, tmp_path)
    path.chmod(0o640)
    with pytest.raises(PlaneError, match=r"can be read by others \(mode 0640\)") as caught:
        token_for(URL, tmp_path)
    assert token.secret not in str(caught.value)


def test_a_stale_file_or_planted_link_is_replaced_not_followed(tmp_path: Path) -> None:
    """A link laid where the file goes is taken away; what it points to stays as it was."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path = write_token_file(URL, Token.fresh("old"), tmp_path)
    path.unlink()
    path.symlink_to(victim)
    with pytest.raises(PlaneError, match="cannot be read"):
        token_for(URL, tmp_path)
    token = Token.fresh("new")
    assert write_token_file(URL, token, tmp_path) == path
    assert victim.read_text() == "precious"
    assert token_for(URL, tmp_path) == token.secret


def test_another_servers_file_is_not_removed(tmp_path: Path) -> None:
    """One that started at the same address since has its own token there."""
    old, new = Token.fresh("old"), Token.fresh("new")
    path = write_token_file(URL, old, tmp_path)
    write_token_file(URL, new, tmp_path)
    remove_token_file(path, old)
    assert token_for(URL, tmp_path) == new.secret


@pytest.mark.parametrize("body", ["", "{}", "[1]", '{"token": 5}', "[" * 50_000])
def test_a_file_without_a_token_is_named(tmp_path: Path, body: str) -> None:
    """Whatever lies there instead is a sentence."""
    path = write_token_file(URL, Token.fresh("alice"), tmp_path)
    path.write_text(body)
    with pytest.raises(PlaneError, match="holds no token"):
        token_for(URL, tmp_path)
