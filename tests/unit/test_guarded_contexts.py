"""What a context says of its plane holds however that plane is named."""

from pathlib import Path

import pytest

from collectors.config import Context, Settings, is_same_server, read_settings
from tui.contexts import with_guards

PLANE = "http://127.0.0.1:9931"


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:9931",
        "HTTP://127.0.0.1:9931/",
        "http://127.0.0.1:09931",
        "http://127.1:9931",
        "http://127.0.0.1:9931/.",
        "http://127.0.0.1:9931/v1",
        "http://[::1]:9931",
        " http://LOCALHOST.:9931",
    ],
)
def test_one_server_by_many_names(url: str) -> None:
    """Loopback by any name, a port with zeros, dots in the path: they reach the same plane."""
    assert is_same_server(PLANE, url)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9932",
        "https://127.0.0.1:9931",
        "http://10.0.0.1:9931",
        "http://127.0.0.1:9931/eu",
        "x",
    ],
)
def test_other_servers(url: str) -> None:
    """Another port, scheme, host or path is another server."""
    assert not is_same_server(PLANE, url)


def settings(folder: Path, said: str) -> Settings:
    """Settings with one context that says something of the plane."""
    file = folder / "config.toml"
    file.write_text(f'[contexts.prod]\nplane = "{PLANE}"\n{said}\n')
    return read_settings(file)


def test_never_and_production_hold_by_any_name(tmp_path: Path) -> None:
    """A plane named on the command line keeps what the configuration says of it."""
    found = settings(tmp_path, 'writes = "never"\nproduction = true')
    direct = Context.model_validate({"plane": "http://localhost:9931/"})
    guarded = with_guards(direct, found)
    assert (guarded.writes, guarded.production) == ("never", True)
    other = with_guards(Context.model_validate({"plane": "http://localhost:9999"}), found)
    assert (other.writes, other.production) == ("arm", False)


def test_what_a_context_says_of_itself_stays(tmp_path: Path) -> None:
    """`on` stays on where nothing stricter is said; no plane, nothing to guard."""
    found = settings(tmp_path, 'writes = "on"')
    assert with_guards(found.contexts["prod"], found).writes == "on"
    assert with_guards(Context(), found) == Context()
