"""The plane's data on SQLite: its tables, its file, and how data of an earlier version becomes this one's."""

import os
import sqlite3
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

_VERSIONS = (_FIRST, _SECOND)
"""What each version of the data adds to the one before. `_raise_to_newest` runs what is missing."""


class StoreError(Exception):
    """The store cannot be opened or written. str() says which file, why, and what to do."""


def in_memory() -> sqlite3.Connection:
    """New and empty data, gone when it is closed."""
    database = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
    _raise_to_newest(database)
    return database


def in_file(path: Path) -> sqlite3.Connection:
    """The data in `path`, created with mode 0600, of this version from now on.

    raises: StoreError if the file cannot be used or another plane is using it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
        path.chmod(0o600)
    except OSError as error:
        raise StoreError(f"{path}: cannot be opened: {error.strerror}; give another file") from error
    database = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=1.0)
    try:
        # One process owns the file: a second one's snapshot would not see our commits.
        database.execute("PRAGMA locking_mode=EXCLUSIVE")
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("BEGIN IMMEDIATE")
        if database.execute("PRAGMA user_version").fetchone()[0] > len(_VERSIONS):
            raise StoreError(f"{path}: written by a newer tidegate; use that one, or another file")
        _raise_to_newest(database)
        database.execute("COMMIT")
    except (sqlite3.Error, ValueError) as error:
        database.close()
        why = "another plane is using it" if "locked" in str(error) else f"no data of a plane: {error}"
        raise StoreError(f"{path}: {why}; give another file") from error
    except StoreError:
        database.close()
        raise
    return database


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
