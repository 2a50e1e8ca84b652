"""A fleet whose every text holds a secret, recorded by the real command: no byte of it in any file."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from collectors.recording.layout import FRAMES, Kind
from collectors.recording.segment import Segment
from tests.integration.scrape_site import Site, sent
from tests.integration.scripted_prometheus import Reply, Request, Scripted

pytestmark = pytest.mark.slow

RANDOM, PASSWORD = "cAn4ryS3cr3tW0rdXy9Q", "hunter2hunter2"
KEY = f"sk-proj-Zx9{RANDOM}"
SECRETS = (RANDOM, PASSWORD, KEY)
LINK = f"https://ada:{PASSWORD}@wiki.example/run?token={RANDOM}"
LABELS = {
    "alertname": f"Queue {KEY}",
    "severity": "page",
    "model_name": "m",
    "token": RANDOM,
    "api_key": PASSWORD,
    "password": PASSWORD,
    "instance": LINK,
}
ANNOTATIONS = {
    "summary": f"see {LINK} {KEY}",
    "description": f"curl -H 'Authorization: Bearer {RANDOM}' {LINK}; API_KEY={KEY} PASSWORD={PASSWORD}",
    "runbook_url": LINK,
}
BEGAN, ENDS = "2026-01-01T00:00:00Z", "2036-01-01T00:00:00Z"


@pytest.fixture
def prometheus() -> Iterator[Scripted]:
    """Refuses one signal and tells alerts."""
    server = Scripted()
    said = f"Authorization: Bearer {RANDOM} refused; {LINK} api_key={KEY}"
    server.replies["waiting"] = Reply(
        422, json.dumps({"status": "error", "errorType": "x", "error": said}).encode()
    )
    server.replies["time_to_first"] = Reply(
        500, f"<html>password={PASSWORD} cookie: id={RANDOM}</html>".encode()
    )
    server.replies["/rules"] = server.replies["/alerts"] = _rules
    yield server
    server.close()


def _rules(_: Request) -> Reply:
    alert = {"labels": LABELS, "annotations": ANNOTATIONS, "state": "firing", "activeAt": BEGAN, "value": "1"}
    rule = {"name": LABELS["alertname"], "type": "alerting", "query": "x", "duration": 0, "health": "ok"}
    rule |= {"labels": {}, "annotations": {}, "state": "firing", "alerts": [alert]}
    groups = [{"name": "g", "file": "f", "interval": 1, "rules": [rule]}]
    return Reply(
        body=json.dumps({"status": "success", "data": {"groups": groups, "alerts": [alert]}}).encode()
    )


@pytest.fixture
def alertmanager() -> Iterator[Scripted]:
    """An alert, and a silence of it."""
    server = Scripted()
    alert = {
        "labels": LABELS,
        "annotations": ANNOTATIONS,
        "startsAt": BEGAN,
        "endsAt": ENDS,
        "updatedAt": BEGAN,
        "generatorURL": LINK,
        "fingerprint": "abc",
        "receivers": [{"name": "x"}],
        "status": {"state": "suppressed", "silencedBy": ["s1"], "inhibitedBy": []},
    }
    silence = {
        "id": "s1",
        "createdBy": f"ada token={RANDOM}",
        "comment": f"password={PASSWORD} {KEY}",
        "startsAt": BEGAN,
        "endsAt": ENDS,
        "updatedAt": BEGAN,
        "matchers": [],
        "status": {"state": "active"},
    }
    server.replies["/api/v2/alerts"] = Reply(body=json.dumps([alert]).encode())
    server.replies["/api/v2/silences"] = Reply(body=json.dumps([silence]).encode())
    yield server
    server.close()


@pytest.fixture
def page() -> Iterator[Site]:
    """An engine's page whose models are named by a key and by an address."""
    site = Site()
    site.replies["/metrics"] = sent(
        f'vllm:num_requests_running{{model_name="{KEY}"}} 3\n'
        f'vllm:num_requests_waiting{{model_name="{KEY}"}} 1\n'
        f'vllm:gpu_cache_usage_perc{{model_name="{LINK}"}} 0.5\n'.encode()
    )
    yield site
    site.close()


def _run(folder: Path, *command: str) -> bytes:
    """What a command printed; secrets stand in its environment."""
    environment = {**os.environ, "XDG_STATE_HOME": str(folder / "state"), "TOKEN": RANDOM, "KEY": KEY}
    done = subprocess.run(
        [sys.executable, "-m", "tui", *command], capture_output=True, env=environment, check=False, timeout=60
    )
    assert b"Traceback" not in done.stderr
    return done.stdout + done.stderr


def _settings(folder: Path, prometheus: Scripted, alertmanager: Scripted) -> str:
    path = folder / "config.toml"
    path.write_text(
        f'[contexts.prod]\nalertmanager = "{alertmanager.url}"\n\n[[contexts.prod.prometheus]]\n'
        f'url = "{prometheus.url}"\ncluster = "eu"\ntoken = {{ env = "TOKEN" }}\n'
        'headers = { X-Api-Key = { env = "KEY" } }\n\n[[contexts.prod.prometheus]]\n'
        'url = "http://127.0.0.1:1"\ncluster = "us"\ntoken = { env = "TOKEN" }\n'
    )
    return str(path)


def test_no_secret_is_in_anything_made(
    tmp_path: Path, prometheus: Scripted, alertmanager: Scripted, page: Site
) -> None:
    """Tokens, keys, passwords, user info of addresses, in labels, annotations, silences, errors, names."""
    first, second = tmp_path / "first.tgrec", tmp_path / "second.tgrec"
    settings = _settings(tmp_path, prometheus, alertmanager)
    made = [
        _run(
            tmp_path, "record", "--config", settings, "--context", "prod", "--for", "6s", "--out", str(first)
        )
    ]
    made += [_run(tmp_path, "record", "--scrape", page.url("/metrics"), "--for", "4s", "--out", str(second))]
    payloads = [_payloads(first), _payloads(second)]
    assert payloads[0].count(b"[redacted]") > 5 and b"[redacted]" in payloads[1]
    assert any(RANDOM in str(one.headers) for one in prometheus.requests)
    for path in (first, second):
        for form in ("csv", "jsonl", "openmetrics"):
            made.append(_run(tmp_path, "recording", "export", str(path), "--format", form))
        made += [_run(tmp_path, "recording", "info", str(path)), _run(tmp_path, "report", str(path))]
        others = {name: str(path.with_suffix(name)) for name in (".db", ".html", ".cut")}
        _run(tmp_path, "recording", "export", str(path), "--format", "sqlite", "--out", others[".db"])
        _run(tmp_path, "report", str(path), "--format", "html", "--out", others[".html"])
        _run(tmp_path, "recording", "trim", str(path), "--out", others[".cut"])
        made += [Path(other).read_bytes() for other in others.values()]
        payloads.append(_payloads(Path(others[".cut"])))
        with sqlite3.connect(others[".db"]) as database:
            assert database.execute("SELECT count(*) FROM readings").fetchone()[0] > 0
        made.append(path.read_bytes())
    made += [one.read_bytes() for one in (tmp_path / "state").rglob("*") if one.is_file()]
    for data in (*made, *payloads):
        assert [one for one in SECRETS if one.encode() in data] == []


def _payloads(path: Path) -> bytes:
    """All that a recording holds besides numbers, unpacked."""
    segment = Segment(path)
    table = segment.table
    rows = [row for row in range(table.rows) if table.kind[row] not in {*FRAMES, Kind.INDEX, Kind.FOOTER}]
    return b"\n".join(map(segment.payload, rows))
