"""Where the tests' real Prometheus comes from: installed, or unpacked from Debian's package without root."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

CACHE = Path(__file__).parent.parent / ".cache" / "prometheus"


def prometheus_binary() -> tuple[Path | None, str]:
    """(the binary, "") or (None, why there is none and what to do)."""
    for found in (os.environ.get("TIDEGATE_PROMETHEUS"), shutil.which("prometheus")):
        if found:
            return Path(found), ""
    unpacked = CACHE / "usr" / "bin" / "prometheus"
    if unpacked.exists():
        return unpacked, ""
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        return None, "no Prometheus here: install it, or set TIDEGATE_PROMETHEUS to its binary"
    why = _unpack(CACHE)
    return (unpacked, "") if unpacked.exists() else (None, why)


def _unpack(into: Path) -> str:
    """Fetch Debian's package and unpack it beside the tests; a sentence if that fails."""
    with tempfile.TemporaryDirectory() as folder:
        fetched = subprocess.run(
            ["apt-get", "download", "prometheus"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        packages = list(Path(folder).glob("prometheus_*.deb"))
        if not packages:
            said = (fetched.stderr.strip().splitlines() or ["apt-get said nothing"])[-1]
            return f"no Prometheus here, and it could not be fetched ({said}): apt-get install prometheus"
        into.mkdir(parents=True, exist_ok=True)
        subprocess.run(["dpkg", "-x", str(packages[0]), str(into)], check=True, timeout=60)
    return "the package of Prometheus held no binary"
