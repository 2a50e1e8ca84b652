"""Server-sent events, cut anywhere."""

import pytest

from collectors.control.sse import COMMENT, EventReader, SentEvent

STREAM = (
    b'\xef\xbb\xbfevent: hello\ndata: {"seq":434}\n\n'
    b"id: 433\r\nevent: throttle\r\ndata: one\r\ndata: two\r\n\r\n"
    b": hb 2026-11-21T17:31:17.004Z\n\n"
    b"retry: 5\rid: 434\rdata\r\r"
    b"event: nothing\n\n"
    b"data:x\n\n"
)
EVENTS = [
    SentEvent("hello", b'{"seq":434}'),
    SentEvent("throttle", b"one\ntwo", "433"),
    SentEvent(COMMENT, b"hb 2026-11-21T17:31:17.004Z"),
    SentEvent("message", b"", "434"),
    SentEvent("message", b"x"),
]


def test_a_whole_stream() -> None:
    """Every line end, comments, several data lines, a BOM; an event without data is none."""
    assert EventReader().feed(STREAM) == EVENTS


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_a_stream_in_pieces(size: int) -> None:
    """Cut anywhere, CR LF included, it reads the same."""
    reader = EventReader()
    got = [
        event for start in range(0, len(STREAM), size) for event in reader.feed(STREAM[start : start + size])
    ]
    assert got == EVENTS


def test_an_endless_event_is_refused() -> None:
    """A line or an event without end costs a bounded amount of memory."""
    reader = EventReader(max_bytes=100)
    with pytest.raises(ValueError, match="larger than 100"):
        reader.feed(b"data: " + b"x" * 200)
    reader = EventReader(max_bytes=100)
    with pytest.raises(ValueError, match="larger than 100"):
        for _ in range(100):
            reader.feed(b"data: xxxxxxxx\n")


def test_an_id_with_nul_is_ignored() -> None:
    """As the standard says, so that it cannot come back as a header."""
    assert EventReader().feed(b"id: 1\x002\ndata: x\n\n") == [SentEvent("message", b"x")]
