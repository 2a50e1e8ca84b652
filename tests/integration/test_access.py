"""Getting to a server over real TLS, proxies and credentials: what is sent, and what failures say."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from collectors.config import PrometheusServer
from collectors.prometheus.asking import Asking
from collectors.prometheus.client import Client
from collectors.prometheus.schedule import Schedule
from collectors.prometheus.wire import Refused
from tests.integration.certificates import Authority, authority, encrypted
from tests.integration.scripted_prometheus import Reply, Request, Scripted, vector

pytestmark = pytest.mark.slow

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The developer's own proxies stay out of the tests."""
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def serve() -> Iterator[Callable[..., Scripted]]:
    """Starts servers; all of them end with the test."""
    running: list[Scripted] = []

    def start(tls: ssl.SSLContext | None = None) -> Scripted:
        running.append(Scripted(tls))
        return running[-1]

    yield start
    for one in running:
        one.close()


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def good(ca: Authority) -> ssl.SSLContext:
    return ca.serving("good")


Serve = Callable[..., Scripted]


async def ask(server: PrometheusServer) -> bytes:
    """One query by a client of its own. raises: Refused"""
    client = Client(server)
    try:
        await client.refresh()
        return await client.ask("api/v1/query", {"query": "up"})
    finally:
        await client.aclose()


async def refused(server: PrometheusServer) -> Refused:
    """What is said where a query cannot be answered."""
    with pytest.raises(Refused) as caught:
        await ask(server)
    assert not str(caught.value).endswith("."), "whoever shows it adds the stop"
    assert caught.value.mend
    assert not caught.value.mend.endswith(".")
    return caught.value


async def test_a_certificate_of_a_known_ca_is_trusted(
    serve: Serve, ca: Authority, good: ssl.SSLContext
) -> None:
    """With its ca_file HTTPS answers as HTTP does."""
    assert b"success" in await ask(serve(good).server(ca_file=ca.file))


async def test_a_certificate_of_an_unknown_ca_is_refused(serve: Serve, good: ssl.SSLContext) -> None:
    """Without ca_file: what to give."""
    said = await refused(serve(good).server())
    assert "of a CA that is not known here" in str(said)
    assert "ca_file" in said.mend
    assert said.unreachable


async def test_another_ca_is_named(serve: Serve, good: ssl.SSLContext, tmp_path: Path) -> None:
    """A ca_file that did not sign it: the file is named."""
    other = authority(tmp_path / "other").file
    said = await refused(serve(good).server(ca_file=other))
    assert f"no CA in {other} has signed" in str(said)


async def test_an_expired_certificate_is_called_so(serve: Serve, ca: Authority) -> None:
    """It is no question of ca_file then."""
    said = await refused(serve(ca.serving("old", days=-1)).server(ca_file=ca.file))
    assert "has expired" in str(said)
    assert "renewed" in said.mend


async def test_a_certificate_of_another_name_is_called_so(serve: Serve, ca: Authority) -> None:
    """The host that was asked is named."""
    said = await refused(serve(ca.serving("other", names="DNS:prometheus.corp")).server(ca_file=ca.file))
    assert "another name than 127.0.0.1" in str(said)
    assert "name that stands in the certificate" in said.mend


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_client_certificate_is_sent(
    serve: Serve, ca: Authority, version: ssl.TLSVersion, tmp_path: Path
) -> None:
    """Where the server wants one: without it that is said; with it the query is answered."""
    wanting = ca.serving("wanting")
    wanting.verify_mode = ssl.CERT_REQUIRED
    wanting.load_verify_locations(ca.file)
    wanting.maximum_version = version
    server = serve(wanting)
    certificate, key = ca.signed("ours")
    assert b"success" in await ask(server.server(ca_file=ca.file, cert_file=certificate, key_file=key))
    together = tmp_path / "both.pem"
    together.write_text(certificate.read_text() + key.read_text(), encoding="utf-8")
    assert b"success" in await ask(server.server(ca_file=ca.file, cert_file=together))
    said = await refused(server.server(ca_file=ca.file))
    assert "client certificate" in f"{said}. {said.mend}"
    assert "cert_file" in said.mend
    strange, its_key = authority(tmp_path / "other").signed("strange")
    said = await refused(server.server(ca_file=ca.file, cert_file=strange, key_file=its_key))
    assert "our certificate" in str(said) or "cut the connection" in str(said)


