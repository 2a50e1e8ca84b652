"""How one server is reached: TLS, proxy, and the credentials of the moment.

httpx is imported when a pool is opened: it takes longer to import than the screen takes to paint.
"""

import asyncio
import base64
import html
import ipaddress
import json
import math
import ssl
import threading
import time
import urllib.request
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from collectors.config import ConfigError, Credential, Endpoint
from collectors.credentials import secret
from collectors.daemon import in_daemon
from collectors.endpoint import words
from collectors.endpoint.unpacked import Unpacked
from collectors.endpoint.words import AccessError
from collectors.text import clean

if TYPE_CHECKING:
    import httpx

CONNECT_S = 5.0
"""Longest wait for a connection, or half the endpoint's time limit: by then nobody is there."""

LOOK_S = 1.0
"""A credential's file is looked at for a newer one no more often."""

RENEW_S = 10.0
"""A refused credential is read anew no more often: a server may refuse every request, and a command costs."""

SHORTEST_SECRET = 4
"""Shorter texts are not taken out of a server's words: they would be found in any."""

BEGINNING = 8
"""So many characters that a secret begins with give it away; fewer are found in any text."""

_KEPT_SECRETS = 32
_MOST_WORDS = 4096


class Access:
    """How one server is reached. Threads may share it.

    place: host, port and path prefix, fit for the screen
    prefixes: under which paths servers of its kind answer, told where this one finds nothing
    """

    def __init__(self, endpoint: Endpoint, *, prefixes: str = words.METRICS_PREFIXES) -> None:
        self._endpoint, self._prefixes = endpoint, prefixes
        self.place = words.place_of(endpoint)
        self._proxy = ""
        self._answered = False
        self._tls: ssl.SSLContext | None = None
        self._certificate_stamps: tuple[object, ...] = ()
        self._lock = threading.Lock()
        self._known: dict[str, str] | None = None
        self._known_stamps: tuple[object, ...] = ()
        self._looked = self._renewed = -math.inf
        self._trouble: ConfigError | None = None
        self._secrets: deque[str] = deque(maxlen=_KEPT_SECRETS)

    def __repr__(self) -> str:
        return f"Access({self.place!r})"

    def opened(self, *, connections: int) -> "httpx.AsyncClient":
        """A pool of connections. Blocking: it reads certificates, so call it in a thread.

        Paths are relative to the endpoint's prefix (`api/v1/query`); redirects are not followed; the proxy is
        the environment's. Send with `send`, which adds the credentials. raises: AccessError
        """
        import httpx

        endpoint = self._endpoint
        self._tls = self._context()
        proxy = proxy_for(endpoint.url)
        self._proxy = clean(proxy.rpartition("://")[2].rpartition("@")[2], 100) if proxy else ""
        try:
            return httpx.AsyncClient(
                base_url=f"{endpoint.url}/",
                verify=self._tls,
                proxy=proxy,
                trust_env=False,
                headers={"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "tidegate"},
                timeout=httpx.Timeout(endpoint.timeout_s, connect=min(endpoint.timeout_s / 2, CONNECT_S)),
                limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            )
        except (ValueError, ImportError, httpx.InvalidURL):
            # Without its cause, which quotes the proxy's URL: that may hold a password.
            mend = "Mend HTTP_PROXY, HTTPS_PROXY and ALL_PROXY of the environment"
            raise AccessError("was not asked: the proxy cannot be used", mend, unreachable=True) from None

    async def send(self, http: "httpx.AsyncClient", request: "httpx.Request") -> "httpx.Response":
        """Send with the credentials of the moment; the answer's body is yet to be read, with `body`.

        Where the server refuses them (401) they are read anew, and if they changed, the request is repeated
        once. raises: AccessError for no answer, and for credentials that cannot be read
        """
        import httpx

        is_fresh = self._known is not None and time.monotonic() - self._looked < LOOK_S
        given = dict(self._known or {}) if is_fresh else await in_daemon(self.credentials)
        request.headers.update(given)
        try:
            response = await http.send(request, stream=True)
            self._answered = True
            if response.status_code != 401:
                return response
            try:
                renewed = await in_daemon(self.renewed, given)
            except AccessError:
                await response.aclose()
                raise
            if renewed is None:
                return response
            await response.aclose()
            request.headers.update(renewed)
            return await http.send(request, stream=True)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            raise self.failed(error) from None  # the chain holds headers, and so the token

    async def body(self, response: "httpx.Response", *, at_most: int) -> bytes:
        """The whole body, unpacked; the answer is closed then.

        at_most: bytes, more are refused and never held. raises: AccessError
        """
        import httpx

        try:
            found = Unpacked(response.headers.get("Content-Encoding", ""), at_most=at_most)
            async for chunk in response.aiter_raw():
                for _ in found.take(chunk):
                    # Unpacking megabytes takes longer than a frame may.
                    await asyncio.sleep(0)
            return found.whole()
        except (httpx.HTTPError, OSError) as error:
            raise self.failed(error) from None
        finally:
            await response.aclose()

    def credentials(self) -> dict[str, str]:
        """Authorization and headers of the moment. Blocking: environment, files, commands.

        They are read once and kept; again when a credential's file has changed.
        raises: AccessError, which names the reference and never the secret
        """
        with self._lock:
            stamps = tuple(_stamp(one.file) for one in self._references() if one.file is not None)
            try:
                if self._known is None or stamps != self._known_stamps:
                    self._known = self._read()
            except ConfigError as error:
                # What was read before may go on working; if it does not, the server's 401 brings this up.
                if self._known is None:
                    raise AccessError(f"was not asked: {error}", _MEND_CREDENTIAL, unreachable=True) from None
            self._known_stamps, self._looked = stamps, time.monotonic()
            self._renew_certificate()
            return dict(self._known)

    def renewed(self, refused: Mapping[str, str]) -> dict[str, str] | None:
        """Credentials other than those that the server refused; None for none. Blocking, as `credentials`.

        raises: AccessError if they cannot be read
        """
        with self._lock:
            if self._known == refused and time.monotonic() - self._renewed >= RENEW_S:
                self._trouble = None
                try:
                    self._known = self._read()
                except ConfigError as error:
                    self._trouble = error
                self._renewed = time.monotonic()
            if self._known is not None and self._known != refused:
                return dict(self._known)
            if self._trouble is not None:
                said = f"refused with HTTP 401, and there is no other credential: {self._trouble}"
                raise AccessError(said, _MEND_CREDENTIAL, unreachable=True)
            return None

    def failed(self, error: Exception) -> AccessError:
        """Why there was no answer: what httpx, TLS or the system raised, in words."""
        return words.failed(error, self._endpoint, proxy=self._proxy, answered=self._answered)

    def refusal(
        self, status: int, headers: Mapping[str, str], body: bytes, said: str | None = None
    ) -> AccessError:
        """What an answer other than 200 means for whoever wants in.

        headers: as httpx gives them, by any case
        said: the server's own words, where it told them in the form of its API
        """
        theirs = self.without_secrets(said) if said else words.words_of(body, self.without_secrets)
        told = {name: self.without_secrets(headers.get(name, "")) for name in words.HEADERS}
        return words.refusal(status, told, clean(theirs, 200).rstrip("."), self._endpoint, self._prefixes)

    def page(self, body: bytes) -> AccessError | None:
        """What to say of an answer 200 that is a web page and not the API's; None where it is none."""
        if not (title := words.page(body, self.without_secrets)):
            return None
        mend = "A sign-in or a proxy stands before it, or the URL is of something else: correct the URL"
        return AccessError(f"answered with {title}", mend)

    def without_secrets(self, text: str) -> str:
        """A server's words without what was sent to it, in whatever spelling it repeats that, cleaned.

        Give it the words before any of them are cut off: of a long secret the beginning goes too, of one as
        short as a word only the whole. More than anybody would read is left out.
        """
        is_cut = len(text) > _MOST_WORDS
        spellings = [
            spelling
            for one in sorted(set(self._secrets), key=len, reverse=True)
            for spelling in (one, html.escape(one), quote(one), quote(one, safe=""), json.dumps(one)[1:-1])
        ]
        # Before it is cleaned, for a secret may hold what that drops, and after, for it may join one again.
        text = _without(text[:_MOST_WORDS], spellings)
        text = _without(clean(text, _MOST_WORDS), spellings)
        return text[:-BEGINNING] if is_cut else text

    def _references(self) -> Iterator[Credential]:
        endpoint = self._endpoint
        password = endpoint.basic.password if endpoint.basic else None
        for one in (endpoint.token, password, *endpoint.headers.values()):
            if isinstance(one, Credential):
                yield one

    def _read(self) -> dict[str, str]:
        """raises: ConfigError"""
        endpoint = self._endpoint
        found = {k: v if isinstance(v, str) else secret(v) for k, v in endpoint.headers.items()}
        sent = {part for text in found.values() for part in (text, *text.split())}
        if endpoint.token is not None:
            token = secret(endpoint.token)
            found["Authorization"] = f"Bearer {token}"
            sent |= {token, found["Authorization"]}
        elif endpoint.basic is not None:
            password = secret(endpoint.basic.password)
            pair = base64.b64encode(f"{endpoint.basic.username}:{password}".encode()).decode()
            found["Authorization"] = f"Basic {pair}"
            sent |= {password, *password.split(), pair, found["Authorization"]}
        for part in sorted(sent - set(self._secrets)):
            if len(part) >= SHORTEST_SECRET:
                self._secrets.append(part)
        return found

    def _context(self) -> ssl.SSLContext:
        """Trusts the CA of `ca_file`, else those that this machine knows; holds our certificate, if any."""
        ca_file = self._endpoint.ca_file
        try:
            tls = ssl.create_default_context(cafile=str(ca_file.expanduser()) if ca_file else None)
        except OSError as error:
            why = "no certificates in it" if isinstance(error, ssl.SSLError) else error.strerror
            raise AccessError(f"was not asked: {ca_file}: {why}", "Mend ca_file", unreachable=True) from None
        # As curl and Python before 3.13: a cluster's own CA seldom writes every extension of RFC 5280.
        tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
        known = ssl.get_default_verify_paths()
        if ca_file is None and known.cafile is None and known.capath is None:
            import certifi

            tls.load_verify_locations(certifi.where())
        self._certificate_stamps = self._stamps_of_certificate()
        self._load_certificate(tls)
        return tls

    def _load_certificate(self, tls: ssl.SSLContext) -> None:
        """raises: AccessError"""
        endpoint = self._endpoint
        if endpoint.cert_file is None:
            return
        certificate = endpoint.cert_file.expanduser()
        key = endpoint.key_file.expanduser() if endpoint.key_file else certificate
        mend = "Mend cert_file and key_file"

        def refuse() -> str:
            # Without this OpenSSL asks for it at the terminal, which is the screen's.
            said = f"was not asked: the key in {key} is encrypted, and nobody is here to give its password"
            plain = "Give as key_file one without a password: openssl pkey -in KEY -out PLAIN"
            raise AccessError(said, plain, unreachable=True)

        try:
            for file in dict.fromkeys((certificate, key)):
                file.open("rb").close()
            tls.load_cert_chain(certificate, key, password=refuse)
        except ssl.SSLError as error:
            is_pair = "MISMATCH" not in (error.reason or "")
            why = "no PEM of a certificate and its key" if is_pair else "they do not belong together"
            said = f"was not asked: {certificate} and {key}: {why}"
            raise AccessError(said, mend, unreachable=True) from None
        except OSError as error:
            said = f"was not asked: {error.filename}: {error.strerror}"
            raise AccessError(said, mend, unreachable=True) from None

    def _stamps_of_certificate(self) -> tuple[object, ...]:
        return tuple(_stamp(f) for f in (self._endpoint.cert_file, self._endpoint.key_file) if f is not None)

    def _renew_certificate(self) -> None:
        """Take a certificate that changed on disk: short-lived ones do while the screen is open."""
        stamps = self._stamps_of_certificate()
        if self._tls is None or stamps == self._certificate_stamps:
            return
        # Only half of the pair may be written yet: what was loaded stays until both fit.
        with suppress(AccessError):
            self._load_certificate(self._tls)
            self._certificate_stamps = stamps


def _without(text: str, spellings: Sequence[str]) -> str:
    for spelling in spellings:
        text = text.replace(spelling, "…")
    for spelling in spellings:
        text = _without_beginning(text, spelling)
    return text


def _without_beginning(text: str, secret: str) -> str:
    """The text without any beginning of the secret that is as long as `BEGINNING`, or longer."""
    # What has spaces begins with words, such as Bearer; its parts are secrets of their own.
    if len(secret) <= BEGINNING or " " in secret:
        return text
    kept, rest = [], text
    while (at := rest.find(secret[:BEGINNING])) >= 0:
        end = BEGINNING
        while end < len(secret) and rest[at + end : at + end + 1] == secret[end]:
            end += 1
        kept += [rest[:at], "…"]
        rest = rest[at + end :]
    return "".join([*kept, rest])


_MEND_CREDENTIAL = "Mend the credential of this context"


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for a server, as a URL; None for none, and for this machine."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return None
    proxies = urllib.request.getproxies()
    with suppress(ValueError):
        address = ipaddress.ip_address(host)
        # urllib knows names and single addresses; clusters are named by networks.
        networks = [one.strip() for one in proxies.get("no", "").split(",") if "/" in one]
        if address.is_loopback or any(_is_in(address, network) for network in networks):
            return None
    if urllib.request.proxy_bypass(f"{host}:{parts.port}" if parts.port else host):
        return None
    found = proxies.get(parts.scheme) or proxies.get("all")
    return found if not found or "://" in found else f"http://{found}"


def _is_in(address: "ipaddress.IPv4Address | ipaddress.IPv6Address", network: str) -> bool:
    try:
        return address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _stamp(file: Path) -> object:
    """What tells a newer file from an older one. Kubernetes swaps a link, so links are followed."""
    try:
        found = file.expanduser().stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
