"""What a Prometheus answers, decoded. Source: the HTTP API, "Instant queries" and "Targets"; read on 2.42."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from collectors.text import clean

MAX_WARNINGS = 8


class Refused(Exception):
    """A query without a usable answer. str() is what happened, without a full stop; `mend` is what to do.

    unreachable: nobody answered at that address, so asking other things is of no use now
    wait_s: the server asked not to be asked for so long
    status: of the HTTP answer, 0 where there was none
    too_large: there was more of it than is read
    """

    def __init__(
        self,
        said: str,
        mend: str,
        *,
        unreachable: bool = False,
        wait_s: float | None = None,
        status: int = 0,
        too_large: bool = False,
    ) -> None:
        self.mend, self.unreachable, self.wait_s, self.status = mend, unreachable, wait_s, status
        self.too_large = too_large
        super().__init__(clean(said, 300))


# gc=False: thousands of small objects that can hold no cycle need no garbage collector.
class NativeHistogram(msgspec.Struct, gc=False):
    """A native histogram, or its rate: buckets that have a population, as (rule, low, high, population).

    The rule says which bounds belong to it: 0 the upper, 1 the lower, 2 neither, 3 both.
    Source: the HTTP API, "Native histograms".
    """

    count: str = "0"
    sum: str = "0"
    buckets: list[tuple[int, str, str, str]] = []

    def populations(self) -> list[tuple[float, float, float]]:
        """(low, high, observations a second) of each bucket, in order of bounds; what is no number or
        negative is left out. The bucket around nought begins there if none is below it."""
        found = []
        for _, low, high, population in self.buckets:
            try:
                bounds, held = (float(low), float(high)), float(population)
            except ValueError:
                continue
            if bounds[0] <= bounds[1] and 0 <= held < math.inf:
                found.append((*bounds, held))
        found.sort()
        if found and -math.inf < found[0][0] < 0 < found[0][1]:
            found[0] = (0.0, *found[0][1:])
        return found


class Sample(msgspec.Struct, gc=False):
    """One element of a vector or matrix: `value`, or in its place a native histogram."""

    metric: dict[str, str]
    value: tuple[float, str] | None = None
    values: list[tuple[float, str]] = []
    histogram: tuple[float, NativeHistogram] | None = None

    @property
    def number(self) -> float:
        """The value; text such as "NaN" and "+Inf" included. Call it only where there is one.

        raises: Refused for text that is no number
        """
        assert self.value is not None
        try:
            return float(self.value[1])
        except ValueError:
            said = "answered with a value that is no number"
            raise Refused(said, "Check what stands between here and the server") from None


class _Data(msgspec.Struct, gc=False):
    # Read one by one afterwards: a decoder holds the interpreter until it is done with what it was given.
    result: list[msgspec.Raw] = []
    resultType: str = ""


class _Reply(msgspec.Struct, gc=False):
    status: str
    data: _Data | None = None
    warnings: list[str] = []
    infos: list[str] = []


class _Failure(msgspec.Struct):
    error: str = ""
    errorType: str = ""


class _Target(msgspec.Struct, gc=False):
    labels: dict[str, str] = {}
    scrapeInterval: str = ""


class _Targets(msgspec.Struct, gc=False):
    activeTargets: list[_Target] = []


class _TargetsReply(msgspec.Struct, gc=False):
    data: _Targets


_replies = msgspec.json.Decoder(_Reply)
_samples = msgspec.json.Decoder(Sample)
_targets = msgspec.json.Decoder(_TargetsReply)
_failures = msgspec.json.Decoder(_Failure)


@dataclass(frozen=True, slots=True)
class Vector:
    """The elements of an answer; with warnings they may not be all. Infos are about the query only."""

    samples: Sequence[Sample]
    warnings: tuple[str, ...] = ()
    infos: tuple[str, ...] = ()


def read_vector(body: bytes) -> Vector:
    """The answer to an instant query, a vector or a matrix.

    Its warnings and infos are whole: take secrets out of them, then cut.
    raises: Refused for anything else: half an answer, a page of HTML, a status that is no success
    """
    try:
        reply = _replies.decode(body)
        samples = [_samples.decode(one) for one in reply.data.result] if reply.data else []
    except msgspec.ValidationError as error:
        raise Refused(f"answered with JSON of another form ({error})", _NOT_PROMETHEUS) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(*_unreadable(body, error)) from error
    if reply.status != "success" or reply.data is None or reply.data.resultType not in {"vector", "matrix"}:
        # Its status is not quoted: what is no Prometheus may repeat there what it was sent.
        raise Refused("answered with no success, or no vector", _NOT_PROMETHEUS)
    return Vector(samples, _sentences(reply.warnings), _sentences(reply.infos))


def read_intervals(body: bytes) -> dict[str, float]:
    """Seconds between scrapes of each job, the longest where its targets differ, from /api/v1/targets.

    raises: Refused if it is not that
    """
    try:
        targets = _targets.decode(body).data.activeTargets
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(*_unreadable(body, error)) from error
    found: dict[str, float] = {}
    for target in targets:
        seconds = _seconds(target.scrapeInterval)
        if seconds > 0:
            job = target.labels.get("job", "")
            found[job] = max(seconds, found.get(job, 0.0))
    return found


def read_failure(body: bytes) -> str:
    """The server's own words for a refused query; "" where the body is not its JSON, as from a proxy."""
    try:
        failure = _failures.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return ": ".join(filter(None, (failure.errorType, failure.error)))


def _sentences(texts: Sequence[str]) -> tuple[str, ...]:
    """Cleaned, and far from short: whoever takes secrets out of them must find these whole."""
    return tuple(dict.fromkeys(clean(text[:_LONGEST_SAID], _LONGEST_SAID) for text in texts[:MAX_WARNINGS]))


_LONGEST_SAID = 5000


_NOT_PROMETHEUS = "Check that the URL is a Prometheus and not something in front of it"

_LONGEST_DURATION = 40
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0}


def _seconds(text: str) -> float:
    """Seconds of a Prometheus duration ("1m30s"); 0 for text that is none, or longer than a day."""
    if len(text) > _LONGEST_DURATION:
        return 0.0
    total, rest = 0.0, text
    while rest:
        number = rest[: len(rest) - len(rest.lstrip("0123456789"))]
        after = rest[len(number) :]
        unit = after[: len(after) - len(after.lstrip("mshdwy"))]
        if not number or unit not in _UNITS:
            return 0.0
        total += int(number) * _UNITS[unit]
        rest = after[len(unit) :]
    return total if total <= _UNITS["d"] else 0.0


def _unreadable(body: bytes, error: Exception) -> tuple[str, str]:
    if isinstance(error, RecursionError):
        return "answered with JSON that is nested too deep", _NOT_PROMETHEUS
    head = body[:200].lstrip()
    if head.startswith(b"<"):
        return "answered with a page of HTML", _NOT_PROMETHEUS
    if head.startswith(b"{"):
        return "sent half an answer", "Something cut the connection; the next poll asks again"
    return "answered with something that is not JSON", _NOT_PROMETHEUS
