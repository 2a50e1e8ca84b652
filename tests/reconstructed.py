"""Reconstructions of a known past, for tests: three models in two tiers for two hours."""

import asyncio
import time
from pathlib import Path

import pytest

from collectors.config import Context, read_settings
from collectors.fleet import Frame
from collectors.live import known_presets
from collectors.reconstruct.audit import read_log
from collectors.reconstruct.plan import Asked
from collectors.reconstruct.run import Done, Reconstruction
from collectors.recording.reader import Recording
from collectors.signals.presets import absence
from tests.backfill import Fleet, context_toml

STEP_S = 15.0
HOURS_S = 7200.0
START = (time.time() - 3 * 86_400) // 3600 * 3600
GAP = (START + 1800, START + 2700)
GONE_FROM = START + 5400
TIERS = ("gold", "free")

FLEET = Fleet(
    3, TIERS, START, HOURS_S, STEP_S, gaps=[GAP], without=lambda model, at: model == 2 and at >= GONE_FROM
)


@pytest.fixture(autouse=True)
def no_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The developer's own configuration, servers and proxies stay out of the tests."""
    for name in ("CONFIG", "CONTEXT", "PROMETHEUS", "PLANE"):
        monkeypatch.delenv(f"TIDEGATE_{name}", raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def context_of(url: str, folder: Path) -> Context:
    """What is watched, by a configuration that is written to the folder."""
    file = folder / "context.toml"
    file.write_text(context_toml(url, TIERS), encoding="utf-8")
    return read_settings(file).context(None)[1]


def reconstruction(
    url: str, out: Path, start: float, end: float, step: float | None = None, log: str = "", stretch: int = 0
) -> Reconstruction:
    """A reconstruction that nobody has begun. stretch: steps of one, 0 for as many as is usual"""
    context = context_of(url, out.parent)
    presets = known_presets(context)
    return Reconstruction(
        Asked("past", context, presets, start, end, step, log),
        out,
        version="test",
        absence=lambda signal, stacks: absence(signal, stacks, presets),
        plane=read_log(log) if log else None,
        stretch_steps=stretch,
    )


def made(work: Reconstruction) -> Done:
    """What became of it. raises: as `Reconstruction.run`"""
    done = asyncio.run(work.run(lambda step: None, lambda cost, first: True))
    assert done is not None
    return done


def frames_of(file: Path) -> list[Frame]:
    """All frames of a recording that is whole."""
    recording = Recording.open(file)
    try:
        assert recording.is_closed
        assert recording.notices == ()
        return [recording.frame(number) for number in range(recording.frames)]
    finally:
        recording.close()