async def test_a_renewed_client_certificate_is_taken(serve: Serve, ca: Authority, tmp_path: Path) -> None:
    """Short-lived certificates change on disk while a client runs: new connections show the new one."""
    wanting = ca.serving("renewing")
    wanting.verify_mode = ssl.CERT_REQUIRED
    wanting.load_verify_locations(ca.file)
    server = serve(wanting)
    certificate, key = tmp_path / "c.pem", tmp_path / "c.key"
    for made, place in zip(authority(tmp_path / "other").signed("strange"), (certificate, key), strict=True):
        place.write_bytes(made.read_bytes())
    client = Client(server.server(ca_file=ca.file, cert_file=certificate, key_file=key))
    await client.refresh()
    with pytest.raises(Refused):
        await client.ask("api/v1/query", {"query": "up"})
    fresh = ca.signed("fresh")
    certificate.write_bytes(fresh[0].read_bytes())
    await client.refresh()
    key.write_bytes(fresh[1].read_bytes())
    await client.refresh()
    assert b"success" in await client.ask("api/v1/query", {"query": "up"})
    await client.aclose()


async def test_a_certificate_that_cannot_be_used_is_said(
    serve: Serve, ca: Authority, good: ssl.SSLContext, tmp_path: Path
) -> None:
    """Encrypted key, another's key, a missing file, no PEM: each its own sentence, and nothing is sent."""
    server = serve(good)
    certificate, key = ca.signed("mine")
    _, another = ca.signed("another")
    locked = encrypted(key, "swordfish")
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("no certificate", encoding="utf-8")
    for cert_file, key_file, what in (
        (certificate, locked, "is encrypted"),
        (certificate, another, "do not belong together"),
        (certificate, tmp_path / "absent.key", "absent.key: No such file"),
        (rubbish, key, "no PEM of a certificate"),
        (certificate, None, "no PEM of a certificate"),
    ):
        said = await refused(server.server(ca_file=ca.file, cert_file=cert_file, key_file=key_file))
        assert what in str(said)
        assert "was not asked" in str(said)
    assert server.requests == []


@pytest.mark.parametrize("text", [None, "no certificate"])
async def test_a_ca_file_that_cannot_be_used_is_said(serve: Serve, tmp_path: Path, text: str | None) -> None:
    """Absent, or without a certificate in it: named, with what to mend."""
    ca_file = tmp_path / "ca.pem"
    if text is not None:
        ca_file.write_text(text, encoding="utf-8")
    said = await refused(serve().server(ca_file=ca_file))
    assert str(ca_file) in str(said)
    assert "ca_file" in said.mend


async def test_https_asked_of_a_server_without_it(serve: Serve) -> None:
    """An https:// URL on a port that speaks HTTP."""
    url = serve().url.replace("http://", "https://")
    said = await refused(PrometheusServer(url=url))
    assert "does not speak HTTPS" in str(said)
    assert "http://" in said.mend


async def test_http_asked_of_a_server_with_https(serve: Serve, good: ssl.SSLContext) -> None:
    """A port that hangs up: the hint stands beside the usual words."""
    url = serve(good).url.replace("https://", "http://")
    said = await refused(PrometheusServer(url=url))
    assert "https://" in said.mend


@pytest.mark.parametrize(
    "body",
    [
        b"Client sent an HTTP request to an HTTPS server.\n",
        b"<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>",
    ],
)
async def test_http_asked_of_a_port_that_says_so(serve: Serve, body: bytes) -> None:
    """Go's servers, Prometheus among them, and nginx answer 400 in plain HTTP."""
    server = serve()
    server.replies["/"] = Reply(400, body)
    said = await refused(server.server())
    assert "speaks HTTPS at 127.0.0.1" in str(said)
    assert said.mend == "Write https:// in its url"


