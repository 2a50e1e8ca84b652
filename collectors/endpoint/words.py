"""Why a server cannot be got to, and what to do about it. Pure: from an error or an answer to two sentences.

Codes of certificates are OpenSSL's X509_V_ERR_*, reasons those of its errors and of TLS alerts.
"""

import html
import json
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import urlsplit

from collectors.config import Endpoint, shown_url
from collectors.text import clean


class AccessError(Exception):
    """A server that cannot be got to. str() is what happened, without a full stop; `mend` is what to do.

    unreachable: nothing that could be asked at that address would be answered now
    too_large: it answers, with more than is read
    """

    def __init__(self, said: str, mend: str, *, unreachable: bool = False, too_large: bool = False) -> None:
        self.mend, self.unreachable, self.too_large = mend, unreachable, too_large
        super().__init__(clean(said, 300))


METRICS_PREFIXES = (
    "Mimir and Cortex answer under /prometheus, a VictoriaMetrics cluster under /select/0/prometheus"
)
ALERTMANAGER_PREFIXES = "Mimir and Cortex answer under /alertmanager"
"""Under which path stores of several tenants serve the API that is asked."""

_MEND_TIME = "Ask for fewer series, or give the server more time"
_MEND_PROXY = "Mend HTTP_PROXY or HTTPS_PROXY of the environment, or name the host in NO_PROXY"

HEADERS = ("Location", "WWW-Authenticate")
"""Headers of an answer that `refusal` reads."""

_LOOKED_AT, _TAIL = 8192, 16

_EXPIRED, _NOT_YET = 10, 9
_OTHER_NAME = frozenset({62, 64})
_UNKNOWN_CA = frozenset({2, 18, 19, 20, 21})

_EOF = "UNEXPECTED_EOF_WHILE_READING"
_NO_TLS = re.compile("WRONG_VERSION_NUMBER|HTTP_REQUEST|RECORD_LAYER|PACKET_LENGTH|UNKNOWN_PROTOCOL")
_OUR_CERTIFICATE = re.compile("CERTIFICATE|UNKNOWN_CA|HANDSHAKE_FAILURE|ACCESS_DENIED")
_SIGN_IN = re.compile("log-?in|sign-?in|auth|sso|saml", re.IGNORECASE)


def place_of(endpoint: Endpoint) -> str:
    """Host, port and path prefix, fit for the screen."""
    parts = urlsplit(endpoint.url)
    return clean(f"{parts.netloc}{parts.path.rstrip('/')}", 200)


def failed(error: Exception, endpoint: Endpoint, *, proxy: str, answered: bool) -> AccessError:
    """Why there was no answer, by the innermost cause that the libraries left.

    proxy: what is between here and the server, fit for the screen; "" for nothing
    answered: it has answered before
    """
    import httpx

    place, causes = place_of(endpoint), list(_causes(error))
    for one in causes:
        if isinstance(one, ssl.SSLError) and (
            isinstance(error, httpx.ConnectError) or _reason(one) not in {"", _EOF}
        ):
            said, mend = _tls(one, endpoint)
            return AccessError(f"{said}, at {place}", mend, unreachable=True)
    if isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout):
        return AccessError(f"does not answer at {place}", _reach(endpoint), unreachable=True)
    if isinstance(error, httpx.TimeoutException):
        return AccessError(f"did not answer within {endpoint.timeout_s:g} s", _MEND_TIME)
    if isinstance(error, httpx.ProxyError):
        said = f"cannot be reached at {place}: proxy {proxy} says {clean(str(error), 80)}"
        return AccessError(said, _MEND_PROXY, unreachable=True)
    if isinstance(error, httpx.ConnectError | UnicodeError):
        between = f"proxy {proxy}: " if proxy else ""
        said = f"cannot be reached at {place}: {between}{_connection(causes)}"
        return AccessError(said, _MEND_PROXY if proxy else _reach(endpoint), unreachable=True)
    if isinstance(error, httpx.LocalProtocolError | httpx.InvalidURL):
        return AccessError("was not asked: a header is not valid", "Mend the headers of this context")
    again = "The next poll asks again"
    if not answered:
        again += f"; if that never helps, it may {_other_protocol(endpoint)}"
    return AccessError(f"cut the connection, at {place}", again)


