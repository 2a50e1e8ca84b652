"""A small incident for tests of reports: a model melts for six minutes, and an operator throttles it."""

import bisect
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from collectors import intending
from collectors.fleet import (
    Alert,
    Event,
    EventKind,
    Exposure,
    Feature,
    Frame,
    LastChange,
    Model,
    Release,
    Revert,
    Severity,
    SourceHealth,
    SourceState,
    Stage,
    Throttle,
    Tier,
)
from collectors.intents import Intent, Outcome, OutcomeKind, PlaneFacts, decided
from collectors.readings import Interval, Quality, Reading, Reason, reading
from collectors.recording.layout import NOTED, FileHeader, Kind, Tag
from collectors.recording.noted import Noted
from collectors.recording.notes import event_json, intent_json, mark_json, outcome_json, view_from, view_json
from collectors.recording.report.facts import Facts, gather
from collectors.recording.report.markdown import render_markdown
from collectors.recording.report.page import render_page
from collectors.recording.report.telling import document
from collectors.sessions import Gap, Mark, View

AT = 1_795_269_600.0
"""2026-11-21T14:00:00Z."""

STEP_S, FRAMES = 10.0, 121
TIERS = (Tier("pro", "Pro"), Tier("free", "Free"))
OBJECTIVES = {"pro": 2.0, "free": 6.0}
CELL = Throttle("images", "free", 1, "t-1", 1.0)
BUCKETS = ((0.1, 0.5), (4.0, 8.0), (8.0, 16.0))
"""Of the p99 wait of pro: well within, above, far above its objective of 2 s."""


def wait(lo: float, hi: float, at: float) -> dict[str, Reading]:
    """Quantiles of a wait: the p99 in (lo, hi], the p95 half of it, the p50 a quarter."""
    found = {}
    for signal, part in (("queue_wait_p99", 1.0), ("queue_wait_p95", 0.5), ("queue_wait_p50", 0.25)):
        found[signal] = reading(signal, Interval(lo * part, hi * part, (lo + hi) / 2 * part), at)
    return found


def melting(at: float, bucket: tuple[float, float], asked: float = 100.0, refused: float = 0.0) -> Model:
    """The model with pro's p99 in `bucket`; free is well within its objective."""
    rates = {
        "arrivals": reading("arrivals", asked, at),
        "rejected": reading("rejected", refused, at),
    }
    tiers = {"pro": wait(*bucket, at) | rates, "free": wait(0.1, 0.5, at) | rates}
    whole = {name: reading(name, (one.estimate or 0) * 2, at) for name, one in rates.items()}
    return Model("aurora", whole, tiers, OBJECTIVES, 1.0, ("images",))


def unknown(model: Model) -> Model:
    """The model with all of its readings stale."""
    stale = {
        tier: {
            s: replace(r, quality=Quality.STALE, reason=Reason("stale", (30, 5))) for s, r in found.items()
        }
        for tier, found in model.tiers.items()
    }
    return replace(model, tiers=stale)


def frame(n: int, model: Model, **more: Any) -> Frame:
    """Frame number `n` of the incident."""
    at = AT + n * STEP_S
    parts: dict[str, Any] = {
        "throttles": (CELL,),
        "features": (Feature("images", "Images", ("aurora",)),),
        "plane": PlaneFacts(actor="alice", role="operator"),
        "sources": (SourceHealth("prom", "prometheus", SourceState.OK, at, interval_s=5.0),),
    }
    return Frame(at, n, "prod", TIERS, (model,), **(parts | more))


def incident() -> list[Frame]:
    """20 minutes: pro above from minute 4 to 10, an alert from 4.5 on, a throttle from minute 7 on."""
    frames = []
    for n in range(FRAMES):
        at, minute = AT + n * STEP_S, n * STEP_S / 60
        bucket = BUCKETS[2] if 5 <= minute < 7 else BUCKETS[1] if 4 <= minute < 10 else BUCKETS[0]
        alerts = (
            (Alert("a-1", Severity.P1, "aurora", "pro", AT + 270, "queue p99 6 (4-8) s > 2 s"),)
            if 4.5 <= minute < 10
            else ()
        )
        events = []
        if minute == 4.5:
            events.append(Event(at, EventKind.ALERT, "P1", "aurora pro", "queue p99 6 (4-8) s > 2 s"))
        if minute == 10:
            events.append(Event(at, EventKind.ALERT, "cleared", "aurora pro", "after 330 s"))
        throttles = (CELL,)
        if minute >= 7:
            last = LastChange("a-7", "throttle.set", "alice", "queue over 8 s", AT + 421)
            throttles = (
                replace(
                    CELL,
                    level=0.3,
                    expires_at=AT + 3600,
                    revert_to=Revert(0.8, None),
                    last_change=last,
                ),
            )
        model = melting(at, bucket, refused=20.0 if minute >= 7 else 0.0)
        frames.append(frame(n, model, alerts=alerts, events=tuple(events), throttles=throttles))
    return frames


def throttling(reason: str = "queue over 8 s") -> Intent:
    """Admit 30 % of the images of free, for half an hour."""
    return decided([intending.set_throttle(CELL, level=0.3, ttl_s=1800)], reason, "REL-7")[0]


def applied(intent: Intent, at: float) -> Outcome:
    """It was done."""
    return Outcome(intent, OutcomeKind.APPLIED, at, "level admit 100% → admit 30%", audit_id="a-7")


