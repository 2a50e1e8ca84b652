"""A `tidegate plane serve` process on one port and one file, with a token for each of two people."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from tests.e2e.operating_cockpit import own_places
from tests.e2e.terminal import ROOT

STAGES = [
    {"id": f"{tier}@100", "tier": tier, "weight": 1.0, "gate": {"kind": "manual", "hold_s": 0}}
    for tier in ("pro", "plus", "free")
]
SEED = {
    "tiers": ["pro", "plus", "free"],
    "features": [{"id": "voice", "title": "Voice", "models": ["llama-70b"]}],
    "releases": [
        {
            "id": "llama-70b",
            "subject": {"kind": "model", "name": "llama-70b"},
            "stable": "r41",
            "candidate": "r42",
            "stages": STAGES,
        }
    ],
}


class Plane:
    """The process. What it was told is in `folder`, so that it goes on where it was when killed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.address = folder, ("127.0.0.1", 0)
        self._process: subprocess.Popen[str] | None = None
        (folder / "seed.json").write_text(json.dumps(SEED))
        tokens = folder / "tokens.toml"
        people = ("alice", "bob")
        tokens.write_text(
            "".join(
                f'[[token]]\nactor = "{one}@example.com"\nrole = "release-admin"\nsecret = "{secret(one)}"\n'
                for one in people
            )
        )
        tokens.chmod(0o600)

    @property
    def url(self) -> str:
        """Where it listens, the same at every start."""
        return "http://{}:{}".format(*self.address)

    def environment(self, person: str) -> dict[str, str]:
        """Of whoever asks it."""
        return own_places(self.folder) | {"TIDEGATE_TOKEN": secret(person)}

    def start(self) -> None:
        """Start it on the data it had; returns once it listens."""
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tui", "plane", "serve", "--listen", "{}:{}".format(*self.address)),
                *("--seed", str(self.folder / "seed.json"), "--data", str(self.folder / "plane.db")),
                *("--tokens", str(self.folder / "tokens.toml")),
            ],
            cwd=ROOT,
            env=os.environ | own_places(self.folder),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        found = re.match(r"control plane at http://([\d.]+):(\d+)", said)
        assert found, said + self._process.communicate()[0]
        self.address = (found[1], int(found[2]))

    def kill(self) -> None:
        """SIGKILL; returns once it is gone. Safe twice."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.communicate()


def secret(person: str) -> str:
    """The token of a person."""
    return f"the-secret-of-{person}"
