"""What servers answer about alerts, decoded. Source: Prometheus' HTTP API, "Alerts" (read on 2.42), and
Alertmanager's OpenAPI description of its API v2 (read on 0.25)."""

import hashlib
import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import NamedTuple, TypeVar

import msgspec

from collectors.alerts.told import REPLICAS, Told, severity_of
from collectors.readings import believable
from collectors.text import clean

MAX_READ = 20_000
"""Most alerts or silences of one answer that are looked at."""

MAX_KEPT = 2_000
"""Most alerts of one answer that are kept: more are a flood that nobody reads one by one."""

MAX_LABELS = 64
SENTENCE = 256
"""Longest annotation that is kept, in characters."""

LINK = 1024
"""Longest address that is kept, in characters: one that is cut leads nowhere."""

_ANNOTATIONS = ("summary", "description", "message")
Found = TypeVar("Found")


class NotAlerts(Exception):
    """An answer that holds no alerts. str() is what it is, without a full stop."""


class Read(NamedTuple):
    """The alerts of one answer, the worst first.

    cut: there were more than are kept; unreadable: of another form, left out
    """

    told: tuple[Told, ...]
    cut: int = 0
    unreadable: int = 0


class Silence(NamedTuple):
    """Until when, and who made it and why, in one cleaned line."""

    until: float
    by: str


class Reader(NamedTuple):
    """What stands behind every alert of one source.

    cluster: that the server watches; cluster_label: else the label that tells; replicas: labels to leave out
    since: what was said before of when an alert began, by id, for those that say no usable time
    """

    source: str
    cluster: str = ""
    cluster_label: str = ""
    replicas: frozenset[str] = REPLICAS
    since: Mapping[str, float] = MappingProxyType({})

    def told(
        self, labels: Mapping[str, str], annotations: Mapping[str, str], began: object, at: float
    ) -> Told:
        """An alert, cleaned. began: as `_moment` takes it

        at: now, for one that says no usable time and was not there before
        """
        id = _fingerprint(labels, self.replicas)
        since = _moment(began)
        kept = {name: clean(annotations.get(name, ""), SENTENCE).strip() for name in _ANNOTATIONS}
        kept["runbook_url"] = _without_credentials(annotations.get("runbook_url", ""))
        return Told(
            id=id,
            labels={clean(name): clean(value) for name, value in list(labels.items())[:MAX_LABELS]},
            annotations={name: text for name, text in kept.items() if text},
            since=since if believable(since, at) else self.since.get(id, at),
            source=self.source,
            cluster=self.cluster or clean(labels.get(self.cluster_label, ""), 40),
        )


class Left(NamedTuple):
    """Elements of a list that were not taken: too many to look at, or of another form."""

    unseen: int
    unreadable: int


class _PrometheusAlert(msgspec.Struct, gc=False):
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    state: str = ""
    activeAt: object = None


class _PrometheusAlerts(msgspec.Struct):
    alerts: list[msgspec.Raw] = []


class _PrometheusReply(msgspec.Struct):
    status: str
    data: _PrometheusAlerts | None = None


class _Status(msgspec.Struct, gc=False):
    state: str = ""
    silencedBy: list[str] = []
    inhibitedBy: list[str] = []


class _Alert(msgspec.Struct, gc=False):
    labels: dict[str, str]
    status: _Status
    annotations: dict[str, str] = {}
    startsAt: object = None
    fingerprint: str = ""
    generatorURL: str = ""


class _Silence(msgspec.Struct, gc=False):
    id: str
    status: _Status
    endsAt: object = None
    createdBy: str = ""
    comment: str = ""


_replies = msgspec.json.Decoder(_PrometheusReply)
_prometheus_alerts = msgspec.json.Decoder(_PrometheusAlert)
# Read one by one afterwards: a decoder holds the interpreter until it is done with what it was given.
_lists = msgspec.json.Decoder(list[msgspec.Raw])
_alerts = msgspec.json.Decoder(_Alert)
_silences = msgspec.json.Decoder(_Silence)


