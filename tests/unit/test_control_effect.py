"""Whether a resource shows what a write asked for: what the plane may do by itself is taken, a lie is not."""

from dataclasses import replace
from typing import Any

import pytest

from collectors import intending
from collectors.control import effect
from collectors.fleet import Exposure, LastChange, Release, Revert, Stage, Throttle
from collectors.intents import Intent

CELL = Throttle("image-generation", "free", 410, "t-8", 0.3)
LIMITED = replace(CELL, level=None, unit="rpm", limit=200.0)
RELEASE = Release(
    id="llama-70b",
    title="Llama 70B",
    subject_kind="model",
    subject="llama-70b",
    seq=412,
    etag="m-18",
    stable="r41",
    candidate="r42",
    stages=(
        Stage("pro@100", "pro", 1.0),
        Stage("plus@25", "plus", 0.25),
        Stage("plus@100", "plus", 1.0, "auto"),
        Stage("free@100", "free", 1.0),
    ),
    phase="paused",
    pause_reason="gate",
    stage_index=1,
    exposure=(Exposure("pro", 1.0), Exposure("plus", 0.25), Exposure("free", 0.0)),
    gate="open",
)
HELD = replace(RELEASE, pause_reason="operator")
ABORTED = replace(RELEASE, phase="aborted", pause_reason=None, stage_index=None)
PENDING = replace(RELEASE, phase="pending", pause_reason=None, stage_index=None)


@pytest.mark.parametrize(
    ("intent", "after", "lacks"),
    [
        (intending.set_throttle(CELL, level=0.1), replace(CELL, level=0.1), ""),
        (intending.set_throttle(CELL, level=0.3), replace(CELL, level=0.30001), ""),
        (intending.set_throttle(CELL, level=0.3), replace(CELL, level=0.5), "admit 30%"),
        (intending.set_throttle(CELL, level=0.3), replace(CELL, level=None), "admit 30%"),
        (
            intending.set_throttle(CELL, level=0.1, ttl_s=60),
            replace(CELL, level=0.1),
            "a time at which it ends",
        ),
        (intending.set_throttle(CELL, level=0.1, ttl_s=60), replace(CELL, level=0.1, expires_at=9.0), ""),
        (intending.set_throttle(LIMITED, limit=90.0), replace(LIMITED, limit=90.0), ""),
        (intending.set_throttle(LIMITED, limit=90.0), LIMITED, "admit 90.0 rpm"),
        (intending.clear_throttle(CELL), replace(CELL, level=1.0), ""),
        (intending.clear_throttle(CELL), replace(CELL, level=0.6), ""),
        (intending.clear_throttle(CELL), CELL, "admit 60%"),
        (intending.clear_throttle(CELL, revert_to="open"), replace(CELL, level=0.6), "admit 100%"),
        (intending.clear_throttle(LIMITED), replace(LIMITED, limit=300.0), ""),
    ],
)
def test_what_a_cell_does_not_show(intent: Intent, after: Throttle, lacks: str) -> None:
    """The level or limit that was asked for, its end, and on the way back what was remembered, or open."""
    before = replace(CELL if intent.seen.get("level") else LIMITED, revert_to=Revert(0.6, None))
    assert effect.lacking(intent, before, after) == lacks


def at(index: int | None, phase: str = "paused", **members: Any) -> Release:
    """The release at a stage."""
    return replace(RELEASE, stage_index=index, phase=phase, **members)


AGAIN = intending.register({"id": "llama-70b", "candidate": "r43", "stages": []}, ABORTED)


@pytest.mark.parametrize(
    ("intent", "after", "lacks"),
    [
        (intending.advance(RELEASE), at(2, "progressing"), ""),
        (intending.advance(RELEASE), at(3, "completed", stable="r42"), ""),
        (intending.advance(RELEASE), at(1), "stage plus@100"),
        (intending.advance(RELEASE), ABORTED, "stage plus@100"),
        (intending.advance(RELEASE), at(2, candidate="r43"), "candidate r42"),
        (intending.advance(RELEASE, to="free@100"), at(3, "completed"), ""),
        (intending.advance(RELEASE, to="free@100"), at(2), "stage free@100"),
        (intending.advance(PENDING), at(0), ""),
        (intending.advance(PENDING), at(1), "stage pro@100"),
        (intending.advance(PENDING), PENDING, "stage pro@100"),
        (intending.pause(RELEASE), HELD, ""),
        (intending.pause(RELEASE), RELEASE, "paused by an operator"),
        (intending.pause(RELEASE), at(2, "progressing"), "paused by an operator"),
        (intending.resume(HELD), RELEASE, ""),
        (intending.resume(HELD), at(3, "completed"), ""),
        (intending.resume(HELD), HELD, "resumed"),
        (intending.resume(HELD), at(0), "stage plus@25"),
        (intending.abort(RELEASE), ABORTED, ""),
        (intending.abort(RELEASE), RELEASE, "aborted"),
        (intending.abort(RELEASE), replace(ABORTED, stage_index=1), "aborted"),
        (intending.retry(ABORTED), PENDING, ""),
        (intending.retry(ABORTED), at(0, "progressing"), ""),
        (intending.retry(ABORTED), ABORTED, "waiting to begin again"),
        (intending.roll_back(RELEASE), at(None, "completed", candidate="r41"), ""),
        (intending.roll_back(RELEASE), RELEASE, "completed with r41"),
        (intending.roll_back(RELEASE), at(None, "completed"), "completed with r41"),
        (
            intending.roll_back(RELEASE, to_revision="r40"),
            at(None, "completed", candidate="r41"),
            "completed with r40",
        ),
        (
            intending.set_weight(RELEASE, 0.5),
            at(1, exposure=(Exposure("pro", 1.0), Exposure("plus", 0.5))),
            "",
        ),
        (intending.set_weight(RELEASE, 0.5), RELEASE, "plus at 50%"),
        (intending.set_weight(RELEASE, 0.5), at(2, "progressing"), ""),
        (intending.set_weight(RELEASE, 0.5), ABORTED, "stage plus@25"),
        (AGAIN, replace(PENDING, candidate="r43"), ""),
        (AGAIN, PENDING, "candidate r43"),
        (AGAIN, replace(ABORTED, candidate="r43"), "waiting to begin"),
    ],
)
def test_what_a_release_does_not_show(intent: Intent, after: Release, lacks: str) -> None:
    """The stage, the phase, the candidate or the share that was asked for; a gate may have opened since."""
    assert effect.lacking(intent, RELEASE, after) == lacks


def test_what_cannot_be_compared_is_not_held_against_the_plane() -> None:
    """Where it is not known how a cell was, a clear may lead anywhere."""
    assert effect.lacking(intending.clear_throttle(CELL), None, replace(CELL, level=0.7)) == ""


def test_something_newer_than_the_write_is_known_by_its_entry() -> None:
    """Neither the write's own entry nor the one that was there before."""
    old, ours, newer = (LastChange(one, "throttle.set", "bob", "", 1.0) for one in ("a-1", "a-2", "a-3"))
    before = replace(CELL, last_change=old)
    assert not effect.is_overtaken(before, before, "a-2")
    assert not effect.is_overtaken(before, replace(CELL, last_change=ours), "a-2")
    assert effect.is_overtaken(before, replace(CELL, last_change=newer), "a-2")
    assert not effect.is_overtaken(None, CELL, "a-2")
