"""What a Prometheus kept of before the watch began, and the names it has: by `prometheus_api_client`.

Everything here blocks, and imports slowly: call it in a thread (`daemon.in_daemon`), never on the event loop.
The library retries on its own, waits without limit, follows redirects, reads the credentials of other
programs from ~/.netrc, and drops what a server says beside its answer: none of that is left to it here.
"""

import contextlib
import math
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

import msgspec

from collectors.config import PrometheusServer
from collectors.endpoint import Access, AccessError
from collectors.endpoint.unpacked import Unpacked
from collectors.prometheus.client import MAX_QUERY_IN_URL
from collectors.prometheus.wire import MAX_WARNINGS, Refused, read_failure
from collectors.signals.catalogue import RATE_SCRAPES, Definition, Matcher, PastAnswer, Row
from collectors.signals.promql import ALTERNATIVE, render
from collectors.text import clean

if TYPE_CHECKING:
    import prometheus_api_client
    import requests

MAX_POINTS = 60_000
"""Most points of all ranges together: they are decoded while the screen wants to draw."""

MAX_BODY_BYTES = 8 * 1024 * 1024
MAX_URL_BYTES = 7_000
"""Longest query as it is sent: the library puts it into the URL, and proxies take 8 kB of that."""

LATELY_S = 600.0
QUANTILE = 0.99
FEWEST_STEPS = 8
"""Fewer points than this draw no past."""

_PLACES = frozenset(
    {"namespace", "exported_namespace", "workload", "exported_workload", "pod", "exported_pod", "instance"}
)
_NAME_MODELS = frozenset({"model_name", "target_model_name", "model"})
_MEND_TIME = "It is tried again with the next start"


def past(
    server: PrometheusServer,
    definitions: Sequence[Definition],
    *,
    selector: Sequence[Matcher] = (),
    replicas: Sequence[str] = (),
    present: frozenset[str] | None = None,
    guarded: bool = False,
    identity: Sequence[str] = (),
    window_s: float,
    at: float,
    span_s: float = 600.0,
    access: Access | None = None,
) -> tuple[PastAnswer, ...]:
    """The p99 of queue wait over the last `span_s` seconds before `at`, by the labels that name a model.

    definitions: those of queue wait that are histograms are asked, others are not; where an operator's own
        query measures it, nothing is, for the past must be of what is watched
    selector, present, replicas, window_s, guarded: as of `promql.render`
    identity: labels that identity rules read; of the others, those of places are left out
    at: by the server's clock
    access: the server's, with the credentials that were read already
    returns: values in seconds, oldest first; idle moments have no row, and moments without rows are left out
    raises: Refused for every failure, and for an answer that the server itself calls partial
    """
    wanted = [one for one in definitions if one.signal == "queue_wait"]
    if any(one.promql for one in wanted):
        return ()
    asked = {}
    for one in wanted:
        cut = _by_model(one, identity)
        if one.kind == "histogram" and (
            query := _quantile(cut, window_s, selector, present, replicas, guarded)
        ):
            asked[query] = cut
    if not asked:
        return ()
    with connected(server, access) as server_connected:
        began = time.monotonic()
        counts = {query: server_connected.count(query, at) for query in asked}
        evaluated_s = time.monotonic() - began
        total = sum(counts.values())
        if not total:
            return ()
        steps = _steps(span_s, window_s, total, evaluated_s, server.timeout_s)
        step_s = span_s / steps
        return tuple(
            PastAnswer(definition, server_connected.moments(definition, query, at - span_s, at, step_s))
            for query, definition in asked.items()
            if counts[query]
        )


def discover(server: PrometheusServer, access: Access | None = None) -> frozenset[str]:
    """Names of the metrics that the server has had in the last ten minutes, at least.

    A name that vanished may still be among them: a block of storage is looked at as a whole.
    raises: Refused
    """
    with connected(server, access) as server_connected:
        return server_connected.names(time.time() - LATELY_S)