_STAGES = (Stage("plus@100", "plus", 1.0), Stage("free@5", "free", 0.05))
OPEN = Release(
    "research", "Deep research", "feature", "research", 1, "m-1", None, "open-2", _STAGES, "paused", 1,
    (Exposure("pro", 1.0), Exposure("plus", 1.0), Exposure("free", 0.05)),
    pause_reason="gate", last_change=LastChange("a-1", "release.advance", "root", "planned step", AT - 60),
)  # fmt: skip
"""A feature that is open to pro and plus, and to a few of free."""


def changed(release: Release, op: str, audit_id: str, at: float, actor: str = "root", **more: Any) -> Release:
    """The release after a change."""
    return replace(release, last_change=LastChange(audit_id, op, actor, "waits rise", at), **more)


ABORTED = changed(
    OPEN, "release.abort", "a-2", AT + 298, phase="aborted", stage_index=None, pause_reason=None,
    exposure=(Exposure("pro", 1.0), Exposure("plus", 0.0), Exposure("free", 0.0)),
)  # fmt: skip
"""The feature, taken back to where it began."""

AGAIN = changed(ABORTED, "release.retry", "a-3", AT + 598, phase="pending")
"""Retried, and never advanced."""


def going(*steps: tuple[float, Release]) -> list[Frame]:
    """The incident with a release that stands as each step says, from so many seconds on."""
    return [
        replace(one, releases=tuple(found[-1:]), throttles=(CELL,))
        for one in incident()
        for found in [[release for since, release in steps if one.at >= AT + since]]
    ]


@dataclass
class Kept:
    """Frames and notes in memory, read as a recording is."""

    frames_kept: Sequence[Frame]
    notes: list[Noted] = field(default_factory=list)
    gaps: Sequence[Gap] = ()
    notices: Sequence[str] = ()
    is_closed: bool = True
    facts: Mapping[str, Any] = field(default_factory=lambda: {"context": "prod", "app": "tidegate 0.1.0"})
    bookmarks: Sequence[Mark] = ()
    id: str = "r-1"

    @property
    def header(self) -> FileHeader:
        return FileHeader(self.facts)

    @property
    def start(self) -> float:
        return self.frames_kept[0].at

    @property
    def end(self) -> float:
        return self.frames_kept[-1].at

    @property
    def frames(self) -> int:
        return len(self.frames_kept)

    def index_at(self, at: float) -> int:
        return max(0, bisect.bisect_right([one.at for one in self.frames_kept], at) - 1)

    def time_of(self, number: int) -> float:
        return self.frames_kept[number].at

    def frame(self, number: int) -> Frame:
        return self.frames_kept[number]

    def noted(
        self, start: float, end: float, kinds: Container[Kind] = NOTED, tags: Container[int] | None = None
    ) -> Iterator[Noted]:
        told = [
            Noted(one.at, Kind.EVENT, Tag.HAPPENED, 0, event_json(event))
            for one in self.frames_kept
            for event in one.events
        ]
        every = sorted([*told, *self.notes], key=lambda note: note.at)
        return (n for n in every if start <= n.at <= end and (tags is None or n.tag in tags))

    def view_at(self, at: float) -> View | None:
        views = [n for n in self.notes if n.tag == Tag.VIEW and n.at <= at]
        return view_from(views[-1].body) if views else None

    def marks(self) -> Sequence[Mark]:
        return self.bookmarks

    def looked(self, at: float, view: View) -> "Kept":
        self.notes.append(Noted(at, Kind.EVENT, Tag.VIEW, 0, view_json(view)))
        return self

    def asked(self, at: float, intent: Intent, actor: str = "alice") -> "Kept":
        self.notes.append(Noted(at, Kind.ACTION, Tag.INTENT, 0, intent_json(intent) | {"actor": actor}))
        return self

    def became(self, at: float, outcome: Outcome) -> "Kept":
        self.notes.append(Noted(at, Kind.ACTION, Tag.RESULT, 0, outcome_json(outcome)))
        return self

    def marked(self, mark: Mark) -> "Kept":
        self.notes.append(Noted(mark.at, Kind.MARK, Tag.BOOKMARK, 0, mark_json(mark)))
        self.bookmarks = (*self.bookmarks, mark)
        return self


def kept(frames: Iterable[Frame] | None = None) -> Kept:
    """The incident with its operator: looks at minute 5, throttles at 7, applied 2 s later."""
    intent = throttling()
    return (
        Kept(list(frames) if frames is not None else incident())
        .looked(AT, View(width=120, height=40))
        .looked(AT + 300, View("model", "aurora", width=120, height=40))
        .looked(AT + 400, View("model", "aurora", dialog="Throttle images", width=120, height=40))
        .asked(AT + 420, intent)
        .became(AT + 422, applied(intent, AT + 422))
        .marked(Mark(AT + 600, "alice", "pro is fine again"))
    )


def facts(recording: Kept | None = None, start: float | None = None, end: float | None = None) -> Facts:
    """The facts of the incident, or of another recording."""
    return gather(recording or kept(), "night.tgrec", start, end)


def both(recording: Kept | None = None) -> tuple[str, str]:
    """The report as Markdown and as a page."""
    found = document(facts(recording))
    return render_markdown(found), render_page(found)
