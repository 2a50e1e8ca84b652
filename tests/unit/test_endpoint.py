"""How a server is reached: the proxy that is chosen, credentials kept and renewed, words for failures."""

import base64
import gzip
import json
import random
import socket
import ssl
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.config import Endpoint
from collectors.endpoint import Access, AccessError
from collectors.endpoint.access import proxy_for
from collectors.endpoint.words import failed, page, refusal, words_of

NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The developer's own proxies stay out of the tests."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def endpoint(url: str = "https://prometheus.corp:9090/prom", **settings: object) -> Endpoint:
    return Endpoint.model_validate({"url": url, **settings})


@pytest.mark.parametrize(
    ("url", "no", "proxy"),
    [
        ("http://prometheus.corp", "", "http://web:1"),
        ("https://prometheus.corp", "", "http://tls:2"),
        ("https://prometheus.corp:9090", "prometheus.corp", None),
        ("https://a.b.corp", ".corp", None),
        ("https://a.b.corp", "corp", None),
        ("https://a.notcorp", "corp", "http://tls:2"),
        ("https://a.corp:9090", "a.corp:9090", None),
        ("https://a.corp:9091", "a.corp:9090", "http://tls:2"),
        ("https://a.corp", "*", None),
        ("http://10.1.2.3:9090", "192.168.0.0/16, 10.0.0.0/8", None),
        ("http://11.1.2.3:9090", "10.0.0.0/8,no/network", "http://web:1"),
        ("http://[fd00::5]:9090", "fd00::/8", None),
        ("http://10.1.2.3", "10.1.2.3", None),
        ("http://127.0.0.1:9090", "", None),
        ("http://127.8.8.8", "", None),
        ("http://localhost:9090", "", None),
        ("http://prometheus.localhost", "", None),
        ("http://[::1]:9090", "", None),
    ],
)
def test_the_proxy_is_the_environments(
    url: str, no: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By scheme; NO_PROXY names hosts, domains, ports, addresses and networks; this machine never has one."""
    monkeypatch.setenv("HTTP_PROXY", "http://web:1")
    monkeypatch.setenv("HTTPS_PROXY", "tls:2")
    monkeypatch.setenv("NO_PROXY", no)
    assert proxy_for(url) == proxy


def test_one_proxy_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """ALL_PROXY serves what no other names; none at all is none."""
    assert proxy_for("https://prometheus.corp") is None
    monkeypatch.setenv("ALL_PROXY", "http://all:3")
    assert proxy_for("https://prometheus.corp") == "http://all:3"


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://prometheus:9090/", "prometheus:9090"),
        ("https://[fd00::5]:9090/a/b", "[fd00::5]:9090/a/b"),
        ("https://prometheus.corp", "prometheus.corp"),
    ],
)
def test_the_place_is_host_port_and_prefix(url: str, place: str) -> None:
    """Fit for the screen, without the scheme."""
    access = Access(endpoint(url))
    assert access.place == place
    assert repr(access) == f"Access({place!r})"


def test_credentials_are_read_once(tmp_path: Path) -> None:
    """A command is not run for every query."""
    runs = tmp_path / "runs"
    script = tmp_path / "token.sh"
    script.write_text(f"echo x >> {runs}; echo tok-1", encoding="utf-8")
    access = Access(endpoint(token={"command": f"sh {script}"}, headers={"X-Scope-OrgID": "a"}))
    for _ in range(3):
        assert access.credentials() == {"X-Scope-OrgID": "a", "Authorization": "Bearer tok-1"}
    assert runs.read_text() == "x\n"


def test_what_is_given_out_is_a_copy() -> None:
    """Whoever adds a header to it does not add it for everybody."""
    access = Access(endpoint(headers={"X-A": "1234"}))
    access.credentials()["X-B"] = "5678"
    assert access.credentials() == {"X-A": "1234"}


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    """By time, size or inode; a file that is gone or unreadable leaves what was read before."""
    file = tmp_path / "token"

    def write(text: str, mode: int = 0o600) -> None:
        fresh = tmp_path / "fresh"
        fresh.write_text(text, encoding="utf-8")
        fresh.chmod(mode)
        fresh.replace(file)

    write("one")
    access = Access(endpoint(token={"file": file}))
    assert access.credentials()["Authorization"] == "Bearer one"
    write("two")
    assert access.credentials()["Authorization"] == "Bearer two"
    write("three", mode=0o644)
    assert access.credentials()["Authorization"] == "Bearer two"
    file.unlink()
    assert access.credentials()["Authorization"] == "Bearer two"
    write("four")
    assert access.credentials()["Authorization"] == "Bearer four"


def test_renewing_gives_other_credentials_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same again is none; what another query already renewed is given without reading."""
    monkeypatch.setenv("SOME_TOKEN", "tok-1")
    access = Access(endpoint(token={"env": "SOME_TOKEN"}))
    old = access.credentials()
    assert access.renewed(old) is None
    monkeypatch.setenv("SOME_TOKEN", "tok-2")
    assert access.renewed(old) is None, "so soon after the last reading it is not read again"
    monkeypatch.setattr("collectors.endpoint.access.RENEW_S", 0.0)
    fresh = access.renewed(old)
    assert fresh == {"Authorization": "Bearer tok-2"}
    monkeypatch.delenv("SOME_TOKEN")
    assert access.renewed(old) == fresh
    with pytest.raises(AccessError, match="environment variable SOME_TOKEN gave no credential"):
        access.renewed(fresh)
    assert access.credentials() == fresh


def test_a_credential_that_cannot_be_read_names_its_reference() -> None:
    """And what to do; nothing else is of use meanwhile."""
    access = Access(endpoint(basic={"username": "me", "password": {"env": "NOT_SET_ANYWHERE"}}))
    with pytest.raises(AccessError, match="was not asked: environment variable NOT_SET_ANYWHERE") as caught:
        access.credentials()
    assert caught.value.unreachable
    assert "credential" in caught.value.mend


def test_old_secrets_stay_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server may repeat the token that it refused, after a new one was read; in any spelling."""
    monkeypatch.setenv("SOME_TOKEN", "first/one&only")
    monkeypatch.setattr("collectors.endpoint.access.RENEW_S", 0.0)
    access = Access(endpoint(token={"env": "SOME_TOKEN"}, headers={"X-Key": "a b", "X-Long": "long enough"}))
    old = access.credentials()
    monkeypatch.setenv("SOME_TOKEN", "second-one")
    access.renewed(old)
    told = "Bearer first/one&only first/one&amp;only first%2Fone%26only second-one long enough"
    assert access.without_secrets(told) == "… … … … …"


@given(st.text(min_size=4, max_size=40, alphabet=st.characters(min_codepoint=33, max_codepoint=126)))
def test_no_word_of_a_server_holds_the_password(password: str) -> None:
    """Whatever the password, and wherever it stands in what the server says."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SOME_PASSWORD", password)
        basic = {"username": "me", "password": {"env": "SOME_PASSWORD"}}
        access = Access(endpoint(basic=basic))
        pair = access.credentials()["Authorization"].removeprefix("Basic ")
        told = access.without_secrets(f"a {password} b {pair} c")
    assert told == "a … b … c"