def _by_model(definition: Definition, identity: Sequence[str]) -> Definition:
    """The definition with the labels of places left out, where others name the model."""
    if not _NAME_MODELS & set(definition.keep):
        return definition
    keep = tuple(label for label in definition.keep if label not in _PLACES or label in identity)
    return replace(definition, keep=keep)


def _quantile(
    definition: Definition,
    window_s: float,
    selector: Sequence[Matcher],
    present: frozenset[str] | None,
    replicas: Sequence[str],
    guarded: bool = False,
) -> str:
    expression = render(
        definition,
        window_s=window_s,
        selector=selector,
        present=present,
        replicas=replicas,
        guarded=guarded,
    )
    return f"histogram_quantile({QUANTILE}, {expression})" if expression else ""


def _steps(span_s: float, window_s: float, series: int, evaluated_s: float, timeout_s: float) -> int:
    """How many steps: none finer than scrapes, no more points than `MAX_POINTS`, no longer than half the time
    limit if each costs as much as the one that counted.

    raises: Refused where too few are left to draw
    """
    fits = min(MAX_POINTS // series, int(timeout_s / 2 / max(evaluated_s, 1e-3)))
    if fits < FEWEST_STEPS:
        said = f"has too much for a past: {series} series, which took {evaluated_s:.2g} s to count"
        raise Refused(said, "Recording rules make it cheaper: tidegate rules")
    return max(1, min(fits, int(span_s / (window_s / RATE_SCRAPES))))


def _moments(
    definition: Definition, elements: Sequence[Mapping[str, Any]]
) -> tuple[tuple[float, tuple[Row, ...]], ...]:
    by_time: dict[float, dict[tuple[str, ...], Row]] = {}
    for element in elements:
        metric = element["metric"]
        labels = {label: clean(str(metric[label])) for label in definition.keep if metric.get(label)}
        group = tuple(labels.get(label, "") for label in definition.keep)
        used = definition.metrics[int(metric.get(ALTERNATIVE, "0"))]
        for at, text in element["values"]:
            value = float(text) * used.factor
            # Idle is NaN: nobody waited, and so there is no wait to show.
            if not math.isfinite(value):
                continue
            rows = by_time.setdefault(float(at), {})
            # Two of one group: a native histogram of each of two equal Prometheus.
            if group not in rows or value > cast("float", rows[group].value):
                rows[group] = Row(labels, value, used.rung)
    return tuple((at, tuple(by_time[at].values())) for at in sorted(by_time))


class _Said(msgspec.Struct):
    warnings: list[str] = []


_said = msgspec.json.Decoder(_Said)
_UNREADABLE = "answered with something that is no answer of a Prometheus"
_NOT_PROMETHEUS = "Check that the URL is a Prometheus and not something in front of it"


class Connected:
    """One server through the library, each call bounded and each failure worded."""

    def __init__(
        self,
        connection: "prometheus_api_client.PrometheusConnect",
        access: Access,
        timeout_s: float,
        longest_query: float = MAX_URL_BYTES,
    ) -> None:
        self._connection, self._access, self._timeout_s = connection, access, timeout_s
        self._longest_query = longest_query

    def count(self, query: str, at: float) -> int:
        """How many elements the query has. raises: Refused"""
        counting = f"count({query})"
        with self._worded():
            found = self._connection.custom_query(counting, self._parameters(counting, time=at))
            return int(float(found[0]["value"][1])) if found else 0

    def moments(
        self, definition: Definition, query: str, start: float, end: float, step_s: float
    ) -> tuple[tuple[float, tuple[Row, ...]], ...]:
        """A range as rows by time. raises: Refused, also for times far from those that were asked for"""
        with self._worded():
            found = _moments(definition, self.range(query, start, end, step_s))
            # Some servers move the ends to whole steps.
            if not all(abs(at - (start + end) / 2) <= 2 * (end - start) for at, _ in found):
                raise ValueError("a time that was not asked for")
            return found

    def instant(self, query: str, at: float) -> list[Mapping[str, Any]]:
        """The elements of an answer for one moment. raises: Refused"""
        with self._worded():
            found = self._connection.custom_query(query, self._parameters(query, time=at))
            return [dict(one) for one in found]

    def range(self, query: str, start: float, end: float, step_s: float) -> list[Mapping[str, Any]]:
        """The elements of a range; native histograms stand under "histograms". raises: Refused"""
        # The library rounds times to seconds; what stands in `params` wins.
        exact = self._parameters(query, start=start, end=end)
        rounded = (datetime.fromtimestamp(moment, UTC) for moment in (start, end))
        with self._worded():
            found = self._connection.custom_query_range(query, *rounded, f"{step_s:.3f}", exact)
            return [
                {**one, "metric": dict(one["metric"]), "values": list(one.get("values", ()))} for one in found
            ]

    def names(self, since: float) -> frozenset[str]:
        """Names of metrics. raises: Refused"""
        with self._worded():
            found = self._connection.get_label_values("__name__", {"start": f"{since:.3f}"})
            return frozenset(clean(name) for name in found)

    def _parameters(self, query: str, **times: float) -> dict[str, str]:
        if len(quote(query)) > self._longest_query:
            said = f"was not asked: the query would make a URL of over {MAX_URL_BYTES} bytes"
            raise Refused(said, "Keep fewer labels, or filter less")
        moments = {name: f"{at:.3f}" for name, at in times.items()}
        return {**moments, "timeout": f"{max(1, round(self._timeout_s * 800))}ms"}

    @contextlib.contextmanager
    def _worded(self) -> Iterator[None]:
        """Every failure of the library, and of what it stands on, as one of ours.

        Without its chain, which holds headers and so the token.
        """
        import requests
        from prometheus_api_client.exceptions import PrometheusApiClientException

        place = self._access.place
        try:
            yield
        except AccessError as error:
            raise _refused(error) from None
        except requests.exceptions.SSLError as error:
            mend = "Set ca_file to the CA that signed its certificate"
            said = f"cannot be trusted at {place}: {_words(_root(error))}"
            raise Refused(said, mend, unreachable=True) from None
        except requests.exceptions.ConnectTimeout:
            raise Refused(f"does not answer at {place}", _reach(place), unreachable=True) from None
        except requests.exceptions.Timeout:
            raise Refused(f"did not answer within {self._timeout_s:g} s", _MEND_TIME) from None
        except (requests.exceptions.InvalidHeader, UnicodeEncodeError):
            mend = "Mend the headers of this context"
            raise Refused("was not asked: a header is not valid", mend) from None
        except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError):
            raise Refused("sent half an answer", _MEND_TIME) from None
        except requests.exceptions.ConnectionError as error:
            root = _root(error)
            if isinstance(root, TimeoutError):
                raise Refused(f"did not answer within {self._timeout_s:g} s", _MEND_TIME) from None
            said = f"cannot be reached at {place}: {_words(root)}"
            raise Refused(said, _reach(place), unreachable=True) from None
        except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
            # Among them the library's JSONDecodeError, which is a RequestException too.
            raise Refused(_UNREADABLE, _NOT_PROMETHEUS) from None
        except (requests.RequestException, PrometheusApiClientException, OSError) as error:
            raise Refused(f"could not be asked ({type(error).__name__})", _MEND_TIME) from None


