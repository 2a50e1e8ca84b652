"""The document a plane starts from, checked: tiers, features, releases and throttles.

Stricter than what clients read: an unknown or misspelt key is refused, with its place as a JSON pointer.
Source of the shapes and rules: control contract, sections 1, 3, 4 and 13.
"""

import difflib
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args

import msgspec
from msgspec import Meta, Struct

from collectors.control import wire
from collectors.text import clean

ID_PATTERN = r"^[a-z0-9][a-z0-9._@-]{0,62}\Z"
Id = Annotated[str, Meta(pattern=ID_PATTERN)]
Name = Annotated[str, Meta(min_length=1, max_length=128)]
Why = Annotated[str, Meta(min_length=3, max_length=500)]
Hold = Annotated[int, Meta(ge=0, le=31_536_000)]
TTL_MAX_S = 604_800
MOST_BYTES = 4 << 20
"""Longest file of a seed that is read."""

TOO_FINE = "at most 4 decimals"

_PATH = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")


class SeedError(ValueError):
    """A seed that cannot be used. str() is `place: what; what is allowed`."""


class SeedGate(Struct, frozen=True, forbid_unknown_fields=True):
    """What guards leaving a stage."""

    kind: Literal["manual", "auto"] = "manual"
    hold_s: Hold = 0


class SeedStage(Struct, frozen=True, forbid_unknown_fields=True):
    """One stage, as in the body of a register."""

    id: Id
    tier: Annotated[str, Meta(pattern=rf"^\*\Z|{ID_PATTERN}")]
    weight: wire.Share
    gate: SeedGate = SeedGate()


class SeedWeight(Struct, frozen=True, forbid_unknown_fields=True):
    """A tier that has the subject whatever the stage."""

    tier: Id
    weight: wire.Share


class SeedSubject(Struct, frozen=True, forbid_unknown_fields=True):
    """What a release opens."""

    kind: Literal["model", "feature"]
    name: Name


