"""Secrets that must not be recorded, and names that must."""

import random
import string
import time
from dataclasses import replace
from pathlib import Path

import pytest

from collectors.fleet import Event, EventKind
from collectors.recording.layout import Kind, Tag
from collectors.recording.redact import REDACTED, Redaction, is_random
from collectors.sessions import Mark, View
from tests.frames import AT, demo_frame
from tests.recording_parts import recording, walk

NAMES = [
    "meta-llama/Llama-3.3-70B-Instruct",
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B-FP8-W8A8",
    "MixtralMoE8x22BInstruct",
    "Qwen2.5-VL-72B-Instruct-GPTQ-Int4@eu-west-1",
    "llama3:70b@eu",
    "llama-3-70b-7d9f8b6c5-x2k4q",
    "gke-prod-pool-1-3fa2c91b-7xkz",
    "ip-10-0-12-3.eu-west-1.compute.internal",
    "i-0123456789abcdef0",
    "GPU-5d1c1c5a-94a2-11ee-8c4b-0242ac120002",
    "MIG-GPU-5d1c1c5a-94a2-11ee-8c4b-0242ac120002/7/0",
    "NVIDIA-H100-80GB-HBM3",
    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    'W/"9f86d081884c7d659a2feaa0c55ad015"',
    "r-1842",
    "20261121T140211Z-0123456789ab-0003",
    "GPUXid79UncorrectableErrors",
    "KubeDeploymentReplicasMismatch",
    "image-generation",
    "pro",
    "model\x1ffeature\x1fpro",
]

SENTENCES = [
    "conflict: etag 9f86d081884c7d659a2feaa0c55ad015 was seen",
    "pulled image@sha256:9f86d081884c7d659a2feaa0c55ad0159f86d081884c7d659a2feaa0c55ad015",
    "token: expired, ask for a new one",
    "no credential: set one in [contexts.prod.prometheus]",
    "bearer token missing",
    "basic authentication needed",
    "max_tokens=4096 and tokens_out=120",
    "time to first token p99 12.5 s > 6 s",
    "sk-learn-serving-model-large is slow",
    "https://prometheus.example.com:9090/graph is not answering",
]

RANDOM = random.Random(7)
LONG = "".join(RANDOM.choice(string.ascii_letters + string.digits) for _ in range(40))

