"""What a control plane is to the rest of tidegate: read it, follow what changes in it, write to it."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from collectors.fleet import Event, Feature, Release, SourceHealth, Throttle
from collectors.intents import Ability, Operator


@dataclass(frozen=True, slots=True)
class PlaneState:
    """Everything a plane said, as of `seq`.

    tiers: from most to least privileged
    abilities: every name of OPERATIONS, the missing ones included
    at: the server's time of its newest word, seconds since the epoch
    clock_offset_s: the server's clock less ours, by the sample with the shortest round trip; None if untold
    """

    releases: tuple[Release, ...]
    throttles: tuple[Throttle, ...]
    features: tuple[Feature, ...]
    tiers: tuple[str, ...]
    abilities: Mapping[str, Ability]
    actor: str
    role: str
    seq: int
    at: float
    clock_offset_s: float | None
    api_version: str
    ttl_max_s: int = 604_800


@dataclass(frozen=True, slots=True)
class PlaneUpdate:
    """One step of following a plane.

    state: the whole state if it changed, else None: the one before still holds, as old as `health.at`
    events: what happened since the update before, oldest first
    """

    state: PlaneState | None
    events: tuple[Event, ...]
    health: SourceHealth


class PlaneError(Exception):
    """A plane could not be read. str() is a sentence: what happened, what is true now, what to do.

    Never holds a token. code: the contract's problem code, empty where there is none; status: of the HTTP
    answer, 0 without one.
    """

    def __init__(self, sentence: str, *, code: str = "", status: int = 0) -> None:
        self.code, self.status = code, status
        super().__init__(sentence)


class ControlPlane(ABC):
    """A boundary to one control plane. Safe to read from one task at a time."""

    @abstractmethod
    def capabilities(self) -> Mapping[str, Ability]:
        """Every operation by name, the missing ones included, as last read."""

    @abstractmethod
    async def read(self) -> PlaneState:
        """The whole state, asked for now. raises: PlaneError."""

    @abstractmethod
    def updates(self) -> AsyncIterator[PlaneUpdate]:
        """Follow the plane for ever: an update on every change, and one of its health every few seconds.

        An absent, refusing or lying server is told in `health`, never raised.
        """

    def operator(self) -> Operator | None:
        """The way of intents to this plane; None for one that can only be read."""
        return None

    @abstractmethod
    async def aclose(self) -> None:
        """Stop following and free what is held. Safe to call twice."""
