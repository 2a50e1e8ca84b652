"""Frames through numbers and state and back, as a file would keep them."""

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from collectors.fleet import Frame
from collectors.readings import Reason
from collectors.recording.built import Builder
from collectors.recording.codec import Payload, packed_frame, unpacked_frame
from collectors.recording.schema import from_json, to_json
from collectors.recording.shape import Shaped, Shaper
from collectors.recording.state import applied
from tests.frames import AT

T0_US = int(AT * 1e6)


class Round:
    """A shaper and a builder, with everything between them as bytes or JSON."""

    def __init__(self, t0_wall_us: int = T0_US) -> None:
        self.t0_wall_us = t0_wall_us
        self.shaper, self.builder = Shaper(t0_wall_us), Builder()
        self.state: dict[str, Any] = {}
        self.reasons: dict[int, Reason] = {}
        self.schemas = 0

    def shaped(self, frame: Frame) -> Shaped:
        """The frame's numbers, to be kept; the state and the reasons of the reader are those it tells."""
        shaped = self.shaper.take(frame)
        shaped = shaped._replace(values=shaped.values.copy(), times=shaped.times.copy())
        if shaped.is_new_schema:
            self.schemas += 1
            self.schema = from_json(json.loads(json.dumps(to_json(shaped.schema, {}))))
        for number, reason in shaped.reasons:
            code, *parameters = json.loads(json.dumps([reason.code, *reason.parameters]))
            self.reasons[number] = Reason(code, tuple(parameters))
        applied(self.state, json.loads(json.dumps(shaped.changed)))
        return shaped

    def frame(self, frame: Frame) -> Frame:
        """The frame as a reader builds it."""
        shaped = self.shaped(frame)
        payload = Payload(shaped.schema.id, shaped.values, shaped.times, shaped.exceptions)
        read = unpacked_frame(packed_frame(payload), self.schema.size, len(self.schema.sources))
        return self.builder.frame(
            self.schema,
            read.values,
            read.times,
            read.exceptions,
            self.reasons,
            self.state,
            frame.at,
            self.t0_wall_us,
            frame.events,
            frame.past,
        )


def as_replayed(frame: Frame) -> Frame:
    """What a replay of the frame must equal."""
    return replace(frame, tick=0, mode="REPLAY")


def replayed(frames: Iterable[Frame], t0_wall_us: int = T0_US) -> list[Frame]:
    """Frames, one after another, as a reader builds them."""
    path = Round(t0_wall_us)
    return [path.frame(frame) for frame in frames]