@contextlib.contextmanager
def connected(
    server: PrometheusServer,
    access: Access | None,
    *,
    warned: Callable[[Sequence[str]], None] | None = None,
) -> Iterator[Connected]:
    """One server, until left. raises: Refused where its credentials cannot be had

    warned: takes what a server says beside a partial answer, which is then taken as it is. None: a partial
        answer is refused. Whoever takes them asks long queries too: these travel in the body then
    """
    import requests
    from prometheus_api_client import PrometheusConnect
    from urllib3.util.retry import Retry

    access = access or Access(server)
    try:
        headers = access.credentials()
    except AccessError as error:
        raise _refused(error) from None
    session = requests.Session() if warned is None else _asking_in_the_body()
    # Off, or it would send the credentials of ~/.netrc; proxies alone come from the environment.
    session.trust_env = False
    session.proxies.update(requests.utils.get_environ_proxies(server.url))
    session.verify = _authorities(server)
    if server.cert_file:
        files = server.cert_file, server.key_file or server.cert_file
        session.cert = str(files[0].expanduser()), str(files[1].expanduser())
    session.hooks["response"].append(lambda response, **_: _check(response, access, server.timeout_s, warned))
    connection = PrometheusConnect(
        server.url, headers=headers, retry=Retry(0, read=False), session=session, timeout=server.timeout_s
    )
    try:
        yield Connected(connection, access, server.timeout_s, MAX_URL_BYTES if warned is None else math.inf)
    finally:
        session.close()