def refusal(
    status: int,
    headers: Mapping[str, str],
    words: str,
    endpoint: Endpoint,
    prefixes: str = METRICS_PREFIXES,
) -> AccessError:
    """What an answer other than 200 means for whoever wants in.

    words: the server's own, or those of what stands before it, without secrets
    prefixes: under which paths such servers answer, for one that finds nothing
    """
    said = f"refused with HTTP {status}" + (f", {words}" if words else "")
    if 300 <= status < 400:
        return _redirected(status, headers.get("Location", ""))
    if re.search("no org id|x-scope-orgid", words, re.IGNORECASE):
        mend = 'It holds several tenants: name yours, as headers = { X-Scope-OrgID = "TENANT" }'
        return AccessError(said, mend)
    if endpoint.url.startswith("http:") and re.search("https (server|port)", words, re.IGNORECASE):
        said = f"speaks HTTPS at {place_of(endpoint)}, and was asked in plain HTTP"
        return AccessError(said, "Write https:// in its url", unreachable=True)
    if status in {400, 495, 496} and re.search("(ssl|client) certificate", words, re.IGNORECASE):
        return AccessError(said, _certificate(endpoint), unreachable=True)
    if status == 401:
        return AccessError(said, _credential(endpoint, headers.get("WWW-Authenticate", "")), unreachable=True)
    return AccessError(said, _mend(status, words, endpoint, prefixes))


def page(body: bytes, without_secrets: Callable[[str], str] = str) -> str:
    """What a web page is called, where an answer 200 is one and not the API's; "" where it is none."""
    return words_of(body, without_secrets) if body[:200].lstrip().startswith(b"<") else ""


