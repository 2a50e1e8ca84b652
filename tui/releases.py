"""What can be done to a release as it stands, why the rest cannot, and whom a step opens it to. Pure.

Source: control contract, section 3.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from collectors.fleet import Check, Frame, Model, Release, Stage
from collectors.readings import Reason, worded
from tui.three_states import plane_time
from tui.widgets.stage_track import EVERYONE

if TYPE_CHECKING:
    from tui.screens.base import Selection

LEGAL_PHASES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "release.advance": ("pending", "progressing", "paused"),
        "release.pause": ("progressing", "paused"),
        "release.resume": ("paused",),
        "release.abort": ("pending", "progressing", "paused", "degraded", "unknown"),
        "release.retry": ("aborted", "degraded"),
        "release.rollback": ("pending", "progressing", "paused", "completed", "aborted", "degraded"),
        "release.set_weight": ("progressing", "paused"),
    }
)
"""The phases in which each operation is legal. An operator's pause bars `advance` besides, and only that
can be resumed."""

VERBS: Mapping[str, str] = MappingProxyType(
    {
        "release.advance": "advance",
        "release.pause": "pause",
        "release.resume": "resume",
        "release.abort": "abort",
        "release.retry": "go again",
        "release.rollback": "roll back",
        "release.set_weight": "set weight",
    }
)
"""Each operation in plain words."""


def selected_release(frame: Frame, selection: "Selection") -> Release | str:
    """The release of what is selected, or the sentence why there is none."""
    if frame.plane is None:
        return worded(Reason("no-plane"))
    wanted = selection.release or selection.feature or selection.model
    if not wanted:
        return "nothing is selected: choose a model, or a feature that has a release of its own"
    found = _chosen(frame, selection)
    if found is None:
        return f"{wanted} has no release: `tidegate plane load FILE` registers one"
    return found


def _chosen(frame: Frame, selection: "Selection") -> Release | None:
    if selection.release:
        named = (r for r in frame.releases if selection.release in (r.id, r.subject))
        return next(named, None)
    if selection.feature:
        return _opening(frame, "feature", (selection.feature,))
    model = next((m for m in frame.models if m.name == selection.model), None)
    # A plane knows a model without its cluster.
    return _opening(frame, "model", (selection.model, model.subject if model else ""))


def _opening(frame: Frame, kind: str, names: Sequence[str]) -> Release | None:
    return next((r for r in frame.releases if r.subject_kind == kind and r.subject in names), None)


def rebound(frame: Frame, release: Release) -> Release | None:
    """The same release, by its id, on a newer frame; None if the plane tells of it no more."""
    return next((r for r in frame.releases if r.id == release.id), None)


def why_not(frame: Frame, release: Release, operation: str) -> str:
    """Why `operation` cannot be done to the release now, in words; "" where it can."""
    if release.read_only:
        return release.read_only
    if frame.plane is None:
        return worded(Reason("no-plane"))
    ability = frame.plane.ability(operation)
    if not ability.is_open:
        return ability.why or "this control plane does not let you"
    return _why_not_now(release, operation)


def _why_not_now(release: Release, operation: str) -> str:
    by_operator = is_paused_by_operator(release)
    if release.phase not in LEGAL_PHASES[operation]:
        return f"it is {release.phase}: {_can_be_done(release)}"
    if operation == "release.advance":
        if by_operator:
            return f"paused by {pauser(release)}: resume it first"
        return "" if later_stages(release) else "it stands at its last stage"
    if operation == "release.pause" and by_operator:
        return f"paused by {pauser(release)} already"
    if operation == "release.resume" and not by_operator:
        return f"it {waiting_words(release)}: no operator paused it"
    if operation == "release.set_weight" and stage_weight(release) is None:
        return "it stands at no stage whose weight could be set"
    if operation == "release.rollback" and not revisions(release):
        if release.phase == "completed":
            return "no earlier revision is known"
        instead = "let it go again (key a)" if release.phase == "aborted" else "abort instead"
        return f"there is no stable revision to return to: {instead}"
    return ""


def _can_be_done(release: Release) -> str:
    legal = [one for one, phases in LEGAL_PHASES.items() if release.phase in phases]
    # What is legal may still be impossible, such as a roll back to nothing: it is no way to send anybody.
    able = [VERBS[one] for one in legal if not _why_not_now(release, one)]
    return f"what can be done is {' or '.join(able)}" if able else "nothing can be done to it"


def waiting_words(release: Release) -> str:
    """What a paused release waits for, where no operator paused it.

    With its gate open it waits for nothing but an advance.
    """
    if release.pause_reason not in (None, "gate"):
        return f"waits ({release.pause_reason})"
    return "waits for an advance" if release.gate == "open" else "waits for its gate"


def check_detail(check: Check) -> str:
    """What the plane says of a check of its gate, without what has grown old since it said so.

    It need not tell a release again while only time passes, so the seconds that a hold was counted to stand
    still. The end of the hold does not: where that is told, what is left says it all.
    """
    if check.id != "hold" or check.state == "pass" or not check.detail:
        return check.detail
    return f"{check.detail} when last told" if check.ready_at is None else ""


def is_paused_by_operator(release: Release) -> bool:
    """Whether a person paused it, so that only a person resumes it."""
    return release.phase == "paused" and release.pause_reason == "operator"


def pauser(release: Release) -> str:
    """Who paused it, as far as the plane's last change tells."""
    last = release.last_change
    return last.actor if last is not None and last.op == "release.pause" and last.actor else "an operator"


