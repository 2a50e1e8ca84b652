"""What importing the screen costs: the first paint comes before anything heavy."""

import subprocess
import sys

import pytest

HEAVY = (
    "httpx",
    "pydantic",
    "msgspec",
    "numpy",
    "starlette",
    "uvicorn",
    "prometheus_client",
    "prometheus_api_client",
    "collectors.fleet",
    "collectors.readings",
    "collectors.config",
    "collectors.watch.loop",
)


def loaded_after(statement: str) -> set[str]:
    """Modules in a fresh interpreter after `statement`."""
    code = f"{statement}\nimport sys; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("statement", ["import tui.app", "import tui.cli"])
def test_the_screen_starts_without_anything_heavy(statement: str) -> None:
    """A source and what it needs are imported after the first paint; so are the builders of what is drawn."""
    assert not loaded_after(statement).intersection(HEAVY)


def test_the_skeleton_is_made_without_anything_heavy() -> None:
    """Making the application and its first screen imports no more."""
    made = "import tui.app; app = tui.app.CockpitApp(lambda: None); app.MODES[app.DEFAULT_MODE]()"
    assert not loaded_after(made).intersection(HEAVY)


def test_what_draws_frames_needs_no_library_of_a_source() -> None:
    """Drawing never pays for pydantic or a client: frames are plain data."""
    heavy = set(HEAVY) - {"collectors.fleet", "collectors.readings"}
    assert not loaded_after("import tui.screens.fleet_panels, tui.screens.model").intersection(heavy)
