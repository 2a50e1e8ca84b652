"""What the README shows must work as it stands."""

import re
import tomllib
from pathlib import Path

from collectors.config import Settings

README = Path(__file__).parents[2] / "README.md"


def test_its_configuration_is_read_as_one_file() -> None:
    """Every TOML block, pasted one after another, is a configuration without a mistake."""
    blocks = re.findall(r"```toml\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 2
    settings = Settings.model_validate(tomllib.loads("\n".join(blocks)))
    assert [server.cluster for server in settings.contexts["launch"].prometheus] == ["eu", "us"]
