"""A process that records until it is killed: `python -m tests.recording_process FILE|FOLDER FRAMES FIRST`.

Says `start` before the first frame, then the number of frames whose write has returned, a line each.
"""

import os
import sys
from pathlib import Path

from collectors.recording.redact import Redaction
from collectors.recording.writer import RecordingWriter
from tests.recording_parts import FACTS, changing


def main() -> None:
    """Record as fast as the disk takes it; a frame is told once it is written."""
    place, frames, first = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    is_file = place.suffix == ".tgrec"
    writer = RecordingWriter(
        None if is_file else place,
        file=place if is_file else None,
        facts=FACTS,
        redaction=Redaction(),
        simulated=True,
    )
    writer.start()
    os.write(1, b"start\n")
    for number, frame in enumerate(changing(frames, first=first), 1):
        writer.put(frame)
        writer.flush()
        if trouble := writer.state.trouble:
            os.write(1, f"trouble {trouble}\n".encode())
        os.write(1, f"{number}\n".encode())
    writer.close()
    os.write(1, b"closed\n")


if __name__ == "__main__":
    main()
