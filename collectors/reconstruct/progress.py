"""How far a reconstruction is, in a file beside its own: what is needed to go on after a kill.

Data first: the sidecar is replaced, whole, once all that it tells of is on the disk.
"""

import os
from pathlib import Path

import msgspec

from collectors.fleet import Alert

SUFFIX = ".progress"

MOST_BYTES = 64 * 2**20
"""A sidecar that is larger is none: some thousand alerts are a few MB."""


class Progress(msgspec.Struct, frozen=True):
    """What a sidecar tells.

    asked: digest of what is asked for; typed: --from and --to as they were typed; start, end: what they meant
    step_ms, first, last: the grid, as it was found to be; done: stretches that are whole
    size: bytes of the file that belong to them
    alerts: of the last frame; troubles: sentences about what was refused
    """

    asked: str
    typed: list[str]
    start: float
    end: float
    step_ms: int
    first: int
    last: int
    done: int = 0
    size: int = 0
    alerts: list[Alert] = []
    troubles: list[str] = []
    version: int = 1


def sidecar(file: Path) -> Path:
    """Where it stands."""
    return file.with_name(file.name + SUFFIX)


def read(file: Path) -> Progress | None:
    """The progress of a file; None where there is none. raises: ValueError for what is no sidecar; OSError"""
    try:
        with sidecar(file).open("rb") as opened:
            data = opened.read(MOST_BYTES)
    except FileNotFoundError:
        return None
    try:
        found = msgspec.json.decode(data, type=Progress)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{sidecar(file)} is no progress of tidegate's") from error
    if found.version != 1 or found.size < 0 or found.step_ms < 1 or found.done < 0:
        raise ValueError(f"{sidecar(file)} is no progress of this version")
    return found


def write(file: Path, progress: Progress) -> None:
    """Replace the sidecar, whole. raises: OSError"""
    path = sidecar(file)
    draft = path.with_name(f".{path.name}.part")
    opened = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(opened, "wb") as out:
        out.write(msgspec.json.encode(progress))
        out.flush()
        os.fsync(out.fileno())
    draft.replace(path)
    sync_folder(path.parent)


def remove(file: Path) -> None:
    """The file is whole: nothing is to be gone on with. raises: OSError"""
    sidecar(file).unlink(missing_ok=True)
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """What the folder lists is on the disk."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
