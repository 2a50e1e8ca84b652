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
    made = "import tui.app; tui.app.CockpitApp(lambda: None).get_default_screen()"
    assert not loaded_after(made).intersection(HEAVY)


def test_what_draws_frames_needs_no_library_of_a_source() -> None:
    """Drawing never pays for pydantic or a client: frames are plain data."""
    heavy = set(HEAVY) - {"collectors.fleet", "collectors.readings"}
    assert not loaded_after("import tui.screens.fleet_panels, tui.screens.model").intersection(heavy)


def test_a_demo_is_understood_without_the_modules_of_other_commands() -> None:
    """A start pays for its own options: those of the others are added when they are asked for."""
    understood = "import tui.cli; tui.cli.command_line().parse_args(['demo'])"
    others = {
        "tui.recordings",
        "tui.reconstructing",
        "tui.reporting",
        "tui.runbook.options",
        "tui.first_steps",
    }
    assert not loaded_after(understood).intersection(others.union(HEAVY))
    assert others <= loaded_after("import tui.cli; tui.cli.command_line().whole()")
