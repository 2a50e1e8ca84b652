"""What a plane is told in files: tokens, limits, and what observes a release."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from collectors.config import ConfigError
from collectors.control.server.access import Access
from collectors.control.server.observing import ObservedError, read_shares
from collectors.control.server.settings import read_plane_settings
from collectors.control.server.tokens import read_tokens, told_roles
from collectors.toml_file import FileError

SECRET = "0123456789abcdef-alice"  # a secret of the tests
TIERS = ("pro", "plus", "free")


def written(path: Path, text: str, mode: int = 0o600) -> Path:
    """The file with that text."""
    path.write_text(text)
    path.chmod(mode)
    return path


def test_tokens_are_read_with_all_they_carry(tmp_path: Path) -> None:
    """Secret or SHA-256, role, scope, delegate and end; the digest alone finds the caller by the secret."""
    digest = hashlib.sha256(b"secret-of-a-robot").hexdigest().upper()
    file = written(
        tmp_path / "tokens.toml",
        f'[[token]]\nactor = "alice@example.com"\nrole = "operator"\nsecret = "{SECRET}"\n'
        f'expires_at = 2027-01-01T00:00:00Z\n[[token]]\nactor = "robot"\nrole = "release-admin"\n'
        f'sha256 = "{digest}"\ndelegate = true\n[[token]]\nactor = "app"\nrole = "viewer"\nscope = "ofrep"\n'
        f'secret = "another-long-secret"\n',
    )
    tokens = read_tokens(file)
    access = Access(tokens)
    alice, robot = access.caller(f"Bearer {SECRET}"), access.caller("bearer secret-of-a-robot")
    assert alice is not None
    assert (alice.actor, alice.role, alice.delegate) == ("alice@example.com", "operator", False)
    assert alice.expires_at == datetime(2027, 1, 1, tzinfo=UTC).timestamp()
    assert robot is not None
    assert (robot.actor, robot.role, robot.delegate, robot.expires_at) == (
        "robot",
        "release-admin",
        True,
        None,
    )
    assert access.caller(f"Bearer {digest.lower()}") is None
    assert told_roles(tokens, 0) == "1 release-admin, 1 operator, 1 ofrep"
    assert told_roles(tokens, 2e9).endswith("; 1 of them expired already")
    assert SECRET not in repr(tokens)


WRONG_TOKENS = [
    ('[[token]]\nactor = "a"\nrole = "admin"\nsecret = "SECRET"', ":3: token.0.role: "),
    ('[[token]]\nactor = "a"\nroel = "operator"\nsecret = "SECRET"', "did you mean 'role'?"),
    ('[[token]]\nactor = "a"\nrole = "operator"', "give exactly one of secret and sha256"),
    (
        '[[token]]\nactor = "a"\nrole = "operator"\nsecret = "short"',
        ":4: token.0.secret: must be at least 16",
    ),
    ('[[token]]\nactor = "a"\nrole = "operator"\nsha256 = "SECRET"', ":4: token.0.sha256: must be 64 hex"),
    ('[[token]]\nactor = "system:expiry"\nrole = "operator"\nsecret = "SECRET"', "no person"),
    ('[[token]]\nactor = "System:Expiry"\nrole = "operator"\nsecret = "SECRET"', "no person"),
    ('[[token]]\nactor = ""\nrole = "operator"\nsecret = "SECRET"', ":2: token.0.actor: "),
    ('[[token]]\nactor = "a"\nrole = "viewer"\nsecret = "SECRET"\nexpires_at = 2027-01-01T00:00:00', ":5: "),
    (
        '[[token]]\nactor = "a"\nrole = "viewer"\nsecret = "SECRET"\nscope = "ofrep"\ndelegate = true',
        "delegate",
    ),
    ('token = []\n# "SECRET"', "at least 1 item"),
    ('[[token]]\nactor = "a"\nrole = "viewer"\nsecret = "SECRET', ": not valid TOML"),
    (
        '[[token]]\nactor="a"\nrole="viewer"\nsecret="SECRET"\n' * 2,
        "token 1, of a: another has the same secret",
    ),
]


@pytest.mark.parametrize(("text", "said"), WRONG_TOKENS, ids=lambda one: one[-40:])
def test_a_wrong_token_file_names_line_and_key_and_no_secret(tmp_path: Path, text: str, said: str) -> None:
    """One sentence with what is allowed; the secret is never repeated."""
    file = written(tmp_path / "tokens.toml", text.replace("SECRET", SECRET))
    with pytest.raises(FileError) as caught:
        read_tokens(file)
    assert said in str(caught.value)
    assert str(file) in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_token_file_others_can_read_is_refused(tmp_path: Path) -> None:
    """With the command that mends it; an absent one is named."""
    file = written(tmp_path / "tokens.toml", "", 0o644)
    with pytest.raises(ConfigError, match=r"can be read by others: run `chmod 600"):
        read_tokens(file)
    with pytest.raises(ConfigError, match="No such file"):
        read_tokens(tmp_path / "none.toml")
    written(file, "#" * 70_000)
    with pytest.raises(ConfigError, match="longer than 65536 bytes"):
        read_tokens(file)


def test_settings_reach_app_stream_and_store(tmp_path: Path) -> None:
    """Each limit goes where it is kept; paths are from the file's folder; defaults are the contract's."""
    file = written(
        tmp_path / "plane.toml",
        'tokens = "who.toml"\n[limits]\nwrites_per_min = 7\nwatchers_per_token = 3\nttl_max_s = 60\n'
        'heartbeat_s = 0.5\n[prometheus]\nurl = "http://127.0.0.1:9090/"\n'
        '[[observed]]\nrelease = "llama-70b"\nquery = "x"\n',
    )
    settings = read_plane_settings(file)
    assert settings.tokens == tmp_path / "who.toml"
    assert settings.limits.edge().writes_per_min == 7
    assert settings.limits.edge().body_max_bytes == 65_536
    assert (settings.limits.stream().per_token, settings.limits.stream().heartbeat_s) == (3, 0.5)
    assert (settings.limits.store().ttl_max_s, settings.limits.store().idempotency_retention_s) == (
        60,
        86_400,
    )
    assert (settings.observed[0].tier_label, settings.observed[0].every_s) == ("tier", 15)


WRONG_SETTINGS = [
    (
        "[limits]\nwrites_per_minute = 5",
        ":2: limits.writes_per_minute: no such key; did you mean 'writes_per_min'?",
    ),
    ("[limits]\npage_max = 501", ":2: limits.page_max: "),
    ("[limits]\nbody_max_bytes = 1.5", ":2: limits.body_max_bytes: "),
    ("[limit]\n", ":1: limit: no such key; did you mean 'limits'?"),
    ('[[observed]]\nrelease = "a"\nquery = "x"', "who is asked? give [prometheus]"),
    (
        '[prometheus]\nurl = "http://h"\n[[observed]]\nrelease = "A"\nquery = "x"',
        ":4: observed.0.release: an id",
    ),
    ('[prometheus]\nurl = "h"', ":2: prometheus.url: must be a URL"),
    (
        '[prometheus]\nurl = "http://h"\n[[observed]]\nrelease = "a"\nquery = "x"\nstale_s = 10',
        "stale_s is below every_s",
    ),
]


@pytest.mark.parametrize(("text", "said"), WRONG_SETTINGS, ids=lambda one: one[-40:])
def test_a_wrong_setting_names_file_line_and_key(tmp_path: Path, text: str, said: str) -> None:
    """A misspelt key is refused with what was meant, so that no limit is silently another."""
    file = written(tmp_path / "plane.toml", text)
    with pytest.raises(FileError) as caught:
        read_plane_settings(file)
    assert str(caught.value).startswith(str(file))
    assert said in str(caught.value)


def vector(*samples: tuple[str, str]) -> bytes:
    """A Prometheus's answer with these tiers and numbers, each half a second old."""
    found = ",".join(
        f'{{"metric":{{"tier":"{tier}","tidegate_part":"{part}"}},"value":[1.5,"{number}"]}}'
        for tier, value in samples
        for part, number in (("share", value), ("at", "1.0"))
    )
    return f'{{"status":"success","data":{{"resultType":"vector","result":[{found}]}}}}'.encode()


