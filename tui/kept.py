"""The recording of a live session: begun on the feed's thread once there is a source, asked from the screen.

What writes it needs libraries of weight: they are imported after the first paint.
"""

from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    # Before the first paint nothing is recorded yet.
    from collectors.fleet import Source
    from collectors.keeping import RecordingSettings
    from collectors.recording.writer import RecordingWriter
    from collectors.sessions import Mark, RecorderState, View

MARKS_KEPT = 100
"""Bookmarks kept for a recording that has not begun yet."""


class Keeping(NamedTuple):
    """Where and how a session is kept.

    file: this one file; folder: a ring of files there, or of the settings; both None: the settings' ring
    settings: None for what comes without a configuration
    context, simulated: what is watched; facts: more for the head of the file
    append: whether a `file` that was closed is gone on with
    """

    context: str
    simulated: bool = False
    file: Path | None = None
    folder: Path | None = None
    settings: "RecordingSettings | None" = None
    facts: Mapping[str, str] = MappingProxyType({})
    append: bool = False


class SessionRecorder:
    """A `Recorder` whose file is begun by `around`, each time a source is connected."""

    def __init__(self, keeping: Keeping) -> None:
        self._keeping = keeping
        self._writer: RecordingWriter | None = None
        self._view: View | None = None
        self._marks: deque[Mark] = deque(maxlen=MARKS_KEPT)
        self._refused = ""
        # The screen's thread gives views and marks while the feed's begins the file.
        self._lock = Lock()

    @property
    def state(self) -> "RecorderState":
        """Of the file that is written; nothing is on before the first source."""
        if self._writer is not None:
            return self._writer.state
        from collectors.sessions import RecorderState

        return RecorderState()

    def view(self, view: "View") -> None:
        """Recorded now, or as the first view of a recording that has not begun."""
        with self._lock:
            self._view = view
            if self._writer is not None:
                self._writer.view(view)

    def mark(self, mark: "Mark") -> None:
        """Recorded now, or as soon as the recording begins."""
        with self._lock:
            if self._writer is not None:
                self._writer.mark(mark)
            else:
                self._marks.append(mark)

    def flush(self) -> None:
        """As the file's writer does."""
        if self._writer is not None:
            self._writer.flush()

    def told(self) -> tuple[str, bool]:
        """What became of the file that was asked for: a sentence, and whether all of it was recorded."""
        from collectors.recording.times import counted, span
        from collectors.text import clean

        file, state = clean(str(self._keeping.file), 500), self.state
        if self._refused or not state.frames:
            why = self._refused or state.trouble or "no frame came"
            return f"{file} was not recorded: {clean(why, 500)}", False
        amount = f"{counted(state.frames, 'frame')}, {span(state.seconds)}"
        trouble = f". Not all of it was recorded: {clean(state.trouble, 500)}" if state.trouble else ""
        return f"wrote {file}: {amount}; see it with: tidegate replay {file}{trouble}", not trouble

    def around(self, connect: "Callable[[], Source]") -> "Callable[[], Source]":
        """The same source, with all it yields recorded. To be called on the feed's thread.

        The new one raises: RecordingError where a file of its own was asked for and cannot be written; what
        `connect` raises.
        """

        def connected() -> "Source":
            from collectors.recording.layout import RecordingError
            from collectors.recording.source import RecordingSource

            # A source that is connected anew goes on in the file that this session itself has closed.
            has_begun = self._writer is not None
            writer = new_writer(self._keeping._replace(append=True) if has_begun else self._keeping)
            source = RecordingSource(connect(), writer)
            try:
                writer.start()
            except RecordingError as error:
                self._refused = str(error)
                raise
            with self._lock:
                self._writer, self._refused = writer, ""
                if self._view is not None:
                    writer.view(self._view)
                while self._marks:
                    writer.mark(self._marks.popleft())
            return source

        return connected


def new_writer(keeping: Keeping) -> "RecordingWriter":
    """A writer that has not begun. Imports libraries of weight, and those of a configuration only for one."""
    from collectors.recording.redact import Redaction
    from collectors.recording.ring import RingLimits
    from collectors.recording.writer import RecordingWriter

    settings, limits = keeping.settings, RingLimits()
    if settings is not None:
        limits = RingLimits(max_bytes=settings.max_megabytes * 10**6, max_age_s=settings.max_days * 86_400.0)
    return RecordingWriter(
        None if keeping.file is not None else keeping.folder or ring_folder(settings),
        file=keeping.file,
        limits=limits,
        facts={"context": keeping.context, **keeping.facts},
        redaction=Redaction(extra=settings.redact if settings is not None else ()),
        simulated=keeping.simulated,
        signing_key=settings.signing_key if settings is not None else None,
        if_closed=keeping.append,
    )


def going_on(keeping: Keeping) -> str:
    """What to say of the one file before it is recorded into: that it is gone on with; "" for a new one.

    raises: RecordingError where it was closed and is to stay as it is, or another process records into it
    """
    try:
        if (file := keeping.file) is None or not file.exists():
            return ""
    except OSError:
        return ""  # no name for a file: whoever opens it to write says why
    from collectors.recording.file import closed_error
    from collectors.recording.standing import standing
    from collectors.recording.times import counted, stamp
    from collectors.text import clean

    if (found := standing(file)) is None:
        return ""
    if found.is_closed and not keeping.append:
        raise closed_error(file)
    end = f" until {stamp(found.end)}" if found.end is not None else ""
    cut_off = "" if found.is_closed else "was not closed and "
    return f"goes on in {clean(str(file), 500)}, which {cut_off}held {counted(found.frames, 'frame')}{end}"


def ring_folder(settings: "RecordingSettings | None") -> Path:
    """Where live sessions are recorded: without a folder in the settings, the platform's for state."""
    from platformdirs import user_state_path

    named = settings.folder if settings is not None else None
    return named or user_state_path("tidegate") / "recordings"
