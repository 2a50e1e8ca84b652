"""Pages that are slow, absent or lying, over real HTTP servers: each is a sentence and harms no other."""

import gzip
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from collectors.fleet import SourceState
from collectors.scrape.poller import PageTarget, ScrapePoller
from tests.debian_binary import lacking
from tests.integration.scrape_site import (
    DEMO,
    RUNNING,
    Handler,
    Reply,
    Site,
    answer,
    one_poll,
    page,
    polling,
    sent,
    value,
)


@pytest.fixture
def site() -> Iterator[Site]:
    found = Site()
    yield found
    found.close()


def dripping(handler: Handler) -> None:
    """A byte now and then, for ever."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    while True:
        handler.wfile.write(b"#")
        time.sleep(0.05)


def cut_in_chunk(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"ff\r\ndemo_running 1\n")
    handler.close_connection = True


def hung(handler: Handler) -> None:
    """Not even a whole status line."""
    handler.wfile.write(b"HTTP/1.1 2")
    while True:
        handler.wfile.write(b"0")
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (sent(page(), length=10_000), "the connection broke before the page was whole"),
        (cut_in_chunk, "the connection broke before the page was whole"),
        (lambda handler: None, "no whole answer within 1 s"),
        (dripping, "no whole answer within 1 s"),
        (hung, "no whole answer within 1 s"),
        (sent(b"<html><body>Sign in</body></html>"), "this is no metrics page: it answers HTML"),
        (sent(b"x", 503), "it answers HTTP 503 Service Unavailable"),
        (sent(b"", 401), "it answers HTTP 401 Unauthorized; give it credentials"),
        (sent(b"", 204), "it answers HTTP 204"),
        (sent(gzip.compress(page())[:-9], Content_Encoding="gzip"), "its gzip body is cut short"),
        (sent(page(), Content_Encoding="br"), "it answers in encoding 'br'"),
        (
            sent(b"", 302, Location="http://127.0.0.2:1/?token=x"),
            "it redirects to http://127.0.0.2:1/, another server",
        ),
        (sent(b"", 302, Location="/a"), "it redirects more than 3 times"),
        (sent(page() + b"\x1b[2Jboom {\n"), "line 3 is no sample: '[2Jboom {'"),
        (sent(page(), Tidegate_Time="yesterday"), "its header Tidegate-Time is no time: 'yesterday'"),
        (sent(page(), Tidegate_Time="2026-01-01T00:00:00"), "its header Tidegate-Time is no time"),
        (sent(b"x" * 40, length=17 * 1024 * 1024), "the connection broke before the page was whole"),
        (sent(b"#" * (17 * 1024 * 1024)), "it is longer than 16 MB"),
    ],
)
async def test_a_page_that_fails(site: Site, reply: Reply, said: str) -> None:
    """Each fault is a sentence, is left by the time limit at the latest, and touches no other page."""
    site.replies |= {"/a": reply, "/b": sent(page(7))}
    poll = await one_poll(site.url("/a"), site.url("/b"), timeout_s=1.0 if "within" in said else 60.0)
    assert poll.health.error == f"{site.url('/a')}: {poll.health.error.partition('/a: ')[2]}"
    assert poll.health.error.partition("/a: ")[2].startswith(said)
    assert poll.health.error.isprintable()
    assert poll.health.state is SourceState.PARTIAL
    assert value(poll, RUNNING) == 7


async def test_a_page_that_recovers(site: Site) -> None:
    """After a timeout the next poll asks anew and succeeds, on a fresh connection."""
    site.replies["/a"] = lambda _: site.over.wait(2) and None
    async with polling(PageTarget(site.url("/a")), timeout_s=0.2) as poller:
        assert (await poller.poll()).health.state is SourceState.LOST
        site.replies["/a"] = sent(page(5))
        assert value(await poller.poll(), RUNNING) == 5


async def test_nobody_listens_and_nobody_is_called_so() -> None:
    """A closed port and a name that does not exist are told apart."""
    closed = Site()
    closed.close()
    poll = await one_poll(closed.url("/a"))
    assert "connection refused" in poll.health.error
    poll = await one_poll("http://no-such-host.invalid:9400/metrics")
    assert "its host is not known" in poll.health.error
    assert (poll.health.state, poll.answers, poll.stacks) == (SourceState.LOST, (), ())


async def test_hostile_labels(site: Site) -> None:
    """Control characters, brackets of markup and 10,000 characters arrive cleaned and bounded."""
    model = "[/nope]\x1b]0;owned\x07" + "x" * 10_000
    site.replies["/a"] = sent(page(1, model=model))
    poll = await one_poll(site.url("/a"))
    (row,) = answer(poll, RUNNING).rows
    assert row.labels["model"].startswith("[/nope]]0;ownedxxx")
    assert len(row.labels["model"]) == 128


async def test_certificates_are_verified(tmp_path: Path) -> None:
    """An unknown certificate is refused with a sentence, unless verifying was turned off or it is trusted."""
    if shutil.which("openssl") is None:
        lacking("no openssl here to make a certificate: install it")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = "-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    names = f"-addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {certificate}"
    subprocess.run(["openssl", "req", *made.split(), *names.split()], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    site = Site(context)
    site.replies["/a"] = sent(page(6))
    trusted = ssl.create_default_context(cafile=str(certificate))
    for verify, said in ((True, "its certificate is not trusted"), (False, ""), (trusted, "")):
        poller = ScrapePoller([PageTarget(site.url("/a"))], presets=(DEMO,), verify=verify)
        poll = await poller.poll()
        await poller.aclose()
        assert said in poll.health.error
        assert bool(poll.answers) == (not said)
    site.close()
