"""Credentials come by reference, and never leave in an error."""

import shlex
from pathlib import Path

import psutil
import pytest

from collectors.config import ConfigError, Credential
from collectors.credentials import secret


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
    monkeypatch.setattr("collectors.credentials._SECRET_MOUNTS", (tmp_path,))
    assert secret(Credential(file=token)) == "s3cret"


def test_a_command_that_prints_without_end_is_stopped(tmp_path: Path) -> None:
    """Sixty-four kilobytes are no credential: it ends there, and so does what it started."""
    with pytest.raises(ConfigError, match="over 65536 bytes"):
        secret(Credential(command="yes secret"))


def test_what_a_command_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    """A child in the background would live as long as it likes, once for every time the token is read."""
    left = tmp_path / "left"
    script = f"sleep 60 >/dev/null 2>&1 & echo $! > {left}; echo token"
    assert secret(Credential(command=shlex.join(["sh", "-c", script]))) == "token"
    child = psutil.Process(int(left.read_text())) if psutil.pid_exists(int(left.read_text())) else None
    if child is not None:
        psutil.wait_procs([child], timeout=60)
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