def _authorities(server: PrometheusServer) -> str | bool:
    """Whom to believe: the private CA, else those of the system, as everywhere else."""
    if server.ca_file:
        return str(server.ca_file.expanduser())
    system = ssl.get_default_verify_paths()
    return system.cafile or system.capath or True


def _asking_in_the_body() -> "requests.Session":
    """A session that sends the parameters of a long query in the body: the library puts them into the URL."""
    import requests

    class InTheBody(requests.Session):
        def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
            form = cast("dict[str, str]", request.params)
            if len(form.get("query", "")) > MAX_QUERY_IN_URL:
                request.method, request.data, request.params = "POST", form, {}
            return super().prepare_request(request)

    return InTheBody()


def _check(
    response: "requests.Response",
    access: Access,
    timeout_s: float,
    warned: Callable[[Sequence[str]], None] | None = None,
) -> None:
    """What the library's session calls with every answer, before anybody reads it: reads it, bounded, and
    looks at what the library would drop.

    raises: Refused for a redirect, a status that is no success, a body without end, and a partial answer
    """
    # There is no public way to hand a body that was read to whoever calls `json()` later.
    body = response._content = _body(response, timeout_s)
    if response.status_code != 200:
        words = read_failure(body)
        told = access.refusal(response.status_code, response.headers, body, words)
        raise _refused(told, response.status_code)
    if (page := access.page(body)) is not None:
        raise _refused(page)
    try:
        warnings = _said.decode(body).warnings
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Refused(_UNREADABLE, _NOT_PROMETHEUS) from None
    if warned is not None:
        # Whoever takes partial answers takes many large ones: this decoder halves the library's time.
        response.__dict__["json"] = partial(msgspec.json.decode, body)
        warned([clean(access.without_secrets(one), 200) for one in warnings[:MAX_WARNINGS]])
    elif warnings:
        said = clean(access.without_secrets(warnings[0]), 150)
        raise Refused(f"sent a partial answer: {said}", "See its stores: what is not whole is not shown")


def _body(response: "requests.Response", timeout_s: float) -> bytes:
    deadline = time.monotonic() + timeout_s
    try:
        # Without that header the library hands on what came: it would unpack without any bound.
        found = Unpacked(response.raw.headers.pop("Content-Encoding", ""), at_most=MAX_BODY_BYTES)
        for chunk in response.iter_content(64 * 1024):
            for _ in found.take(chunk):
                if time.monotonic() > deadline:
                    raise Refused(f"did not send all within {timeout_s:g} s", _MEND_TIME)
        return found.whole()
    finally:
        response.close()


def _refused(error: AccessError, status: int = 0) -> Refused:
    return Refused(
        str(error), error.mend, unreachable=error.unreachable, status=status, too_large=error.too_large
    )


def _reach(place: str) -> str:
    return f"Check that it runs and can be reached from here: curl {place}/-/healthy"


def _root(error: BaseException) -> BaseException:
    """The innermost cause that the libraries left."""
    found: BaseException = error
    while True:
        inner = getattr(found, "reason", None) or (found.args[0] if found.args else None)
        inner = inner if isinstance(inner, BaseException) else found.__cause__ or found.__context__
        if not isinstance(inner, BaseException) or inner is found:
            return found
        found = inner


def _words(found: BaseException) -> str:
    """In the words of the system or of TLS: never what would have been sent."""
    said = getattr(found, "strerror", None) or getattr(found, "verify_message", None) or type(found).__name__
    return clean(str(said), 120)
