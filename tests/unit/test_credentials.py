"""Credentials come by reference, and never leave in an error."""

from pathlib import Path

import pytest

from collectors.config import ConfigError, Credential, secret


def test_each_reference_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Environment, file of mode 0600 and command all give the secret, trimmed."""
    monkeypatch.setenv("MY_TOKEN", "tok-1")
    file = tmp_path / "token"
    file.write_text("tok-2\n")
    file.chmod(0o600)
    assert secret(Credential(env="MY_TOKEN")) == "tok-1"
    assert secret(Credential(file=file)) == "tok-2"
    assert secret(Credential(command="printf tok-3")) == "tok-3"


def test_a_file_others_can_read_is_refused(tmp_path: Path) -> None:
    """The sentence says what to run, and holds no secret."""
    file = tmp_path / "token"
    file.write_text("hunter2")
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600") as caught:
        secret(Credential(file=file))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("credential", "says"),
    [
        (Credential(env="NO_SUCH_VARIABLE_HERE"), "gave no credential"),
        (Credential(command="false"), "status 1"),
        (Credential(command="/no/such/program"), "cannot be run"),
        (Credential(command="printf 'a\\nb'"), "no HTTP header may hold"),
    ],
)
def test_a_reference_that_gives_nothing_is_said(credential: Credential, says: str) -> None:
    """Empty, failing and unusable credentials each have their sentence."""
    with pytest.raises(ConfigError, match=says):
        secret(credential)


def test_exactly_one_reference() -> None:
    """Two ways at once leave it open which one counts."""
    with pytest.raises(ValueError, match="exactly one"):
        Credential(env="A", command="b")


def test_a_containers_own_secret_may_be_readable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubernetes writes a service account's token as 0644: inside its mount that is taken, elsewhere not."""
    token = tmp_path / "serviceaccount" / "token"
    token.parent.mkdir()
    token.write_text("s3cret")
    token.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        secret(Credential(file=token))
    monkeypatch.setattr("collectors.config._SECRET_MOUNTS", (tmp_path,))
    assert secret(Credential(file=token)) == "s3cret"
