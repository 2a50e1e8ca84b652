"""Server-sent events from bytes, as they arrive. Source: the HTML standard, section 9.2.6."""

from typing import NamedTuple

COMMENT = ":"
"""`kind` of a comment line: no event, but a sign of life."""


class SentEvent(NamedTuple):
    """One event, or a comment. `id` is None where this event brought none."""

    kind: str
    data: bytes
    id: str | None = None


class EventReader:
    """Feed it chunks cut anywhere; it gives back whole events."""

    def __init__(self, max_bytes: int = 1_048_576) -> None:
        self._max_bytes = max_bytes
        self._rest = b""
        self._ended_in_cr = False
        self._is_first = True
        self._clear()

    def feed(self, chunk: bytes) -> list[SentEvent]:
        """Events complete after `chunk`, in order.

        raises: ValueError when one event is larger than `max_bytes`.
        """
        if self._ended_in_cr and chunk:
            # CR LF that fell into two chunks is one line break.
            chunk = chunk.removeprefix(b"\n")
            self._ended_in_cr = False
        text = self._rest + chunk
        if self._is_first and len(text) >= 3:
            text, self._is_first = text.removeprefix(b"\xef\xbb\xbf"), False
        lines = text.splitlines(keepends=True)
        self._rest = lines.pop() if lines and not lines[-1].endswith((b"\n", b"\r")) else b""
        self._ended_in_cr = bool(lines) and not self._rest and lines[-1].endswith(b"\r")
        events = [event for line in lines if (event := self._line(line.rstrip(b"\r\n"))) is not None]
        if len(self._rest) + self._size > self._max_bytes:
            raise ValueError(f"one event is larger than {self._max_bytes} bytes")
        return events

    def _clear(self) -> None:
        self._kind, self._size = "", 0
        self._data: list[bytes] = []
        self._id: str | None = None

    def _line(self, line: bytes) -> SentEvent | None:
        if not line:
            event = SentEvent(self._kind or "message", b"\n".join(self._data), self._id)
            is_empty = not self._data
            self._clear()
            return None if is_empty else event
        if line.startswith(b":"):
            return SentEvent(COMMENT, line[1:].strip())
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        self._size += len(line)
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._kind = value.decode("utf-8", "replace")
        elif name == b"id" and b"\0" not in value:
            self._id = value.decode("utf-8", "replace")
        return None
