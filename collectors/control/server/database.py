"""The plane's data on SQLite: its tables, its file, and how data of an earlier version becomes this one's."""

import os
import sqlite3
import stat
from pathlib import Path

from collectors.control import chain, wire

_FIRST = """
CREATE TABLE meta (name TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE resource (path TEXT PRIMARY KEY, kind TEXT NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE event (seq INTEGER PRIMARY KEY, at REAL NOT NULL, kind TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE audit (seq INTEGER PRIMARY KEY, at REAL NOT NULL, actor TEXT NOT NULL, op TEXT NOT NULL,
  resource TEXT NOT NULL, result TEXT NOT NULL, decision_id TEXT, body BLOB NOT NULL);
CREATE INDEX audit_resource ON audit (resource, seq);
"""

_SECOND = """
CREATE TABLE ramp (path TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE answer (actor TEXT NOT NULL, key TEXT NOT NULL, at REAL NOT NULL, fingerprint TEXT NOT NULL,
  status INTEGER NOT NULL, etag TEXT NOT NULL, audit_id TEXT NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY (actor, key)) WITHOUT ROWID;
CREATE INDEX answer_at ON answer (at);
"""

_THIRD = """
CREATE INDEX audit_actor ON audit (actor, seq);
CREATE INDEX audit_op ON audit (op, seq);
CREATE INDEX audit_result ON audit (result, seq);
CREATE INDEX audit_decision ON audit (decision_id, seq) WHERE decision_id IS NOT NULL;
"""

_VERSIONS = (_FIRST, _SECOND, _THIRD)
"""What each version of the data adds to the one before. `_raise_to_newest` runs what is missing."""

_MAGIC = b"SQLite format 3\0"
"""What a file of SQLite begins with."""


class StoreError(Exception):
    """The store cannot be opened or written. str() says which file, why, and what to do."""


def in_memory() -> sqlite3.Connection:
    """New and empty data, gone when it is closed."""
    database = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
    _raise_to_newest(database)
    return database


def in_file(path: Path) -> sqlite3.Connection:
    """The data in `path`, created with mode 0600, of this version from now on.

    A file that is there and holds no data of a plane is left as it is.
    raises: StoreError if the file cannot be used or another plane is using it.
    """
    try:
        _prepare(path)
    except OSError as error:
        raise StoreError(f"{path}: cannot be opened: {error.strerror}; give another file") from error
    database = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=1.0)
    try:
        # One process owns the file: a second one's snapshot would not see our commits.
        database.execute("PRAGMA locking_mode=EXCLUSIVE")
        _check_ours(database, path)
        for one in (path, path.with_name(f"{path.name}-wal")):
            if one.exists():
                one.chmod(0o600)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("BEGIN IMMEDIATE")
        _raise_to_newest(database)
        database.execute("COMMIT")
    except OSError as error:
        database.close()
        raise StoreError(f"{path}: cannot be opened: {error.strerror}; give another file") from error
    except (sqlite3.Error, ValueError, TypeError) as error:
        database.close()
        why = "another plane is using it" if "locked" in str(error) else f"no data of a plane: {error}"
        raise StoreError(f"{path}: {why}; give another file") from error
    except StoreError:
        database.close()
        raise
    return database


def _prepare(path: Path) -> None:
    """Create the file, unless it is there and may hold data of a plane. raises: StoreError, OSError"""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
        return
    except FileExistsError:
        # Looked at before it is opened: opening alone does something to a device.
        mode = path.lstat().st_mode
    if not stat.S_ISREG(mode):
        raise StoreError(f"{path}: cannot be opened: it is {_kind(mode)}; give another file")
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW)) as file:
        head = file.read(len(_MAGIC))
    if head not in {b"", _MAGIC}:
        raise StoreError(f"{path}: no data of a plane: it is no SQLite file; give another file")


def _check_ours(database: sqlite3.Connection, path: Path) -> None:
    """raises: StoreError for data of another program, or of a newer version"""
    tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables and not stat.S_IMODE(path.stat().st_mode) & 0o077:
        # Empty and private: a plane that was ended while it created it.
        return
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version < 1 or not tables >= {"meta", "resource", "event", "audit"}:
        said = "it has tables of another program" if tables else "it is empty, and others may read it"
        raise StoreError(f"{path}: no data of a plane: {said}; give another file")
    if version > len(_VERSIONS):
        raise StoreError(f"{path}: written by a newer tidegate; use that one, or another file")


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFDIR: "a directory",
        stat.S_IFLNK: "a link",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
    }
    return kinds.get(stat.S_IFMT(mode), "a device")


def _raise_to_newest(database: sqlite3.Connection) -> None:
    version = database.execute("PRAGMA user_version").fetchone()[0]
    for script in _VERSIONS[version:]:
        for statement in script.split(";"):
            database.execute(statement)
    if version == 1:
        _chain_the_log(database)
    database.execute(f"PRAGMA user_version={len(_VERSIONS)}")


def _chain_the_log(database: sqlite3.Connection) -> None:
    """Hash the entries of a log that was written before there was a chain."""
    previous = ""
    for seq, body in database.execute("SELECT seq, body FROM audit ORDER BY seq").fetchall():
        entry = chain.sealed(wire.read(body, wire.Audit), previous)
        previous, hashed = entry.sha256, wire.render(entry)
        event = b'{"seq":%d,"object":%b}' % (seq, hashed)
        database.execute("UPDATE audit SET body = ? WHERE seq = ?", (hashed, seq))
        database.execute("UPDATE event SET body = ? WHERE seq = ?", (event, seq))