def certificate_error(code: int, message: str) -> httpx.ConnectError:
    """As httpx raises it: the cause is the library's, with OpenSSL's code."""
    cause = ssl.SSLCertVerificationError(1, "certificate verify failed")
    cause.verify_code, cause.verify_message = code, message
    error = httpx.ConnectError("certificate verify failed")
    error.__cause__ = cause
    return error


def tls_error(reason: str) -> httpx.ConnectError:
    cause = ssl.SSLError(1, reason)
    cause.reason = reason
    error = httpx.ConnectError(reason)
    error.__cause__ = cause
    return error


def said(error: Exception, **settings: object) -> AccessError:
    return failed(error, endpoint(**settings), proxy="", answered=False)


@pytest.mark.parametrize(
    ("code", "message", "what", "mend"),
    [
        (9, "not yet valid", "not valid yet", "clock"),
        (10, "expired", "has expired", "renewed"),
        (18, "self signed", "of a CA that is not known here", "ca_file"),
        (20, "unable to get local issuer", "of a CA that is not known here", "ca_file"),
        (62, "Hostname mismatch", "another name than prometheus.corp", "name that stands"),
        (23, "certificate revoked", "not trusted (certificate revoked)", "ca_file"),
    ],
)
def test_certificates_are_refused_by_their_fault(code: int, message: str, what: str, mend: str) -> None:
    """Codes of OpenSSL that cannot all be made by a test's own CA."""
    error = said(certificate_error(code, message))
    assert what in str(error)
    assert str(error).endswith("at prometheus.corp:9090/prom")
    assert mend in error.mend
    assert error.unreachable