async def test_nothing_listens() -> None:
    """Refused at once: the place, and a command to try."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    said = await refused(PrometheusServer(url=f"http://127.0.0.1:{port}/prom"))
    assert (
        str(said) == f"cannot be reached at 127.0.0.1:{port}/prom: nothing listens there (connection refused)"
    )
    assert f"curl http://127.0.0.1:{port}/prom/" in said.mend
    assert said.unreachable


async def test_a_name_that_nobody_knows() -> None:
    """No such host: it is the name that is wrong, or the name server."""
    said = await refused(PrometheusServer(url="http://no-such-host.invalid:9090"))
    assert "its name cannot be resolved" in str(said)
    assert said.unreachable


async def test_a_name_that_is_none() -> None:
    """A name no resolver takes is a sentence too."""
    said = await refused(PrometheusServer(url=f"http://{'a' * 70}.corp:9090"))
    assert "cannot be reached" in str(said)
    assert said.unreachable


ANSWERS = {
    "bearer wanted": (
        Reply(401, b"Unauthorized\n", {"WWW-Authenticate": "Bearer"}),
        "refused with HTTP 401, Unauthorized",
        "token = {",
    ),
    "basic wanted": (Reply(401, b"", {"WWW-Authenticate": 'Basic realm="x"'}), "HTTP 401", "basic = {"),
    "no tenant, Mimir": (Reply(401, b"no org id\n"), "HTTP 401, no org id", "X-Scope-OrgID"),
    "forbidden by OpenShift": (
        Reply(403, b"Forbidden (user=system:serviceaccount:a:b, verb=get, resource=prometheuses)"),
        "user=system:serviceaccount:a:b",
        "cluster-monitoring-view",
    ),
    "OpenShift for one namespace": (
        Reply(400, b'{"status":"error","errorType":"prom-label-proxy",'
              b'"error":"The \\"namespace\\" query parameter must be provided."}'),
        "namespace",
        "9091",
    ),
    "forbidden": (Reply(403, b'{"message":"access denied"}'), "HTTP 403, access denied", "allowed to"),
    "no such path": (Reply(404, b"404 page not found\n"), "404 page not found", "/prometheus"),
    "sign-in, 302": (
        Reply(302, b"", {"Location": "https://sso.corp/login?state=hunter22"}),
        "sends us on to https://sso.corp/login (HTTP 302)",
        "sign-in",
    ),
    "moved": (Reply(301, b"", {"Location": "https://b.corp/"}), "on to https://b.corp/", "give the URL"),
    "sign-in, 200": (
        Reply(200, b"<!DOCTYPE html><html><head><title>Sign in &amp; go</title>"),
        "answered with a page of HTML titled 'Sign in & go'",
        "A sign-in or a proxy",
    ),
    "bad gateway": (
        Reply(502, b"<html><head><title>502 Bad Gateway</title></head>"),
        "HTTP 502, a page of HTML titled '502 Bad Gateway'",
        "does not reach it",
    ),
    "gateway time-out": (Reply(504, b"upstream timeout"), "HTTP 504, upstream timeout", "more time"),
    "unavailable": (Reply(503, b"no healthy upstream"), "HTTP 503, no healthy upstream", "does not reach it"),
    "certificate wanted by nginx": (
        Reply(400, b"<title>400 No required SSL certificate was sent</title>".rjust(80)),
        "No required SSL certificate",
        "cert_file",
    ),
    "limit of Mimir": (
        Reply(422, json.dumps({
            "status": "error", "errorType": "execution",
            "error": "the query exceeded the maximum number of chunks (limit: 2000000 chunks) "
            "(err-mimir-max-chunks-per-query). Consider reducing the time range",
        }).encode()),
        "HTTP 422, execution: the query exceeded",
        "err-mimir-max-chunks-per-query",
    ),
    "proxy wants a password": (Reply(407, b""), "HTTP 407", "HTTPS_PROXY"),
}  # fmt: skip


@pytest.mark.parametrize("case", ANSWERS)
async def test_an_answer_that_is_none_says_what_to_do(serve: Serve, case: str) -> None:
    """What the server, or what stands before it, said in short; and what whoever wants in can do about it."""
    reply, what, mend = ANSWERS[case]
    server = serve()
    server.replies["/"] = reply
    said = await refused(server.server())
    assert what in str(said)
    assert mend in said.mend
    assert "hunter22" not in f"{said}{said.mend}"


async def test_a_url_that_is_too_long_is_mended(serve: Serve) -> None:
    """Copied from a browser, with the API's path: what to leave out."""
    server = serve()
    server.replies["/"] = Reply(404, b"404 page not found")
    said = await refused(PrometheusServer(url=f"{server.url}/api/v1"))
    assert "Leave /api/v1 out of its url" in said.mend