SECRETS = [
    ("https://ada:{}@host:9090/api/v1/query refused", "hunter2"),
    ("https://host/api?token={}&x=1 refused", "hunter2"),
    ("https://host/api#access_token={}", "hunter2"),
    ("https://hooks.slack.com/services/T024BE7LV/B024BE8LM/{}", "abcDEF123ghiJKL456mnoPQR"),
    ("Authorization: Bearer {}", "canary-canary"),
    ("sent bearer {} to it", "canary1"),
    ("Basic {}", "dXNlcjpwYXNz"),
    ("X-Api-Key: {}", "canary"),
    ("Cookie: session={}; other={}", "canary"),
    ("password={} is wrong", "hunter2"),
    ("password: {}", "hunter2"),
    ('{{"client_secret": "{}"}}', "hunter2"),
    ("DB_PASSWORD={}", "hunter2"),
    ("api_key={},", "canary"),
    ("got {} back", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.SflKxwRJSMeKKF2QT4"),
    ("got {} back", "sk-proj-abcdefghijklmnop123"),
    ("got {} back", "ghp_16C7e42F292c6912E7710c838347Ae178B4a"),
    ("got {} back", "AKIAIOSFODNN7EXAMPLE"),
    ("got {} back", "hf_abcdefghijklmnopqrstuv"),
    ("key {} refused", "9f86d081884c7d659a2feaa0c55ad015"),
    ("refused {}", LONG),
    ("{}", "-----BEGIN RSA PRIVATE KEY----- MIIEpAIBAAKCAQEA -----END RSA PRIVATE KEY-----"),
    ("{}", "-----BEGIN OPENSSH PRIVATE KEY----- b3BlbnNzaC1rZXkt"),
]


@pytest.mark.parametrize("text", NAMES + SENTENCES)
def test_names_hashes_and_sentences_survive(text: str) -> None:
    """What a review needs to know what was looked at, and why it failed."""
    assert Redaction().text(text) == text


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_secrets_do_not(text: str, secret: str) -> None:
    """Wherever they stand in a text, and again when asked twice."""
    redaction = Redaction()
    for _ in range(2):
        found = redaction.text(text.format(secret, secret))
        assert secret not in found
    assert redaction.text(found) == found


def test_hosts_and_paths_of_addresses_stay() -> None:
    """Who and what was asked for goes; where it was asked stays."""
    found = Redaction().text("GET https://ada:pa/ss@prom:9090/api/v1/query?query=up#x: refused")
    assert found == "GET https://prom:9090/api/v1/query: refused"


@pytest.mark.parametrize("size", [24, 32, 43, 64])
@pytest.mark.parametrize(
    "letters", [string.ascii_letters + string.digits, string.ascii_letters + string.digits + "-_"]
)
def test_what_is_drawn_by_lot_is_found(size: int, letters: str) -> None:
    """Of passwords of a generator hardly any passes for a name."""
    draw, redaction = random.Random(size), Redaction()
    words = ["".join(draw.choice(letters) for _ in range(size)) for _ in range(400)]
    assert sum(word in redaction.text(f"refused {word} there") for word in words) <= 60


def test_everything_made_of_texts_is_looked_through() -> None:
    """Keys as well; what is named a secret goes whole; what holds none is the same object."""
    redaction = Redaction()
    told = {"labels": {"password": "x", "tier": "pro"}, "urls": [f"https://a:{LONG}@b/c"], LONG: 1}
    found = redaction.value(told)
    assert found == {"labels": {"password": REDACTED, "tier": "pro"}, "urls": ["https://b/c"], REDACTED: 1}
    fine = {"a": [1, "b", {"c": None}], "d": (1.5, "e")}
    assert redaction.value(fine) is fine


def test_what_is_secret_here_is_taken_out_too() -> None:
    """Expressions of the configuration, besides ours; the header tells that there are more."""
    redaction = Redaction(extra=(r"ACME-\d+",))
    assert redaction.text("order ACME-4711 refused") == f"order {REDACTED} refused"
    assert redaction.policy.startswith(f"{Redaction().policy}+1-")
    with pytest.raises(ValueError, match="no regular expression"):
        Redaction(extra=("(",))


def test_a_long_text_is_looked_through_in_no_time() -> None:
    """No expression of ours takes time by the square of a text, which would be minutes."""
    redaction = Redaction()
    for text in ("a:" * 30_000, "-----BEGIN " * 5_000, "https://" * 8_000, "token" * 12_000, "aB3" * 20_000):
        started = time.process_time()
        redaction.text(text)
        assert time.process_time() - started < 10


def test_no_names_are_random() -> None:
    """One piece of a name, without its hyphens."""
    for name in ("DeepSeekR1DistillQwen32B", "Qwen25VL72BInstruct", "llama3instruct70bfp8awq"):
        assert not is_random(name)


def test_no_secret_reaches_the_file(tmp_path: Path) -> None:
    """A canary in alerts, events, errors, notes, labels, views and marks is in no byte, packed or not."""
    canary, path = "cAn4ryS3cr3tW0rdXy9Q", tmp_path / "a.tgrec"
    frame = demo_frame(AT)
    url = f"https://ada:{canary}@host/x?token={canary}"
    alert = replace(
        frame.alerts[0],
        summary=f"see {url}",
        link=url,
        labels={"token": canary},
        description=f"Bearer {canary}",
    )
    source = replace(frame.sources[0], error=f"{url} refused", warnings=(f"api_key={canary}",))
    event = Event(AT, EventKind.NOTE, "test", "x", f"Authorization: Basic {canary}")
    model = replace(frame.models[0], name=canary)
    hostile = replace(
        frame, alerts=(alert,), sources=(source,), events=(event,), models=(model, *frame.models[1:])
    )
    with recording(path) as one:
        one.put(hostile)
        one.view(View(filter=canary))
        one.mark(Mark(AT, "ada", f"the key is {canary}"))
        one.note(Kind.ACTION, Tag.INTENT, {"reason": f"password {url}", "arguments": {"secret": canary}})
    assert canary.encode() not in path.read_bytes()
    found = walk(path)
    assert len(found.tags(Tag.VIEW, Tag.BOOKMARK, Tag.INTENT, Tag.HAPPENED)) >= 4
    for one_record in found.records:
        assert canary not in str(one_record.body)
