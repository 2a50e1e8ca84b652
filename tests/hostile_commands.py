"""Commands that look at a recording, each in a process of its own, and what they cost there."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tests.hostile_recordings import NEVER_SHOWN

REPLAYED = """
import sys
from pathlib import Path
from collectors.recording.layout import RecordingError
from collectors.recording.places import events_before, found_next, past_told
from collectors.recording.reader import Recording

try:
    recording = Recording.open(Path(sys.argv[1]))
    for number in {0, recording.frames // 2, recording.frames - 1}:
        recording.frame(number)
    recording.timeline(120)
    recording.window(max(recording.frames - 300, 0), recording.frames - 1)
    recording.view_at(recording.end)
    events_before(recording, recording.end)
    past_told(recording, recording.end - 600, recording.end)
    for target in ("alert", "action", "bookmark"):
        found_next(recording, target, -1, recording.end)
        found_next(recording, target, 1, recording.start - 1)
    print(*recording.notices, *recording.gaps, *recording.marks(), sep="\\n")
except RecordingError as error:
    print(error)
"""
"""All that a replay asks of a recording."""

MEASURED = """
import json, os, resource, sys

child = os.fork()
if not child:
    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
    os.execv(sys.argv[2], sys.argv[2:])
_, status, used = os.wait4(child, 0)
with open(sys.argv[1], "w") as told:
    json.dump([os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, used.ru_maxrss], told)
"""
"""Runs a program from a small process: a child counts the memory of the one that it came from as its own. One
that hangs is ended."""

LOOKING: Mapping[str, tuple[str, ...]] = {
    "info": ("recording", "info"),
    "verify": ("recording", "verify"),
    "replay": ("-c", REPLAYED),
}
"""What looks at a recording, as `ran` takes it; the file follows."""


class Ran(NamedTuple):
    """How a command went. seconds: of CPU; megabytes: at its largest"""

    status: int
    seconds: float
    megabytes: float
    said: str


def ran(folder: Path, *command: str) -> Ran:
    """A command of tidegate, or with "-c" a program, to its end."""
    start = [sys.executable] if command[0] == "-c" else [sys.executable, "-m", "tui"]
    told = folder / "told"
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(told), *start, *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "XDG_STATE_HOME": str(folder / "state")},
        check=True,
    )
    status, seconds, kilobytes = json.loads(told.read_text())
    told.unlink()
    return Ran(status, seconds, kilobytes / 1024, done.stdout.decode("utf-8", "replace"))


def is_clean(text: str) -> bool:
    """Whether a terminal would do nothing but show it."""
    return not NEVER_SHOWN & set(text) and re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", text) is None