class SeedRelease(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a register, and where to start: `stage`, `phase`."""

    id: Id
    subject: SeedSubject
    candidate: Name
    stages: Annotated[tuple[SeedStage, ...], Meta(min_length=1, max_length=64)]
    title: Annotated[str, Meta(max_length=128)] = ""
    stable: Name | None = None
    base: tuple[SeedWeight, ...] = ()
    reason: Why = "from the seed"
    stage: Id | None = None
    phase: Literal["pending", "progressing", "paused", "completed", "aborted"] | None = None


class SeedThrottle(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A cell that does not start open."""

    feature: Id
    tier: Id
    level: wire.Share
    ttl_s: Annotated[int, Meta(ge=1, le=TTL_MAX_S)] | None = None
    reason: Why = "from the seed"


class SeedFeature(Struct, frozen=True, forbid_unknown_fields=True):
    """A product capability and the models that serve it."""

    id: Id
    title: Annotated[str, Meta(max_length=128)] = ""
    models: tuple[Name, ...] = ()


class Seed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole document. `tiers` from most to least privileged; `default_tier` is the last by default."""

    tiers: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=32)]
    default_tier: Id | None = None
    features: Annotated[tuple[SeedFeature, ...], Meta(max_length=256)] = ()
    releases: Annotated[tuple[SeedRelease, ...], Meta(max_length=1000)] = ()
    throttles: tuple[SeedThrottle, ...] = ()
    throttle_units: tuple[Literal["share"], ...] = ("share",)


def read_seed(file: Path) -> Seed:
    """The file's document, checked.

    raises: SeedError naming file, line (of a syntax error) or JSON pointer, and what is allowed.
    """
    try:
        body = _content(file)
    except OSError as error:
        raise SeedError(f"{file}: cannot be read: {error.strerror}") from error
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        place = re.search(r"\(byte (\d+)\)|position (\d+)", str(error))
        line = "" if place is None else f":{1 + body[: int(place[1] or place[2])].count(10)}"
        raise SeedError(f"{file}{line}: no valid JSON: {error}") from error
    try:
        return checked(document)
    except SeedError as error:
        raise SeedError(f"{file}: {error}") from error


def _content(path: Path) -> bytes:
    """raises: SeedError for what is no file, or too long; OSError"""
    # A pipe without a writer is not waited for.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise SeedError(f"{path}: cannot be read: it is no regular file; write the seed into one")
        body = file.read(MOST_BYTES + 1)
    if len(body) > MOST_BYTES:
        raise SeedError(f"{path}: it is longer than {MOST_BYTES >> 20} MiB: no seed needs to be")
    return body


def checked(document: object) -> Seed:
    """The document (parsed JSON), checked in shape and in sense.

    raises: SeedError with the JSON pointer of the first fault.
    """
    try:
        seed = msgspec.convert(document, Seed)
    except msgspec.ValidationError as error:
        at, _, said = shape_fault(str(error), Seed)
        raise SeedError(f"{at or '/'}: {said}") from error
    except RecursionError as error:
        raise SeedError("/: nested too deeply to be read") from error
    try:
        wire.render(seed)
    except UnicodeEncodeError as error:
        raise SeedError("/: half of a surrogate pair is in it, which is no character; remove it") from error
    if fault := next(_faults(seed), None):
        pointer, what = fault
        raise SeedError(f"{pointer}: {what}")
    return seed


def _faults(seed: Seed) -> Iterator[tuple[str, str]]:
    """(pointer, sentence) of whatever has the right shape and makes no sense."""
    yield from _repeated("/tiers", seed.tiers)
    if seed.default_tier is not None and seed.default_tier not in seed.tiers:
        yield "/default_tier", _unknown("tier", seed.default_tier, seed.tiers)
    yield from _repeated("/features", (one.id for one in seed.features))
    for number, feature in enumerate(seed.features):
        if feature.id.startswith("release.") or feature.id.endswith(".level"):
            yield (
                f"/features/{number}/id",
                "a feature's id neither begins with 'release.' nor ends in '.level'",
            )
    yield from _repeated("/releases", (one.id for one in seed.releases))
    yield from _repeated("/releases", (one.subject.name for one in seed.releases), "/subject/name")
    features = [one.id for one in seed.features]
    for number, release in enumerate(seed.releases):
        for pointer, what in (
            *release_faults(release.subject, release.stages, release.base, seed.tiers, features),
            *_start_faults(release),
        ):
            yield f"/releases/{number}{pointer}", what
    yield from _repeated("/throttles", (f"{one.feature}/{one.tier}" for one in seed.throttles))
    for number, cell in enumerate(seed.throttles):
        if cell.feature not in features:
            yield f"/throttles/{number}/feature", _unknown("feature", cell.feature, features)
        if cell.tier not in seed.tiers:
            yield f"/throttles/{number}/tier", _unknown("tier", cell.tier, seed.tiers)
        if is_fine(cell.level):
            yield f"/throttles/{number}/level", TOO_FINE


def is_fine(share: float) -> bool:
    """Whether a share has more decimals than are kept: one that is asked for is not rounded, least of all
    to nothing. What arithmetic with floats leaves behind them is no decimal."""
    kept = round(share, 4)
    return abs(share - kept) > 1e-12 or (share > 0 and kept == 0)


def release_faults(
    subject: SeedSubject,
    stages: Sequence[SeedStage],
    base: Sequence[SeedWeight],
    tiers: Sequence[str],
    features: Sequence[str],
) -> Iterator[tuple[str, str]]:
    """(JSON pointer, sentence) of what makes no sense in a release, of a seed or of a register."""
    if subject.name.endswith(".weight"):
        yield "/subject/name", "a subject's name must not end in '.weight'"
    if subject.kind == "feature" and subject.name not in features:
        yield "/subject/name", _unknown("feature", subject.name, features)
    yield from _repeated("/stages", (one.id for one in stages))
    for number, stage in enumerate(stages):
        if stage.tier != "*" and stage.tier not in tiers:
            yield f"/stages/{number}/tier", _unknown("tier", stage.tier, (*tiers, "*"))
        if is_fine(stage.weight):
            yield f"/stages/{number}/weight", TOO_FINE
    yield from _repeated("/base", (one.tier for one in base))
    for number, weight in enumerate(base):
        if weight.tier not in tiers:
            yield f"/base/{number}/tier", _unknown("tier", weight.tier, tiers)
        if is_fine(weight.weight):
            yield f"/base/{number}/weight", TOO_FINE


def _start_faults(release: SeedRelease) -> Iterator[tuple[str, str]]:
    stages = [one.id for one in release.stages]
    if release.stage is None:
        if release.phase not in {None, "pending", "aborted"}:
            yield "/phase", f"{release.phase} needs a stage; without one: pending, aborted"
    elif release.stage not in stages:
        yield "/stage", _unknown("stage", release.stage, stages)
    else:
        is_last = release.stage == stages[-1]
        allowed = {"completed"} if is_last else {"progressing", "paused"}
        if release.phase is not None and release.phase not in allowed:
            yield "/phase", f"{release.phase} at stage {release.stage}; allowed: {', '.join(sorted(allowed))}"


def _repeated(pointer: str, names: Iterable[str], member: str = "") -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for number, name in enumerate(names):
        if name in seen:
            yield f"{pointer}/{number}{member}", f"{name!r} is there twice"
        seen.add(name)


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"no {what} {clean(name)!r}; {hint}there are: {', '.join(names) or 'none'}"


class Fault(NamedTuple):
    """What is wrong with a document's shape.

    at: JSON pointer of where, "" for the whole; key: the member there that is unknown or missing, "" if it is
    the value itself; what: a sentence, with what is allowed
    """

    at: str
    key: str
    what: str


def shape_fault(said: str, shape: Any, patterns: Mapping[str, str] | None = None) -> Fault:
    """The library's message about a document that should be a `shape`, for people.

    patterns: in words, what the shape's patterns allow, where they are not of an id
    """
    what, _, path = said.partition(" - at `$")
    keys = [name or index for name, index in _PATH.findall(path.rstrip("`"))]
    at, key = "".join(f"/{one}" for one in keys), ""
    if "unknown field" in what:
        allowed = _allowed(shape, keys)
        key = what.partition("`")[2].rpartition("`")[0]
        near = difflib.get_close_matches(key, allowed, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return Fault(at, key, f"no such key {clean(key)!r}; {hint}allowed here: {', '.join(allowed)}")
    if "missing required" in what:
        key = what.partition("`")[2].rpartition("`")[0]
    if pattern := re.search("matching regex '(.*)'", what):
        what = (patterns or {}).get(
            pattern[1].replace(r"\\", "\\"),
            "an id is 1 to 63 of a-z 0-9 . _ @ - and begins with a letter or digit",
        )
    return Fault(at, key, f"{what[:1].lower()}{what[1:].replace('`', '')}")


def _allowed(shape: Any, keys: list[str]) -> list[str]:
    """Keys allowed at a place, following lists of structs; none where there is no such place."""
    for key in keys:
        if not key.isdigit():
            shape = next((one.type for one in _fields(shape) if one.encode_name == key), None)
        shape = _struct_in(shape) or shape
    return [one.encode_name for one in _fields(shape)]


def _fields(shape: Any) -> tuple[msgspec.structs.FieldInfo, ...]:
    is_struct = isinstance(shape, type) and issubclass(shape, Struct)
    return msgspec.structs.fields(shape) if is_struct else ()


def _struct_in(shape: Any) -> Any:
    if isinstance(shape, type) and issubclass(shape, Struct):
        return shape
    return next((found for one in get_args(shape) if (found := _struct_in(one)) is not None), None)
