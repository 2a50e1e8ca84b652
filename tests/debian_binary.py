"""Where the tests' real servers come from: installed, or unpacked from Debian's package without root."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NoReturn

import pytest

CACHE = Path(__file__).parent.parent / ".cache"


def debian_binary(package: str, title: str) -> tuple[Path | None, str]:
    """(the binary, "") or (None, why there is none and what to do).

    package: of Debian; its binary has the same name. The environment may name another: TIDEGATE_PROMETHEUS
    """
    variable = f"TIDEGATE_{package.upper().replace('-', '_')}"
    for found in (os.environ.get(variable), shutil.which(package)):
        if found:
            return Path(found), ""
    cache = CACHE / package
    unpacked = cache / "usr" / "bin" / package
    if unpacked.exists():
        return unpacked, ""
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        return None, f"no {title} here: install it, or set {variable} to its binary"
    why = _unpack(package, title, cache)
    return (unpacked, "") if unpacked.exists() else (None, why)


def lacking(why: str) -> NoReturn:
    """Skip the test for what this machine lacks; where CI runs, which is to run all, it fails instead."""
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


def _unpack(package: str, title: str, into: Path) -> str:
    """Fetch Debian's package and unpack it beside the tests; a sentence if that fails."""
    with tempfile.TemporaryDirectory() as folder:
        fetched = subprocess.run(
            ["apt-get", "download", package],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        packages = list(Path(folder).glob(f"{package}_*.deb"))
        if not packages:
            said = (fetched.stderr.strip().splitlines() or ["apt-get said nothing"])[-1]
            return f"no {title} here, and it could not be fetched ({said}): apt-get install {package}"
        into.mkdir(parents=True, exist_ok=True)
        subprocess.run(["dpkg", "-x", str(packages[0]), str(into)], check=True, timeout=60)
    return f"the package of {title} held no binary"
