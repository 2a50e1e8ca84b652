"""Terminals for the tests, all of them ended afterwards."""

import sys
from collections.abc import Callable, Iterator, Mapping

import pytest

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