@pytest.mark.parametrize(
    ("reason", "what", "mend"),
    [
        ("WRONG_VERSION_NUMBER", "does not speak HTTPS", "http://"),
        ("RECORD_LAYER_FAILURE", "does not speak HTTPS", "http://"),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "wants a client certificate", "cert_file"),
        ("SSLV3_ALERT_BAD_CERTIFICATE", "wants a client certificate", "cert_file"),
        ("TLSV1_ALERT_PROTOCOL_VERSION", "tlsv1 alert protocol version", "TLS"),
        ("UNEXPECTED_EOF_WHILE_READING", "breaks off the TLS handshake", "HTTPS"),
    ],
)
def test_handshakes_fail_by_their_reason(reason: str, what: str, mend: str) -> None:
    """Reasons of OpenSSL, of releases other than the one at hand too."""
    error = said(tls_error(reason))
    assert what in str(error)
    assert mend in error.mend


def test_our_certificate_is_refused(tmp_path: Path) -> None:
    """The same alert with a certificate of ours means that one."""
    error = said(tls_error("TLSV1_ALERT_UNKNOWN_CA"), cert_file=tmp_path / "c.pem")
    assert "refuses our certificate (tlsv1 alert unknown ca)" in str(error)


def test_causes_within_a_group_are_found() -> None:
    """Two addresses of one name fail as a group: what they have in common is told."""
    group = ExceptionGroup("several", [ConnectionRefusedError(111, "refused"), OSError(101, "no route")])
    cause = OSError("All connection attempts failed")
    cause.__cause__ = group
    error = httpx.ConnectError("All connection attempts failed")
    error.__cause__ = cause
    assert "nothing listens there" in str(said(error))
    unroutable = httpx.ConnectError("x")
    unroutable.__cause__ = OSError(113, "No route to host")
    assert "No route to host" in str(said(unroutable))
    unknown = httpx.ConnectError("x")
    unknown.__cause__ = socket.gaierror(-2, "Name or service not known")
    assert "its name cannot be resolved" in str(said(unknown))


@pytest.mark.parametrize(
    ("url", "hint"), [("http://a", "speak HTTPS there"), ("https://a", "want a client certificate")]
)
def test_a_cut_is_explained_only_before_the_first_answer(url: str, hint: str) -> None:
    """A server that answered before speaks the right protocol: then nothing is guessed."""
    error = httpx.RemoteProtocolError("Server disconnected without sending a response.")
    assert hint in failed(error, endpoint(url), proxy="", answered=False).mend
    assert failed(error, endpoint(url), proxy="", answered=True).mend == "The next poll asks again"


@pytest.mark.parametrize("status", [*range(300, 600), 999])
def test_every_status_has_its_sentence(status: int) -> None:
    """Names the status, and says what to do; whatever the server's words."""
    for words in ("", "no org id", "namespace parameter", "client certificate", "x" * 500):
        error = refusal(status, {}, words, endpoint())
        assert str(status) in str(error)
        assert error.mend
        assert len(str(error)) <= 300


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"no org id\n", "no org id"),
        (b"  <html><head><TITLE>\n Sign  in </TITLE>", "a page of HTML titled 'Sign in'"),
        (b"<html>", "a page of HTML"),
        (b'{"message": "Invalid \\"key\\"", "traceID": "1"}', 'Invalid "key"'),
        (b'{"kind": "Status", "status": "Failure", "message": "forbidden"}', "forbidden"),
        (b'{"a": 1}', ""),
        (b'{"error": "half', ""),
        (b"\x1b]0;owned\x07", ""),
        (b"\x15\x03\x03\x00\x02", ""),
        (b"", ""),
    ],
)
def test_what_a_body_says_is_one_clean_line(body: bytes, words: str) -> None:
    """Pages, messages of gateways and plain text; nothing that could write on the terminal."""
    assert words_of(body) == words


def test_only_markup_is_a_page() -> None:
    """JSON, and an empty body, are not."""
    assert page(b"\n<!doctype html>") == "a page of HTML"
    assert page(b'{"status":"success"}') == ""
    assert page(b"") == ""


MEGABYTE = 1024 * 1024


