"""What an operator does by keys alone, from the terminal to the plane's log and back to the screen."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.operating_cockpit import APPLIES, CALM_S, Cockpit, own_places
from tests.e2e.operating_plane import Plane
from tests.e2e.operating_proxy import RecordingProxy
from tests.e2e.terminal import Terminal

pytestmark = pytest.mark.slow

MOST_KEYS = 8
MINUTES = 10.0
SPEED = "28"
SEEN = r"after \d+m?s?: (2[5-9]|3[0-5])% admitted"
LOST = "no answer yet"
REGISTER = "release.register"


@pytest.fixture
def demo(start: Callable[..., Terminal], tmp_path: Path) -> Callable[..., tuple[Cockpit, str]]:
    """Starts the demo: its cockpit, and the URL of its plane as the events strip tells it."""

    def begin(*options: str, size: tuple[int, int] = (120, 40)) -> tuple[Cockpit, str]:
        places = own_places(tmp_path)
        terminal = start("-m", "tui", "demo", *options, size=size, environment=places)
        cockpit = Cockpit(terminal, places)
        cockpit.see(r"plane at http://[\d.]+:\d+", r"aurora-5 .*\d%", seconds=60)
        found = re.search(r"plane at (http://[\d.]+:\d+)", cockpit.text)
        assert found
        return cockpit, found[1]

    return begin


@pytest.fixture
def watch(start: Callable[..., Terminal], plane: Plane) -> Callable[[str, str], Cockpit]:
    """Starts the cockpit of a person on that plane, at a URL."""

    def begin(person: str, url: str) -> Cockpit:
        environment = plane.environment(person)
        terminal = start("-m", "tui", "watch", "--plane", url, environment=environment)
        return Cockpit(terminal, environment)

    return begin


def armed(cockpit: Cockpit) -> None:
    """Once it shows the fleet."""
    cockpit.see("llama-70b ", "you: ")
    cockpit.arm()


def clock(cockpit: Cockpit) -> int | None:
    """The watched clock, seconds since midnight; None while a dialog or nothing stands there."""
    found = re.search(r"(\d\d):(\d\d):(\d\d)Z", cockpit.terminal.screen.display[0])
    if found is None:
        return None
    hours, minutes, seconds = map(int, found.groups())
    return hours * 3600 + minutes * 60 + seconds


def wait_bounds(cockpit: Cockpit, model: str) -> list[float]:
    """The upper bound of each tier's p99 wait of a model, seconds, as the widest fleet table shows it."""
    row = next((line for line in cockpit.terminal.screen.display if f" {model} " in line and "│" in line), "")
    bounds = []
    for cell in row.split("│")[1:5]:
        if within := re.search(r"\([\d.]+-([\d.]+)\)", cell):
            bounds.append(float(within[1]))
        elif below := re.findall(r"<(\.?\d[\d.]*)", cell):
            bounds.append(float(below[-1]))
    return bounds


def test_eight_keys_end_a_melting(demo: Callable[..., tuple[Cockpit, str]], tmp_path: Path) -> None:
    """Images go viral, chat waits 30 s; eight keys later the fleet is throttled, and within ten simulated
    minutes the upper bound of every tier's wait is below 2.5 s. Who did it, why, and what came of it stands
    below."""
    cockpit, url = demo("--speed", SPEED, size=(200, 60))
    cockpit.terminal.until(lambda: max(wait_bounds(cockpit, "aurora-5"), default=0.0) >= 30, 45)

    cockpit.arm()
    cockpit.opened("t", "Throttle · image-generation · 2 models")
    cockpit.see(r"\[x\] Free", r"→\d+% of aurora-5", "now T0 admit 100%")
    cockpit.press_for("right", "›T3 30%", every_s=0.15)
    reason = cockpit.give_reason()
    cockpit.confirm()
    cockpit.see(r"image-generation/free sent → ✔ applied: level admit 100% → admit 30%")
    assert len(cockpit.pressed) <= MOST_KEYS, cockpit.pressed

    cockpit.closed()
    cockpit.terminal.until(lambda: clock(cockpit) is not None)
    acted_at = clock(cockpit)
    assert acted_at is not None
    cockpit.see(f"image-generation/free +admit 100% → 30%, ttl 30 m, reason: {reason}", SEEN)

    def is_over() -> bool:
        bounds = wait_bounds(cockpit, "aurora-5")
        return len(bounds) == 4 and max(bounds) < 2.5

    cockpit.terminal.until(is_over, MINUTES * 60 / float(SPEED) + 10)
    over_at = clock(cockpit)
    assert over_at is not None
    assert (over_at - acted_at) / 60 <= MINUTES

    (entry,) = cockpit.audit(url, "--feature", "image-generation", "--tier", "free")
    assert (entry["op"], entry["result"], entry["reason"]) == ("throttle.set", "applied", reason)
    assert entry["idempotency_key"]

    tokens = tmp_path / "state" / "tidegate"
    assert list(tokens.iterdir())
    cockpit.press("q")
    assert cockpit.terminal.ended() == 0
    assert not list(tokens.iterdir())


Step = tuple[str, str, str, str]
"""Key, the option to go to; what the strip tells, the operation in the log."""


def carried_out(cockpit: Cockpit, name: str, step: Step) -> tuple[str, str, str]:
    """One decision on a release, from its key to its outcome. Returns operation, result and reason."""
    key, choice, told, operation = step
    cockpit.opened(key, f" · {name} · .*SIMULATED")
    if choice:
        cockpit.press_for("right", f"›{choice}", every_s=0.15)
    reason = cockpit.give_reason()
    cockpit.confirm()
    cockpit.see(rf"{name} sent → ✔ applied: ")
    cockpit.closed()
    # It stands on the strip with the next frame: until then the next key would open on what was before.
    cockpit.see(rf" release +{name} +{told}")
    return operation, "applied", reason