def read_prometheus(body: bytes, reader: Reader, at: float) -> Read:
    """The alerts of a Prometheus, pending ones too. raises: NotAlerts"""
    reply = _decoded(_replies.decode, body)
    if reply.status != "success" or reply.data is None:
        raise NotAlerts("answered with no success and no alerts")
    found, left = _each(reply.data.alerts, _prometheus_alerts.decode)
    told = []
    for one in found:
        if one.state in ("firing", "pending"):
            told.append(reader.told(one.labels, one.annotations, one.activeAt, at))
            if one.state == "pending":
                told[-1] = replace(told[-1], state="pending")
    return _read(told, left)


def read_alertmanager(body: bytes, silences: Mapping[str, Silence], reader: Reader, at: float) -> Read:
    """The alerts of an Alertmanager, those that are silenced or inhibited too.

    silences: the active ones by id; raises: NotAlerts
    """
    found, left = _each(_decoded(_lists.decode, body), _alerts.decode)
    inhibits = Counter(id for one in found for id in one.status.inhibitedBy)
    told = []
    for one in found:
        by = max((silences[id] for id in one.status.silencedBy if id in silences), default=None)
        told.append(
            replace(
                reader.told(one.labels, one.annotations, one.startsAt, at),
                kind="alertmanager",
                silenced_until=by.until if by else None,
                silenced_by=by.by if by else "",
                inhibited=bool(one.status.inhibitedBy),
                inhibits=inhibits[one.fingerprint],
                link=_without_credentials(one.generatorURL),
            )
        )
    return _read(told, left)


def read_silences(body: bytes) -> dict[str, Silence]:
    """The active silences by id. raises: NotAlerts"""
    found, _ = _each(_decoded(_lists.decode, body), _silences.decode)
    now = time.time()
    return {one.id: _silence(one, now) for one in found if one.status.state == "active"}


def _silence(one: _Silence, now: float) -> Silence:
    by = ": ".join(filter(None, (clean(one.createdBy, 40).strip(), clean(one.comment, SENTENCE).strip())))
    until = _moment(one.endsAt)
    # It is active, whatever end it names: one of no use is no later than now.
    return Silence(until if until > 0 else now, clean(by, SENTENCE))


def _moment(text: object) -> float:
    """Seconds since the epoch of a time as RFC 3339 writes it, in UTC where it names no zone; NaN for any
    other, and for one outside the years that a date can be drawn of."""
    try:
        moment = msgspec.convert(text, datetime)
        return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)).timestamp()
    except (msgspec.ValidationError, ValueError, OverflowError):
        return math.nan


def _without_credentials(url: str) -> str:
    """An address fit for the screen; its query is the rule's expression, and stays."""
    scheme, there, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return clean(f"{scheme}{there}{host.rpartition('@')[2]}{slash}{path}", LINK).strip()


def _read(told: Sequence[Told], left: Left) -> Read:
    """The worst first; what is kept of too many is the worst and oldest of them."""
    worst = sorted(
        told, key=lambda t: (t.state == "pending", t.inhibited, severity_of(t.labels), t.since, t.id)
    )
    return Read(tuple(worst[:MAX_KEPT]), len(worst[MAX_KEPT:]) + left.unseen, left.unreadable)


def _each(raws: Sequence[msgspec.Raw], decode: Callable[[msgspec.Raw], Found]) -> tuple[list[Found], Left]:
    """What can be read of a list; one element of another form costs only itself."""
    found = []
    for raw in raws[:MAX_READ]:
        try:
            found.append(decode(raw))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
    seen = min(len(raws), MAX_READ)
    return found, Left(len(raws) - seen, seen - len(found))


def _decoded(decode: Callable[[bytes], Found], body: bytes) -> Found:
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        raise NotAlerts(f"answered with JSON of another form ({clean(str(error), 100)})") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if body.lstrip()[:1] == b"<":
            raise NotAlerts("answered with a page of HTML") from None
        raise NotAlerts("answered with what is no JSON, or half of it") from None


def _fingerprint(labels: Mapping[str, str], less: Collection[str]) -> str:
    """Of the labels as they came: what two alerts differ in may be cut off by cleaning."""
    pairs = sorted((name, value) for name, value in labels.items() if name not in less)
    return hashlib.blake2b(repr(pairs).encode(errors="replace"), digest_size=8).hexdigest()
