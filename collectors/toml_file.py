"""TOML files checked against a pydantic model; every error names file, line, key and what is allowed."""

import difflib
import errno
import os
import re
import stat
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from collectors.text import clean

Checked = TypeVar("Checked", bound=BaseModel)

MOST_BYTES = 1_000_000
"""Longest file that is read: a configuration or preset has a few thousand."""

DEEPEST = 32
"""Most levels of a key: a long chain of them takes time and memory by its square."""

_LONGEST_PATH = 4096
_DEEP_KEY = re.compile(
    r"""(?<![A-Za-z0-9_-])(?:(?>[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')[ \t]*+\.[ \t]*+)"""
    rf"{{{DEEPEST}}}"
)
_DEEP_VALUE = re.compile(r"(?:[\[{][^\[\]{}]{0,80}+){100}")
_LONG_NUMBER = re.compile(r"(?<![0-9_])[0-9_]{4300}")
_TABLE = re.compile(r"^\s*(\[\[?)([^\]]+)\]\]?\s*(?:#.*)?$")
_KEY = re.compile(
    r"""^\s*((?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+))*)\s*="""
)
_PART = re.compile(r""""([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+)""")


class FileError(Exception):
    """A file that cannot be used. str() is one sentence a line: `file:line: key: what; what is allowed`."""


def read_toml(path: Path, model: type[Checked]) -> Checked:
    """The file, checked.

    raises: FileError if it cannot be read, is no TOML, or holds a wrong key or value.
    """
    file = clean(str(path), _LONGEST_PATH)
    try:
        text = text_of(path)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise FileError(f"{file}: cannot be read: {why}") from error
    return checked_toml(text, file, model)