def next_candidate(folder: Path, name: str, kind: str) -> Path:
    """A file for `tidegate plane load`."""
    stage = {"id": "free@100", "tier": "free", "weight": 1.0, "gate": {"kind": "manual", "hold_s": 0}}
    body = {
        "id": name,
        "subject": {"kind": kind, "name": name},
        "candidate": "next",
        "stages": [stage],
        "reason": "passed evaluation",
    }
    file = folder / f"{name}.json"
    file.write_text(json.dumps(body))
    return file


def goes_all_its_ways(cockpit: Cockpit, url: str, name: str, next_stage: str, file: Path) -> None:
    """All that can become of a release, by keys, up to its completion; its next candidate is rolled back."""
    cockpit.press("/", *name)
    cockpit.press_for("enter", "open  t throttle")
    cockpit.see(rf"›.{{1,3}}{name}")
    steps: list[Step] = [
        ("a", "", f"advance stage .*{next_stage}", "release.advance"),
        ("p", "", "pause", "release.pause"),
        ("p", "", "resume", "release.resume"),
        ("B", "", "abort", "release.abort"),
        ("a", "", "retry", "release.retry"),
        ("a", "Free 100%", "advance .*free@100", "release.advance"),
    ]
    done = [carried_out(cockpit, name, step) for step in steps]
    cockpit.command("plane", "load", str(file), "--plane", url, "--yes")
    cockpit.see(rf" release +{name} +register candidate .*next")
    done.append(carried_out(cockpit, name, ("B", "roll back", "rollback", "release.rollback")))
    log = cockpit.audit(url, "--release", name)
    assert [(one["op"], one["result"], one["reason"]) for one in log if one["op"] != REGISTER] == done
    assert log[-1]["after"]["candidate"] == log[0]["after"]["candidate"]


def test_releases_go_all_their_ways_by_keys(demo: Callable[..., tuple[Cockpit, str]], tmp_path: Path) -> None:
    """A model and a feature: advanced, held, let go on, aborted, tried again, opened to all; the next
    candidate rolled back. Each is on the screen, and in the log with its reason."""
    cockpit, url = demo("--scenario", "calm")
    cockpit.arm()
    model = next_candidate(tmp_path, "delta-code", "model")
    feature = next_candidate(tmp_path, "deep-research", "feature")
    goes_all_its_ways(cockpit, url, "delta-code", "free@50", model)
    cockpit.press("esc")
    cockpit.see(r"aurora-5 .*\d%")
    goes_all_its_ways(cockpit, url, "deep-research", "free@5", feature)


def test_of_two_who_advance_one_stage_one_does(watch: Callable[[str, str], Cockpit], plane: Plane) -> None:
    """Both dialogs stand open; who comes second is told what has changed and by whom, and applies nothing:
    neither where the screen knows already, nor where it does not and only the fresh look tells."""
    unheard = RecordingProxy(plane.address)
    unheard.swallows = lambda line: line.startswith("GET /v1/watch")
    with unheard.serving() as url:
        alice, bob, late = watch("alice", plane.url), watch("bob", plane.url), watch("bob", url)
        for one in (alice, bob, late):
            armed(one)
            one.opened("a", "Advance · llama-70b")
            one.give_reason()
            one.see(APPLIES)
        alice.confirm()
        alice.see("llama-70b sent → ✔ applied: stage none → pro@100")

        late.confirm()
        late.see("✖ conflict", "stage: none → pro@100", "alice@example.com at ")
        bob.see("CHANGED while this was open", "llama-70b stage: none → pro@100")
        bob.see("llama-70b by: .*alice@example.com at ")
        bob.read_for(CALM_S)
        bob.press("y")
        bob.see("y is off: somebody changed it")
        assert "SENT by" not in bob.text
    log = alice.audit(plane.url, "--release", "llama-70b")
    advances = [one for one in log if one["op"] == "release.advance"]
    assert [(one["actor"], one["result"]) for one in advances] == [("alice@example.com", "applied")]


@pytest.mark.parametrize("is_carried_out", [True, False], ids=["reply-lost", "request-lost"])
def test_a_killed_plane_is_unknown_until_it_is_back(
    watch: Callable[[str, str], Cockpit], plane: Plane, is_carried_out: bool
) -> None:
    """SIGKILL between `y` and its reply: nobody knows, and nothing says failed. Once it is back, the same key
    settles it: it was applied once, whether it had been carried out or not."""
    proxy = RecordingProxy(plane.address)
    with proxy.serving() as url:
        cockpit = watch("alice", url)
        armed(cockpit)
        cockpit.opened("t", "Throttle · voice")
        cockpit.press_for("right", "›T1 70%")
        cockpit.give_reason()
        proxy.swallows = lambda line: line.startswith("POST ") and "dry_run" not in line
        proxy.drops_requests = not is_carried_out
        cockpit.confirm()
        cockpit.terminal.until(proxy.swallowed.is_set)
        plane.kill()
        proxy.swallows = lambda line: False
        cockpit.see(f"voice/free sent → {LOST}")
        said = cockpit.text
        assert not re.search("failed|refused", said)

        plane.start()
        cockpit.see(r"voice/free sent → ✔ applied: level admit 100% → admit 70%", seconds=60)
    keys = [one.key for one in proxy.requests if one.line == "POST /v1/throttles/voice/free:set"]
    assert is_carried_out or len(keys) > 1
    (entry,) = cockpit.audit(plane.url, "--feature", "voice", "--tier", "free")
    assert (entry["op"], entry["result"]) == ("throttle.set", "applied")
    assert {entry["idempotency_key"]} == set(keys)