def words_of(body: bytes, without_secrets: Callable[[str], str] = str) -> str:
    """What a body that is not the API's says, in one line: a page's title, a message of JSON, or its text.

    without_secrets: takes out what the server repeats, before the words are cut
    """
    text = body[:_LOOKED_AT].decode("utf-8", "replace").strip()
    if text.startswith("<"):
        title = re.search("<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
        whole = " ".join(html.unescape(title[1]).split()) if title else ""
        named = clean(without_secrets(whole), 80)
        return f"a page of HTML titled {named!r}" if named else "a page of HTML"
    if text.startswith("{"):
        said = re.search(r'"(?:message|error|detail)"\s*:\s*("(?:[^"\\]|\\.)*")', text)
        try:
            text = str(json.loads(said[1])) if said else ""
        except ValueError:
            text = ""
    line = " ".join(text.split())
    if not line.isprintable():
        return ""
    line = without_secrets(line)
    # The last of what was looked at may be the beginning of a secret, too short to be known for one.
    return clean(line[:-_TAIL] if len(body) > _LOOKED_AT else line, 200)


def _tls(error: ssl.SSLError, endpoint: Endpoint) -> tuple[str, str]:
    """(what happened, what to do)"""
    if isinstance(error, ssl.SSLCertVerificationError):
        code = error.verify_code
        if code == _EXPIRED:
            return "shows a certificate that has expired", "Have it renewed; check this machine's clock too"
        if code == _NOT_YET:
            return "shows a certificate that is not valid yet", "Check this machine's clock, and the server's"
        if code in _OTHER_NAME:
            host = clean(urlsplit(endpoint.url).hostname or "", 100)
            said = f"shows a certificate that is made for another name than {host}"
            return said, "Write the name that stands in the certificate"
        if code in _UNKNOWN_CA and endpoint.ca_file is not None:
            said = f"shows a certificate that no CA in {endpoint.ca_file} has signed"
            return said, "Give as ca_file the CA that has signed it"
        why = "of a CA that is not known here" if code in _UNKNOWN_CA else clean(error.verify_message, 80)
        return f"shows a certificate that is not trusted ({why})", "Name the file of its CA as ca_file"
    reason = _reason(error)
    words = clean(reason.lower().replace("_", " "), 60) or "no reason given"
    if _NO_TLS.search(reason):
        return "does not speak HTTPS", "Write http:// in its url, or give the port that speaks HTTPS"
    if _OUR_CERTIFICATE.search(reason):
        ours = "wants a client certificate" if endpoint.cert_file is None else "refuses our certificate"
        return f"{ours} ({words})", _certificate(endpoint)
    return f"breaks off the TLS handshake ({words})", "Check that it speaks HTTPS there, and which TLS"


def _reason(error: ssl.SSLError) -> str:
    # Those raised by Python itself have none.
    return getattr(error, "reason", None) or ""


def _other_protocol(endpoint: Endpoint) -> str:
    if endpoint.url.startswith("http:"):
        return "speak HTTPS there: write https://"
    # TLS 1.3 refuses a certificate after the handshake: that word may be lost with the connection.
    if endpoint.cert_file is None:
        return "want a client certificate: give cert_file and key_file"
    return "refuse our client certificate: check cert_file"


def _certificate(endpoint: Endpoint) -> str:
    if endpoint.cert_file is None:
        return "Give it yours: cert_file and key_file"
    return "Check that cert_file is current, and of a CA that the server trusts"


def _credential(endpoint: Endpoint, wanted: str) -> str:
    if endpoint.token is not None:
        return "Check the token: it was read again, and is still refused"
    if endpoint.basic is not None:
        return "Check the user name and password: they were read again, and are still refused"
    if wanted.lower().startswith("basic"):
        return 'It wants a user name: give basic = { username = "NAME", password = { file = "PATH" } }'
    return 'It wants a credential: give token = { file = "PATH" }, { env = "NAME" } or { command = "RUN" }'


def _reach(endpoint: Endpoint) -> str:
    scheme = urlsplit(endpoint.url).scheme
    return f"Check that it runs and can be reached from here: curl {scheme}://{place_of(endpoint)}/"


def _mend(status: int, words: str, endpoint: Endpoint, prefixes: str) -> str:
    if status == 400 and re.search("namespace.{0,40}(parameter|must be provided)", words):
        return "This port answers for one namespace only: on OpenShift ask thanos-querier on port 9091"
    if status == 403 and "Forbidden (user=" in words:
        return "Let that user read metrics: on OpenShift bind the role cluster-monitoring-view to it"
    if status == 403:
        return "Check the token and headers, and what they are allowed to read"
    if status == 404:
        ending = re.search(r"/(api/v\d.*|graph|query)$", urlsplit(endpoint.url).path)
        if ending:
            return f"Leave {clean(ending[0], 40)} out of its url: what is asked is added to it"
        return f"Check the URL, with its path prefix: {prefixes}"
    if status == 407:
        return _MEND_PROXY
    if status in {502, 503}:
        return "What stands before it does not reach it: see whether it runs, and the log of the proxy"
    if status == 504:
        return "What stands before it did not wait: ask for fewer series, or give the proxy more time"
    return "See the log of the server, or of the proxy before it"


def _redirected(status: int, location: str) -> AccessError:
    try:
        # What follows the ? may be a secret.
        where = clean(shown_url(location).removeprefix("://"), 100) or "elsewhere"
    except ValueError:
        where = "elsewhere"
    said = f"sends us on to {where} (HTTP {status})"
    if _SIGN_IN.search(where):
        mend = "A sign-in stands before it: give a credential, or a URL that leads past the sign-in"
    else:
        mend = "It points elsewhere: give the URL it leads to"
    return AccessError(said, mend)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came from, those of a group included."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop(0)
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions


def _connection(causes: list[BaseException]) -> str:
    for one in causes:
        if isinstance(one, socket.gaierror):
            return "its name cannot be resolved"
        if isinstance(one, ConnectionRefusedError):
            return "nothing listens there (connection refused)"
        if isinstance(one, UnicodeError):
            return "its name is no host name"
    said = next((one.strerror for one in reversed(causes) if isinstance(one, OSError) and one.strerror), "")
    return clean(said, 80) or "it takes no connection"
