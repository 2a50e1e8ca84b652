"""Terminals and planes for the tests, all of them ended afterwards."""

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.e2e.operating_plane import Plane
from tests.e2e.terminal import Terminal


@pytest.fixture
def start() -> Iterator[Callable[..., Terminal]]:
    """Starts commands on terminals and ends them all."""
    started: list[Terminal] = []

    def begin(
        *arguments: str,
        size: tuple[int, int] = (120, 40),
        program: str = sys.executable,
        environment: Mapping[str, str] | None = None,
        controls: bool = False,
    ) -> Terminal:
        started.append(Terminal([program, *arguments], size, environment, controls))
        return started[-1]

    yield begin
    for terminal in started:
        terminal.close()


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    """A plane of its own, which can be killed."""
    made = Plane(tmp_path)
    made.start()
    yield made
    made.kill()
