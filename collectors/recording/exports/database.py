"""A SQLite file: tables readings, events, actions, marks, and facts about the recording. For any SQL."""

import sqlite3
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path

from collectors.recording.exports.readings import Row, numbers, unit_of, utc
from collectors.recording.exports.told import FIELDS, Told

AT_ONCE = 5_000
"""Rows that are kept in memory before they are written."""

_READINGS = """CREATE TABLE readings (
    time TEXT NOT NULL, epoch REAL NOT NULL,
    model TEXT NOT NULL, tier TEXT NOT NULL, feature TEXT NOT NULL, signal TEXT NOT NULL, unit TEXT NOT NULL,
    value REAL, lo REAL, hi REAL, quality TEXT NOT NULL, reason TEXT NOT NULL,
    measured TEXT, measured_epoch REAL, answered INTEGER, known INTEGER)"""
_TIMES = "time TEXT NOT NULL, epoch REAL NOT NULL, at TEXT NOT NULL, recorded_at TEXT"
_ADD_READING = f"INSERT INTO readings VALUES ({', '.join('?' * 16)})"  # noqa: S608 - question marks alone


def write_database(path: Path, facts: Mapping[str, str], items: Iterable[Row | Told]) -> int:
    """Fill the empty file at `path`. Returns the number of rows. raises: OSError if it cannot be written.

    time is UTC text, epoch the same in seconds, both of the record; at: when it happened, recorded_at: when
    that was recorded, NULL of a bookmark; a value that is not there is NULL, never 0; `hi` past the last
    bucket is Infinity.
    """
    database = sqlite3.connect(path, isolation_level=None)
    try:
        # It is taken into use whole or not at all: what guards a half-written one would only cost time.
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("PRAGMA synchronous = OFF")
        database.execute(_READINGS)
        for what, names in FIELDS.items():
            columns = ", ".join(f'"{name}" TEXT NOT NULL' for name in names)
            database.execute(f"CREATE TABLE {what}s ({_TIMES}, {columns})")
        database.execute("CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
        database.executemany("INSERT INTO facts VALUES (?, ?)", facts.items())
        return _filled(database, items)
    except sqlite3.Error as error:
        raise OSError(f"SQLite says: {error}") from error
    finally:
        database.close()


def _filled(database: sqlite3.Connection, items: Iterable[Row | Told]) -> int:
    count, rest = 0, iter(items)
    while some := list(islice(rest, AT_ONCE)):
        count += len(some)
        database.execute("BEGIN")
        database.executemany(_ADD_READING, (_reading(item) for item in some if isinstance(item, Row)))
        for item in some:
            if isinstance(item, Told):
                marks = ", ".join("?" * (4 + len(item.fields)))
                when = item.at if item.recorded_at is None else item.recorded_at
                row = (utc(when), when, utc(item.at), utc(item.recorded_at) or None, *item.fields)
                database.execute(f"INSERT INTO {item.what}s VALUES ({marks})", row)  # noqa: S608 - one of three
        database.execute("COMMIT")
    return count


def _reading(row: Row) -> tuple[object, ...]:
    one, series = numbers(row.reading), row.series
    return (
        utc(row.at), row.at, *series, unit_of(series.signal), one.value, one.lo, one.hi,
        one.quality, one.reason, utc(one.measured) or None, one.measured, one.answered, one.known,
    )  # fmt: skip