async def test_a_path_prefix_is_kept(serve: Serve) -> None:
    """Mimir, Cortex and many proxies answer below a path."""
    server = serve()
    await ask(PrometheusServer(url=f"{server.url}/prometheus/"))
    assert {r.path for r in server.requests} == {"/prometheus/api/v1/query"}


async def test_headers_are_sent(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """As they are given, or by reference."""
    monkeypatch.setenv("GATE_KEY", "open-sesame")
    server = serve()
    await ask(server.server(headers={"X-Scope-OrgID": "team-a", "X-Key": {"env": "GATE_KEY"}}))
    assert server.requests[0].headers["X-Scope-OrgID"] == "team-a"
    assert server.requests[0].headers["X-Key"] == "open-sesame"


async def test_basic_authentication(serve: Serve, tmp_path: Path) -> None:
    """User name from the settings, password by reference; what is no ASCII would be refused before."""
    password = tmp_path / "password"
    password.write_text("p@ss\n", encoding="utf-8")
    password.chmod(0o600)
    server = serve()
    await ask(server.server(basic={"username": "me", "password": {"file": password}}))
    assert server.requests[0].headers["Authorization"] == "Basic bWU6cEBzcw=="


def gate(server: Scripted, good: set[str]) -> None:
    """Lets in only whoever shows one of the tokens."""

    def answer(request: Request) -> Reply:
        if request.headers.get("Authorization", "").removeprefix("Bearer ") in good:
            return Reply(body=vector())
        return Reply(401, b"token expired")

    server.replies["/"] = answer


async def test_a_token_is_read_once_while_it_works(serve: Serve, tmp_path: Path) -> None:
    """A command runs once for many queries; when the server refuses what it gave, once more, unseen."""
    runs = tmp_path / "runs"
    script = tmp_path / "token.sh"
    script.write_text(f'echo x >> {runs}; echo "token-$(wc -l < {runs} | tr -d " ")"', encoding="utf-8")
    server, good = serve(), {"token-1"}
    gate(server, good)
    client = Client(server.server(token={"command": f"sh {script}"}))
    for _ in range(3):
        await client.refresh()
        await client.ask("api/v1/query", {"query": "up"})
    assert runs.read_text() == "x\n"
    good.clear()
    good.add("token-2")
    await client.ask("api/v1/query", {"query": "up"})
    assert runs.read_text() == "x\nx\n"
    assert [r.headers["Authorization"] for r in server.requests][-2:] == ["Bearer token-1", "Bearer token-2"]
    await client.aclose()


async def test_a_refused_token_is_not_read_for_every_query(serve: Serve, tmp_path: Path) -> None:
    """A server that refuses everything costs one more run of the command, not one for every query."""
    runs = tmp_path / "runs"
    script = tmp_path / "token.sh"
    script.write_text(f"echo x >> {runs}; echo always-the-same", encoding="utf-8")
    server = serve()
    gate(server, set())
    client = Client(server.server(token={"command": f"sh {script}"}))
    await client.refresh()
    for _ in range(5):
        with pytest.raises(Refused, match="HTTP 401, token expired") as caught:
            await client.ask("api/v1/query", {"query": "up"})
        assert "read again, and is still refused" in caught.value.mend
    assert runs.read_text() == "x\nx\n"
    assert len(server.requests) == 5
    await client.aclose()


async def test_a_token_file_that_changed_is_read_again(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kubernetes rotates a token long before it ends: the new one is used without being refused first."""
    monkeypatch.setattr("collectors.endpoint.access.LOOK_S", 0.0)
    token = tmp_path / "token"
    token.write_text("first-token", encoding="utf-8")
    token.chmod(0o600)
    server = serve()
    client = Client(server.server(token={"file": token}))
    await client.refresh()
    await client.ask("api/v1/query", {"query": "up"})
    fresh = tmp_path / "fresh"
    fresh.write_text("second-token", encoding="utf-8")
    fresh.chmod(0o600)
    fresh.replace(token)
    await client.ask("api/v1/query", {"query": "up"})
    token.unlink()
    await client.ask("api/v1/query", {"query": "up"})
    sent = [r.headers["Authorization"] for r in server.requests]
    assert sent == ["Bearer first-token", "Bearer second-token", "Bearer second-token"]
    await client.aclose()


async def test_a_refused_token_that_cannot_be_read_again(serve: Serve, tmp_path: Path) -> None:
    """The server refused it, and the command now fails: both are said, with the command's fault."""
    token = tmp_path / "token"
    token.write_text("some-token", encoding="utf-8")
    server = serve()
    gate(server, set())
    client = Client(server.server(token={"command": f"cat {token}"}))
    await client.refresh()
    token.unlink()
    for _ in range(2):
        with pytest.raises(Refused) as caught:
            await client.ask("api/v1/query", {"query": "up"})
        assert "refused with HTTP 401" in str(caught.value)
        assert "credential command ended with status 1" in str(caught.value)
        assert "credential" in caught.value.mend
    await client.aclose()


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ({"env": "NOT_SET_ANYWHERE"}, "environment variable NOT_SET_ANYWHERE gave no credential"),
        ({"command": "false"}, "the credential command ended with status 1"),
        ({"command": "sleep 60"}, "the credential command took over 0.2 s"),
        ({"command": "printf 'hunter22…'"}, "characters no HTTP header may hold"),
    ],
)
async def test_a_credential_that_cannot_be_read_is_said(
    serve: Serve, token: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence that names the reference; nothing is sent without the credential."""
    monkeypatch.setattr("collectors.credentials.COMMAND_S", 0.2)
    server = serve()
    found = await refused(server.server(token=token))
    assert said in str(found)
    assert found.mend == "Mend the credential of this context"
    assert found.unreachable
    assert "hunter22" not in str(found)
    assert server.requests == []


class Proxy:
    """A forward proxy that notes what it was asked for: CONNECT it refuses, the rest it answers itself."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.place = f"127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        body = vector()
        while True:
            try:
                taken, _ = self._listening.accept()
            except OSError:
                return
            with taken:
                head = taken.recv(65_536)
                self.asked.append(head)
                if head.startswith(b"CONNECT"):
                    taken.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                    continue
                taken.sendall(
                    b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b"
                    % (len(body), body)
                )

    def close(self) -> None:
        self._listening.close()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    one = Proxy()
    yield one
    one.close()


async def test_the_proxy_of_the_environment_is_used(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP goes through HTTP_PROXY, with its user and password; those are in no message."""
    monkeypatch.setenv("HTTP_PROXY", f"http://me:hunter22@{proxy.place}")
    assert b"success" in await ask(PrometheusServer(url="http://prometheus.invalid/prom"))
    assert proxy.asked[0].startswith(b"GET http://prometheus.invalid/prom/api/v1/query?")
    assert b"Proxy-Authorization: Basic bWU6aHVudGVyMjI=" in proxy.asked[0]


async def test_a_proxy_that_refuses_is_said(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTPS goes through HTTPS_PROXY: which one, and what it said."""
    monkeypatch.setenv("HTTPS_PROXY", f"me:hunter22@{proxy.place}")
    said = await refused(PrometheusServer(url="https://prometheus.invalid"))
    assert proxy.asked[0].startswith(b"CONNECT prometheus.invalid:443")
    assert f"proxy {proxy.place} says 407 Proxy Authentication Required" in str(said)
    assert "NO_PROXY" in said.mend
    assert "hunter22" not in f"{said!r}{said}{said.mend}"


async def test_a_proxy_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the proxy that nobody listens at, not the server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("HTTP_PROXY", f"http://{place}")
    said = await refused(PrometheusServer(url="http://prometheus.invalid"))
    assert f"prometheus.invalid: proxy {place}: nothing listens there" in str(said)
    assert "HTTP_PROXY" in said.mend


@pytest.mark.parametrize("name", ["HTTP_PROXY", "ALL_PROXY"])
async def test_this_machine_is_never_asked_through_a_proxy(
    serve: Serve, proxy: Proxy, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A port-forward on loopback works whatever the environment names."""
    monkeypatch.setenv(name, f"http://{proxy.place}")
    server = serve()
    await ask(server.server())
    await ask(PrometheusServer(url=server.url.replace("127.0.0.1", "localhost")))
    assert proxy.asked == []
    assert len(server.requests) == 2


async def test_a_proxy_that_is_none_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a kind that cannot be used: what to mend, and not its password."""
    for given in ("gopher://me:hunter22@proxy:70", "socks5://me:hunter22@proxy:70"):
        monkeypatch.setenv("ALL_PROXY", given)
        said = await refused(PrometheusServer(url="http://prometheus.invalid"))
        assert "the proxy cannot be used" in str(said)
        assert "ALL_PROXY" in said.mend
        assert "hunter22" not in f"{said}{said.mend}"


async def test_what_was_sent_is_in_no_message(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server repeats token, header and password in every way it can; nobody else does."""
    monkeypatch.setenv("SOME_TOKEN", "hunter22<&>")
    monkeypatch.setenv("SOME_KEY", "swordfish")
    monkeypatch.setenv("SOME_PASSWORD", "open sesame")

    def echo(request: Request) -> Reply:
        told = " ".join(f"{k}={v}" for k, v in request.headers.items())
        if request.query == "page":
            return Reply(200, f"<title>{told.replace('&', '&amp;')}</title>".encode())
        form = {"status": "error", "errorType": told, "error": told}
        return Reply(
            int(request.query), json.dumps(form).encode() if request.query != "502" else told.encode()
        )

    server = serve()
    server.replies["/"] = echo
    token = {"token": {"env": "SOME_TOKEN"}}
    basic = {"basic": {"username": "me", "password": {"env": "SOME_PASSWORD"}}}
    for identity in (token, basic):
        settings = server.server(
            headers={"X-Key": {"env": "SOME_KEY"}, "X-Plain": "in-the-clear"}, **identity
        )
        client = Client(settings)
        await client.refresh()
        for query in ("400", "401", "403", "404", "422", "429", "500", "502", "503", "page"):
            with pytest.raises(Refused) as caught:
                await client.ask("api/v1/query", {"query": query})
            error = caught.value
            told = f"{error}{error!r}{error.mend}{client!r}{error.__cause__!r}"
            for secret in ("hunter22", "swordfish", "sesame", "in-the-clear", "bWU6b3Bl"):
                assert secret not in told, query
        await client.aclose()


async def test_a_long_token_is_in_no_warning(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server repeats it beside a good answer and in a refusal: not even its beginning is left."""
    token = "eyJ" + "".join(f"{n:04x}" for n in range(500))
    monkeypatch.setenv("SOME_TOKEN", token)
    said = [f"{'x' * before} Bearer {token} is not known" for before in (0, 100, 190, 199, 4090)]
    server = serve()
    server.replies["good"] = Reply(body=vector(warnings=said, infos=said))
    server.replies["bad"] = Reply(422, json.dumps({"status": "error", "error": said[1]}).encode())
    client = Client(server.server(token={"env": "SOME_TOKEN"}))
    await client.refresh()
    try:
        asking = Asking(client, Schedule(), time.monotonic() + 60)
        await asking.vector("good", None)
        with pytest.raises(Refused) as caught:
            await asking.vector("bad", None)
    finally:
        await client.aclose()
    assert len(asking.warnings) >= 3
    assert max(map(len, asking.warnings)) <= 200
    told = f"{' '.join(asking.warnings)} {caught.value}"
    assert not [part for at in range(len(token) - 7) if (part := token[at : at + 8]) in told]


async def test_a_server_that_takes_no_connection_is_left_soon() -> None:
    """A full queue of connections, as behind a firewall: left by its time limit, and no word of queries."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        said = await refused(PrometheusServer(url=f"http://127.0.0.1:{port}", timeout_s=0.6))
        for one in waiting:
            one.close()
    assert f"does not answer at 127.0.0.1:{port}" in str(said)
    assert said.unreachable