def current_stage(release: Release) -> Stage | None:
    """The stage it stands at; None before the first, and after it ended."""
    index = release.stage_index
    return release.stages[index] if index is not None and 0 <= index < len(release.stages) else None


def later_stages(release: Release) -> tuple[Stage, ...]:
    """The stages it can still be advanced to, the next one first."""
    return release.stages[0 if release.stage_index is None else release.stage_index + 1 :]


def stage_weight(release: Release) -> float | None:
    """Desired share of the current stage's tier; None where there is no stage, or nobody tells."""
    stage = current_stage(release)
    if stage is None:
        return None
    # A stage for everyone, and a weight set at one, give every tier the same.
    return next((e.desired for e in release.exposure if stage.tier in (EVERYONE, e.tier)), None)


def revisions(release: Release) -> tuple[str, ...]:
    """What it can be rolled back to: the stable revision first, then those before; empty without one.

    A completed release stands at its stable revision, so that one is left out.
    """
    if release.stable is None:
        return ()
    known = dict.fromkeys((release.stable, *release.history))
    return tuple(one for one in known if release.phase != "completed" or one != release.candidate)


def exposure_now(release: Release) -> Mapping[str, float]:
    """Desired share of each tier as it is, in the plane's order."""
    told = {one.tier: one.desired for one in release.exposure}
    return {tier: told.get(tier, told.get(EVERYONE, 0.0)) for tier in _tiers(release)}


def exposure_at(release: Release, index: int | None) -> Mapping[str, float]:
    """Desired share of each tier at stage `index` (None: at no stage), in the plane's order.

    Stages are cumulative: the last one at or before `index` that names a tier decides; "*" names all. A tier
    that none names has its base, or 0.
    """
    base = {one.tier: one.desired for one in release.base}
    shares = {tier: base.get(tier, base.get(EVERYONE, 0.0)) for tier in _tiers(release)}
    for stage in release.stages[: 0 if index is None else index + 1]:
        for tier in shares if stage.tier == EVERYONE else (stage.tier,):
            shares[tier] = stage.weight
    return shares


def exposure_weighed(release: Release, weight: float) -> Mapping[str, float]:
    """Desired share of each tier with another weight for the current stage's tier."""
    stage = current_stage(release)
    named = stage.tier if stage else ""
    shares = exposure_now(release)
    return {tier: weight if named in (EVERYONE, tier) else share for tier, share in shares.items()}


def left_without(release: Release, then: Mapping[str, float]) -> tuple[str, ...]:
    """Tiers that would have less of the subject, and nothing in its place.

    A model's stable revision takes the place of its candidate; a feature has nothing that does.
    """
    if release.subject_kind == "model" and release.stable is not None:
        return ()
    return tuple(tier for tier, share in exposure_now(release).items() if then.get(tier, share) < share)


def is_outage(release: Release, then: Mapping[str, float]) -> bool:
    """Whether requests would be served by nothing at all. A feature that closes is what its brake is for."""
    return release.subject_kind == "model" and bool(left_without(release, then))


def _tiers(release: Release) -> tuple[str, ...]:
    told = dict.fromkeys(
        (
            *(one.tier for one in release.exposure),
            *(one.tier for one in release.base),
            *(one.tier for one in release.stages),
        )
    )
    named = tuple(tier for tier in told if tier != EVERYONE)
    return named or tuple(told)


def tier_titles(frame: Frame) -> Mapping[str, str]:
    """How each tier is called on the screen; a tier that the frame does not know keeps its name."""
    return {EVERYONE: "everyone", **{tier.name: tier.title for tier in frame.tiers}}


def share_text(share: float) -> str:
    """A share of a tier for people: `25%`, `0.05%`."""
    return f"{round(share * 100, 2):g}%"


def stage_words(stage: Stage | None, titles: Mapping[str, str]) -> str:
    """A stage as what it opens: `Plus 25%`."""
    if stage is None:
        return "no stage"
    return f"{titles.get(stage.tier, stage.tier)} {share_text(stage.weight)}"


def served_by(frame: Frame, release: Release) -> tuple[Model, ...]:
    """The models that a release concerns: the one it opens, in every cluster, or those that serve it."""
    if release.subject_kind == "model":
        return tuple(m for m in frame.models if release.subject in (m.name, m.subject))
    serving = next((f.models for f in frame.features if f.id == release.subject), ())
    return tuple(m for m in frame.models if m.name in serving or m.subject in serving)


def gate_time(frame: Frame) -> float:
    """The time by the control plane's clock, by which its gates open, as far as a frame alone tells it."""
    return plane_time(frame, frame.at, frame.at)
