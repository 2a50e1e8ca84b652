"""What the numbers of a frame mean, in order: blocks of rows (axes) and columns (signals).

A frame's vector holds the blocks one after another; in a block rows are row-major over the axes, and the
columns of a row stand side by side. A series is known by its labels and its column's id, never by its place.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from collectors.text import clean

ROWS_MOST, VALUES_MOST, NAMES_MOST = 1_000_000, 1_000_000, 1_000_000
"""Most rows of a block, values of a frame and names of a schema that a reader accepts."""

SEPARATOR = "\x1f"
"""Between the names of a label that is made of several: no text that was cleaned has one."""

_LABEL_MOST = 256


class SchemaError(ValueError):
    """A schema that cannot be used. str() says what is wrong with it."""


class Axis(NamedTuple):
    """One dimension of a block: its name, and the label of each place along it."""

    name: str
    labels: tuple[str, ...]


class Column(NamedTuple):
    """One signal of a block.

    unit: as in `fleet.SIGNALS`, or "index", "ticks" (10 ms), "count", "code"
    quantum: a stored number times this is the value in `unit`
    source: place in the schema's sources
    names: what the stored numbers mean where they are codes
    bounds: upper bounds of buckets in order, that stored indices point to; the last may be infinite
    """

    id: str
    unit: str = "count"
    quantum: float = 1.0
    source: int = 0
    names: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


@dataclass(frozen=True)
class Block:
    """Rows by columns of numbers of one kind. No axis at all means one row."""

    id: str
    axes: tuple[Axis, ...]
    columns: tuple[Column, ...]

    @cached_property
    def rows(self) -> int:
        """Number of rows."""
        return math.prod(len(axis.labels) for axis in self.axes)

    @property
    def size(self) -> int:
        """Numbers in the block."""
        return self.rows * len(self.columns)

    @cached_property
    def column_of(self) -> Mapping[str, int]:
        """Column id -> its place."""
        return {column.id: place for place, column in enumerate(self.columns)}


@dataclass(frozen=True)
class Schema:
    """Sources, blocks, and the number by which frames refer to it (unique in a segment, rising)."""

    id: int
    sources: tuple[str, ...]
    blocks: tuple[Block, ...]

    @cached_property
    def starts(self) -> Mapping[str, int]:
        """Block id -> place of its first number in the vector."""
        found, at = {}, 0
        for block in self.blocks:
            found[block.id] = at
            at += block.size
        return found

    @cached_property
    def block_of(self) -> Mapping[str, Block]:
        """Block id -> block."""
        return {block.id: block for block in self.blocks}

    @cached_property
    def size(self) -> int:
        """Numbers in a frame."""
        return sum(block.size for block in self.blocks)


def to_json(schema: Schema, header: Mapping[str, Any]) -> dict[str, Any]:
    """The payload of a SCHEMA record; `header`: the file header's facts, so that losing it is survivable."""
    return {
        "schema_id": schema.id,
        "header": dict(header),
        "sources": list(schema.sources),
        "blocks": [
            {
                "id": block.id,
                "axes": [{"name": axis.name, "labels": list(axis.labels)} for axis in block.axes],
                "signals": [_column_json(column) for column in block.columns],
            }
            for block in schema.blocks
        ],
    }


def _column_json(column: Column) -> dict[str, Any]:
    made: dict[str, Any] = {"id": column.id, "unit": column.unit, "quantum": column.quantum}
    if column.source:
        made["source"] = column.source
    if column.names:
        made["names"] = list(column.names)
    if column.bounds:
        made["bounds"] = [bound if math.isfinite(bound) else "+Inf" for bound in column.bounds]
    return made


def from_json(found: object) -> Schema:
    """The schema in a SCHEMA record. Members that are not known are ignored. raises: SchemaError"""
    try:
        schema = _schema(found)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise SchemaError(f"a schema that cannot be used: {type(error).__name__}: {error}") from error
    names = [block.id for block in schema.blocks]
    if len(set(names)) < len(names):
        raise SchemaError("a schema with two blocks of one name")
    if schema.size > VALUES_MOST or any(block.rows > ROWS_MOST for block in schema.blocks):
        raise SchemaError(f"a schema of {schema.size} numbers a frame")
    return schema


def _schema(found: Any) -> Schema:
    number = found["schema_id"]
    if not isinstance(number, int) or not 0 <= number < 2**32:
        raise ValueError("its number")
    return Schema(number, _names(found.get("sources", ())), tuple(map(_block, found["blocks"])))


def _block(found: Any) -> Block:
    axes = tuple(Axis(_name(axis["name"]), _names(axis["labels"])) for axis in found.get("axes", ()))
    return Block(_name(found["id"]), axes, tuple(map(_column, found["signals"])))


def _column(found: Any) -> Column:
    quantum, source = float(found.get("quantum", 1.0)), found.get("source", 0)
    if not (math.isfinite(quantum) and quantum > 0) or not isinstance(source, int) or source < 0:
        raise ValueError("a signal's quantum or source")
    bounds = tuple(math.inf if bound == "+Inf" else float(bound) for bound in found.get("bounds", ()))
    if any(math.isnan(bound) for bound in bounds):
        raise ValueError("a bucket's bound")
    names = _names(found.get("names", ()))
    return Column(_name(found["id"]), _name(found.get("unit", "count")), quantum, source, names, bounds)


def _name(found: object) -> str:
    if not isinstance(found, str):
        raise TypeError("a name that is no text")
    if len(found) <= _LABEL_MOST and found.isascii() and found.isprintable():
        return found
    return SEPARATOR.join(clean(part, _LABEL_MOST) for part in found.split(SEPARATOR, 8))


def _names(found: Sequence[object]) -> tuple[str, ...]:
    if not isinstance(found, list | tuple) or len(found) > NAMES_MOST:
        raise ValueError("a list of names")
    return tuple(map(_name, found))
