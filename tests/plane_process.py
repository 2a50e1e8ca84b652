"""A `tidegate plane serve` process on one port and one file, that can be killed and started again."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

_MAIN = "import sys; from tui.cli import main; sys.exit(main())"


def secret(actor: str) -> str:
    """The token of an actor."""
    return f"the-secret-of-{actor}"


class PlaneProcess:
    """Its files are in a folder of its own. `kills`: how often it was killed while it ran."""

    def __init__(self, folder: Path, seed: object, roles: Mapping[str, str]) -> None:
        """seed: of the plane, JSON; roles: of each actor, whose token is `secret(actor)`"""
        self.folder, self.kills = folder, 0
        self._address = ("127.0.0.1", 0)
        self._process: asyncio.subprocess.Process | None = None
        (folder / "seed.json").write_text(json.dumps(seed))
        (folder / "plane.toml").write_text('tokens = "tokens.toml"\n[limits]\nwrites_per_min = 100000\n')
        tokens = folder / "tokens.toml"
        lines = (
            f'[[token]]\nactor = "{actor}"\nrole = "{role}"\nsecret = "{secret(actor)}"\n'
            for actor, role in roles.items()
        )
        tokens.write_text("".join(lines))
        tokens.chmod(0o600)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens, the same at every start."""
        return self._address

    @property
    def url(self) -> str:
        """Where it listens."""
        return "http://{}:{}".format(*self._address)

    async def start(self) -> None:
        """Start it on the data it had; returns once it listens. raises: AssertionError with what it said"""
        with (self.folder / "errors.txt").open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", _MAIN, "plane", "serve"),
                *("--listen", "{}:{}".format(*self._address)),
                *("--seed", str(self.folder / "seed.json"), "--data", str(self.folder / "plane.db")),
                *("--config", str(self.folder / "plane.toml")),
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env=os.environ | {"XDG_STATE_HOME": str(self.folder / "state")},
            )
        assert self._process.stdout is not None
        while line := (await self._process.stdout.readline()).decode():
            if line.startswith("control plane at http://"):
                host, _, port = line.strip().rpartition("//")[2].rpartition(":")
                self._address = (host, int(port))
            if line.startswith("look at it:"):
                return
        raise AssertionError(f"the plane does not start: {self.errors()}")

    async def kill(self) -> None:
        """SIGKILL, whatever it is at; returns once it is gone. Fine where it runs no more."""
        if self._process is None:
            return
        if self._process.returncode is None:
            self._process.kill()
            self.kills += 1
        await self._process.communicate()

    def errors(self) -> str:
        """What it wrote to stderr, over all its lives."""
        return (self.folder / "errors.txt").read_text()