def text_of(path: Path) -> str:
    """The text of a regular file; a pipe or device is never waited for.

    raises: OSError if it cannot be read, is none, or has over `MOST_BYTES`; UnicodeDecodeError
    """
    if "\0" in str(path):
        raise OSError(errno.EINVAL, "a name holds no NUL")
    with open(path, "rb", opener=_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise OSError(errno.EFBIG, f"it is longer than {MOST_BYTES // 1_000_000} MB")
    return content.decode("utf-8").replace("\r\n", "\n")


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def checked_toml(text: str, file: str, model: type[Checked]) -> Checked:
    """As `read_toml`, for text already read; `file` names it in errors."""
    if dotted := _DEEP_KEY.search(text):
        raise FileError(f"{_at(file, text, dotted)}: a key is over {DEEPEST} levels deep: no setting is")
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        said = _given_twice(text, file, str(error)) or f"{file}: not valid TOML: {error}"
        raise FileError(said) from error
    except RecursionError as error:
        said = (
            f"{_at(file, text, _DEEP_VALUE.search(text))}: lists or tables are nested too deep: no setting is"
        )
        raise FileError(said) from error
    except ValueError as error:
        said = f"{_at(file, text, _LONG_NUMBER.search(text))}: a number is too long: no setting needs it"
        raise FileError(said) from error
    try:
        return model.model_validate(found)
    except ValidationError as error:
        places = dict(_places(text))
        raise FileError("\n".join(_sentence(file, places, one, model) for one in error.errors())) from error


def _at(file: str, text: str, found: re.Match[str] | None) -> str:
    """`file:line` of what was found in the text; the file alone where nothing was."""
    return f"{file}:{text.count(chr(10), 0, found.start()) + 1}" if found else file


def place_in(path: Path, *key: str) -> str:
    """`file:line: key`, as in the errors of `read_toml`; without the line where it cannot be told."""
    try:
        line = dict(_places(text_of(path))).get(key)
    except (OSError, UnicodeDecodeError):
        line = None
    file = clean(str(path), _LONGEST_PATH)
    return f"{file}:{line}: {clean('.'.join(key))}" if line else f"{file}: {clean('.'.join(key))}"


def _given_twice(text: str, file: str, error: str) -> str:
    """The sentence for a key that is given twice, with both lines; "" for any other mistake."""
    found = re.search(r"Cannot (?:mutate|overwrite|declare).*\(at line (\d+)", error)
    if found is None:
        return ""
    written = [one for one in _written(text) if one[0] <= int(found[1])]
    if not written:
        return ""
    number, key, header = written[-1]
    before = [
        (line, earlier)
        for line, earlier, _ in written[:-1]
        if earlier == key
        or (earlier == key[: len(earlier)] and text.splitlines()[line - 1].lstrip()[0] != "[")
    ]
    if not before:
        return ""
    line, earlier = before[-1]
    name = clean(".".join(earlier))
    several = f"; for several of it write each as [[{name}]]" if header == "[[" else ""
    return f"{file}:{number}: {name}: is given twice, here and in line {line}: keep one{several}"


def _written(text: str) -> Iterator[tuple[int, tuple[str, ...], str]]:
    """(1-based line, path as it is written, brackets before it) of every table and key."""
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _TABLE.match(line):
            table = _parts(header[2])
            yield number, table, header[1]
        elif assigned := _KEY.match(line):
            yield number, (*table, *_parts(assigned[1])), ""


def _sentence(file: str, places: dict[tuple[str, ...], int], error: Any, model: type[BaseModel]) -> str:
    location = [part for part in error["loc"] if not str(part).startswith(("function-", "[key]"))]
    paths = (tuple(map(str, location[:end])) for end in range(len(location), 0, -1))
    line = next((places[path] for path in paths if path in places), None)
    where = f"{file}:{line}" if line else file
    key = clean(".".join(map(str, location)))
    if error["type"] == "extra_forbidden":
        allowed = sorted(_fields(model, location[:-1]))
        near = difflib.get_close_matches(str(location[-1]), allowed, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return f"{where}: {key}: no such key; {hint}allowed here: {', '.join(allowed) or 'nothing'}"
    said = clean(error["msg"].removeprefix("Value error, ").replace("valid tuple", "list, as in [...]"), 300)
    return f"{where}: {key}: {said}{_shown(error.get('input'), location)}"


def _shown(given: object, location: Sequence[str | int]) -> str:
    """The wrong value, unless it may hold a secret."""
    keys = set(map(str, location))
    secret = any(key in _MAY_BE_SECRET or key.endswith("_file") for key in keys) or (
        isinstance(given, str) and any(mark in given for mark in ("@", "?", "#", "://"))
    )
    # A whole number beyond this is no mistyped setting, and Python may refuse to write it.
    long = isinstance(given, int) and given.bit_length() > 64
    if secret or long or not isinstance(given, str | int | float | bool):
        return ""
    return f" (it is {clean(repr(given), 60)})"


_MAY_BE_SECRET = frozenset(
    {
        *("alertmanager", "plane", "prometheus", "scrape", "url"),
        *("basic", "command", "env", "file", "headers", "password", "token"),
    }
)
"""Keys under which no value is repeated: a secret may have been put in the wrong place there."""


def _fields(model: type[BaseModel], location: Sequence[str | int]) -> set[str]:
    """Names allowed at a place in the model, following lists and tables of models; excluded ones are ours."""
    here: type[BaseModel] | None = model
    inside = False
    for part in location:
        if here is None:
            return set()
        if inside:
            inside = False
            continue
        fields = {field.alias or name: field for name, field in here.model_fields.items()}
        entry = fields.get(str(part))
        inside = entry is not None and not isinstance(entry.annotation, type)
        here = _model_in(entry.annotation) if entry else None
        # An optional model is no container: the next part is one of its own fields.
        inside = inside and entry is not None and type(None) not in get_args(entry.annotation)
    if here is None:
        return set()
    return {field.alias or name for name, field in here.model_fields.items() if not field.exclude}


def _model_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for one in get_args(annotation) if (found := _model_in(one)) is not None), None)


def _places(text: str) -> Iterator[tuple[tuple[str, ...], int]]:
    """(path of every table and key, 1-based line). Elements of arrays of tables carry their index."""
    table: tuple[str, ...] = ()
    counts: dict[tuple[str, ...], int] = {}
    seen: set[tuple[str, ...]] = set()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _TABLE.match(line):
            table = _indexed(_parts(header[2]), counts, opens=header[1] == "[[")
            for depth in range(1, len(table) + 1):
                if table[:depth] not in seen:
                    seen.add(table[:depth])
                    yield table[:depth], number
        elif assigned := _KEY.match(line):
            yield (*table, *_parts(assigned[1])), number


def _indexed(path: tuple[str, ...], counts: dict[tuple[str, ...], int], *, opens: bool) -> tuple[str, ...]:
    full: tuple[str, ...] = ()
    for depth, part in enumerate(path, 1):
        full = (*full, part)
        if opens and depth == len(path):
            counts[full] = counts.get(full, -1) + 1
        if full in counts:
            full = (*full, str(counts[full]))
    return full


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(a or b or c for a, b, c in _PART.findall(dotted))