class Chunks(httpx.AsyncByteStream):
    """A body that comes in chunks, as from a socket."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for at in range(0, len(self._body), 65_536):
            yield self._body[at : at + 65_536]


async def read(body: bytes, encoding: str, at_most: int = MEGABYTE) -> bytes:
    """A body as it is read of an answer."""
    answer = httpx.Response(200, headers={"Content-Encoding": encoding}, stream=Chunks(body))
    return await Access(endpoint()).body(answer, at_most=at_most)


TEXT = random.Random(1).randbytes(400_000)
BARE = zlib.compressobj(wbits=-15)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("", TEXT),
        ("identity", TEXT),
        ("gzip", gzip.compress(TEXT)),
        ("x-GZIP, identity", gzip.compress(TEXT)),
        ("gzip", gzip.compress(TEXT[:100]) + gzip.compress(TEXT[100:]) + b"\0" * 9),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", BARE.compress(TEXT) + BARE.flush()),
    ],
    ids=["none", "identity", "gzip", "by another name", "two members", "zlib", "bare deflate"],
)
async def test_a_packed_body_is_unpacked(encoding: str, body: bytes) -> None:
    """In every form that servers send it, whole."""
    assert await read(body, encoding) == TEXT


@pytest.mark.parametrize("left_out", [1, 4, 8, 9, 100, 70_000])
async def test_half_a_packed_body_is_said(left_out: int) -> None:
    """Also where all of the data came, and only the end of the packing is missing."""
    with pytest.raises(AccessError, match="sent half an answer"):
        await read(gzip.compress(TEXT)[:-left_out], "gzip")
    with pytest.raises(AccessError, match="sent half an answer"):
        await read(b"not gzip", "gzip")


@pytest.mark.parametrize("encoding", ["gzip, gzip", "gzip,deflate,gzip", "br", "zstd", "\x1bx"])
async def test_what_was_not_asked_for_is_not_unpacked(encoding: str) -> None:
    """Packed twice, or by what nobody offered: refused unread, in words."""
    with pytest.raises(AccessError, match="packed") as refused:
        await read(gzip.compress(gzip.compress(TEXT)), encoding)
    assert refused.value.mend


async def test_a_bomb_is_never_in_memory() -> None:
    """A gigabyte of nought in one megabyte: what is held stays near what may be read."""
    packing = zlib.compressobj(9, wbits=31)
    # What is flushed whole refers to nothing before it: the same bytes again are another megabyte.
    first, again = (packing.compress(bytes(MEGABYTE)) + packing.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    bomb = first + 999 * again
    tracemalloc.start()
    try:
        with pytest.raises(AccessError, match="sent more than 8 MB") as refused:
            await read(bomb, "gzip", 8 * MEGABYTE)
        assert refused.value.too_large
        assert tracemalloc.get_traced_memory()[1] < 24 * MEGABYTE
    finally:
        tracemalloc.stop()


def token_of(length: int) -> str:
    """Signed, as a cluster gives them: no part of it is like another."""
    return "eyJhbGciOi" + base64.urlsafe_b64encode(random.Random(2).randbytes(length)).decode()[: length - 10]


def parts_of(token: str) -> list[str]:
    """What must stand nowhere: every eight characters of it."""
    return [token[at : at + 8] for at in range(len(token) - 7)]


@pytest.mark.parametrize("before", [0, 10, 150, 199, 1000, 3990, 4090, 8000, 8180])
@pytest.mark.parametrize("form", ["plain", "JSON", "title", "API", "location"])
def test_a_long_token_is_in_no_word_of_a_server(
    before: int, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the server's words are cut: neither the token nor its beginning is left."""
    token = token_of(2000)
    monkeypatch.setenv("SOME_TOKEN", token)
    access = Access(endpoint(token={"env": "SOME_TOKEN"}))
    access.credentials()
    said = f"{' ' * (before // 2)}{'x' * (before - before // 2)} Bearer {token} is not known"
    headers = {"Location": f"/{said.strip()}"} if form == "location" else {}
    body = json.dumps({"error": said}) if form == "JSON" else said
    body = f"<html><title>{said}</title>" if form == "title" else body
    api = said if form == "API" else None
    status = 302 if form == "location" else 403
    told = [access.refusal(status, headers, body.encode(), api), access.page(body.encode())]
    words = " ".join(f"{one}{one.mend}" for one in told if one is not None)
    assert not [part for part in parts_of(token) if part in words]


def test_a_token_that_the_server_cut_is_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or spread by signs that nobody sees; what is only like the word before it stays."""
    token = token_of(2000)
    monkeypatch.setenv("SOME_TOKEN", token)
    access = Access(endpoint(token={"env": "SOME_TOKEN"}))
    access.credentials()
    spread = "\u200b".join(token)
    assert access.without_secrets(f"Bearer {token[:40]}... and {spread}!") == "Bearer …... and …!"
    assert access.without_secrets("Bearer error, eyJhb") == "Bearer error, eyJhb"
