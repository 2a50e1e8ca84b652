"""Credentials by reference, made into the secrets themselves: read when needed, never kept in settings."""

import os
import select
import shlex
import signal
import stat
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from collectors.config import ConfigError, Credential

COMMAND_S = 5.0
"""Longest time a credential command may take: whoever asks waits for it."""

MOST_PRINTED = 65_536
"""Most bytes that are read of a credential."""


def secret(credential: Credential) -> str:
    """The secret itself, read when needed and never kept in settings.

    raises: ConfigError, which names the reference and never the secret.
    """
    if credential.env is not None:
        found = os.environ.get(credential.env, "")
        whence = f"environment variable {credential.env}"
    elif credential.file is not None:
        found, whence = private_text(credential.file.expanduser()), f"file {credential.file}"
    else:
        found, whence = _secret_by_command(credential.command or ""), "the credential command"
    found = found.strip()
    if not found:
        raise ConfigError(f"{whence} gave no credential")
    if not found.isascii() or not found.isprintable():
        raise ConfigError(f"{whence} gave a credential with characters no HTTP header may hold")
    return found


def private_text(path: Path) -> str:
    """What is in a file that nobody else can read, or in a secret that a container was given.

    raises: ConfigError, which names the file and never what is in it
    """
    try:
        # Mode and content of one open file: a path could be swapped between two looks. A pipe would block.
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(opened, encoding="utf-8") as file:
            mode = os.fstat(opened).st_mode
            if not stat.S_ISREG(mode):
                raise ConfigError(f"credential file {path} is no regular file: write the credential into one")
            if mode & (stat.S_IRWXG | stat.S_IRWXO) and not _is_mounted_secret(path):
                raise ConfigError(f"{path} can be read by others: run `chmod 600 {path}`")
            text = file.read(MOST_PRINTED + 1)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"credential file {path} cannot be read: {why}") from error
    if len(text) > MOST_PRINTED:
        raise ConfigError(f"credential file {path} is longer than {MOST_PRINTED} bytes: none needs to be")
    return text


def _is_mounted_secret(path: Path) -> bool:
    """True for a secret that a container was given: Kubernetes writes a service account's token as 0644, and
    who reads it cannot change that."""
    return any(path.resolve().is_relative_to(mount) for mount in _SECRET_MOUNTS)


_SECRET_MOUNTS = (Path("/var/run/secrets"), Path("/run/secrets"))


def _secret_by_command(command: str) -> str:
    try:
        # A session of its own: what the command started ends with it, and none of them reads the keyboard.
        running = subprocess.Popen(
            shlex.split(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, ValueError, IndexError):
        # Without its cause, which quotes the command: that may hold a secret.
        raise ConfigError("the credential command cannot be run") from None
    try:
        with running:
            printed = _printed(running)
    finally:
        # Also what it left behind: the group outlives its leader.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(running.pid, signal.SIGKILL)
    if running.returncode != 0:
        raise ConfigError(f"the credential command ended with status {running.returncode}")
    try:
        return printed.decode()
    except UnicodeDecodeError:
        raise ConfigError("the credential command printed no UTF-8 text") from None


def _printed(running: "subprocess.Popen[bytes]") -> bytes:
    """What a command printed, until it ended.

    raises: ConfigError for one that takes too long or says too much
    """
    assert running.stdout is not None
    deadline, printed = time.monotonic() + COMMAND_S, b""
    try:
        while (left_s := deadline - time.monotonic()) > 0 and len(printed) <= MOST_PRINTED:
            if not select.select([running.stdout], [], [], left_s)[0]:
                break
            if not (piece := os.read(running.stdout.fileno(), MOST_PRINTED)):
                running.wait(max(deadline - time.monotonic(), 0.1))
                return printed
            printed += piece
    except subprocess.TimeoutExpired:
        pass
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(running.pid, signal.SIGKILL)
    if len(printed) > MOST_PRINTED:
        raise ConfigError(
            f"the credential command printed over {MOST_PRINTED} bytes: no credential is so long"
        )
    raise ConfigError(f"the credential command took over {COMMAND_S:g} s") from None
