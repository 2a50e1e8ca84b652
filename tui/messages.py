"""What reaches the screen from the thread that listens to the source."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from collectors.fleet import Frame
    from collectors.intents import Outcome


@dataclass
class FrameArrived(Message):
    """There is a newer frame: look. History was fed before, because a replaced message is never seen."""

    frame: "Frame"

    def can_replace(self, message: Message) -> bool:
        """Only an older frame gives way; an event or an outcome each counts."""
        return isinstance(message, FrameArrived)


@dataclass
class SourceSpoke(Message):
    """What the source's thread has to say about itself, in a sentence. `trouble` is False for progress."""

    sentence: str
    trouble: bool


@dataclass
class OutcomeArrived(Message):
    """What became of an intent: each counts, none is ever replaced."""

    outcome: "Outcome"