def test_shares_are_read_by_tier_and_what_is_absent_stays_absent() -> None:
    """Tiers of others are left out, NaN too; what rounding took past the ends is brought back."""
    body = vector(("pro", "1.0000000002"), ("plus", "0.246"), ("free", "NaN"), ("staff", "7"))
    assert read_shares(body, "tier", TIERS, 60) == {"pro": 1.0, "plus": 0.246}
    assert read_shares(vector(), "tier", TIERS, 60) == {}
    assert read_shares(body, "tier", TIERS, 0.5) == {"pro": 1.0, "plus": 0.246}
    assert read_shares(body, "tier", TIERS, 0.4) == {}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (vector(("pro", "98.4")), "tier pro has 98.4, which is no share"),
        (vector(("pro", "-0.1")), "no share"),
        (vector(("pro", "+Inf")), "no share"),
        (vector(("pro", "x")), "no number"),
        (vector(("pro", "1"), ("pro", "1")), r"several samples; write sum by \(tier\)"),
        (vector().replace(b"vector", b"matrix"), "gives a matrix"),
        (b'{"status":"error","error":"parse error"}', "refused: parse error"),
        (b"<html>", "none of a Prometheus"),
        (b"[]", "none of a Prometheus"),
    ],
)
def test_what_is_no_share_is_never_shown_as_one(body: bytes, said: str) -> None:
    """Percentages, several series, other answers: a sentence for the log, and no number."""
    with pytest.raises(ObservedError, match=said):
        read_shares(body, "tier", TIERS, 60)


def test_a_sample_without_its_tier_is_told() -> None:
    """The label that the settings name has to be kept by the query."""
    with pytest.raises(ObservedError, match="no label 'level'; keep it"):
        read_shares(vector(("pro", "1")), "level", TIERS, 60)
