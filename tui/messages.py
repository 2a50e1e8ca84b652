"""What reaches the screen from the threads that listen to sources."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from collectors.fleet import Frame
    from collectors.intents import Outcome
    from tui.stream import Stream


@dataclass
class FrameArrived(Message):
    """There is a newer frame: look. History was fed before, because a replaced message is never seen.

    stream: whose it is; None for what is live
    """

    frame: "Frame"
    stream: "Stream | None" = None

    def can_replace(self, message: Message) -> bool:
        """Only an older frame of the same source gives way; an event or an outcome each counts."""
        return isinstance(message, FrameArrived) and message.stream is self.stream


@dataclass
class SourceSpoke(Message):
    """What a source's thread has to say about itself, in a sentence. `trouble` is False for progress."""

    sentence: str
    trouble: bool
    stream: "Stream | None" = None


@dataclass
class OutcomeArrived(Message):
    """What became of an intent: each counts, none is ever replaced."""

    outcome: "Outcome"
