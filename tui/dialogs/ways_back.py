"""The way back from an action of the operator's own: the dialog that does it, or why there is none. Pure."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from collectors.fleet import Frame, Release
from collectors.readings import Reason, worded
from tui.dialogs.logged import share_in
from tui.releases import (
    VERBS,
    current_stage,
    exposure_at,
    exposure_now,
    exposure_weighed,
    is_paused_by_operator,
    share_text,
    stage_weight,
    stage_words,
    tier_titles,
    why_not,
)
from tui.widgets.stage_track import EVERYONE

if TYPE_CHECKING:
    from collectors.intents import Logged
    from tui.dialogs.form import Form

_VERBS: Mapping[str, str] = {
    **VERBS,
    "release.register": "register",
    "throttle.set": "throttle",
    "throttle.clear": "clear",
}
_NO_STAGE_BACK = "A stage cannot be un-advanced: this takes back all of them."


def inverse(frame: Frame, logged: "Logged") -> "Form | str":
    """The dialog that takes an action back, or extends it, or the sentence why there is none."""
    if frame.plane is None:
        return worded(Reason("no-plane"))
    if logged.result == "unknown":
        return f"nobody knows whether it landed: look at {logged.target} first, and act on what is there"
    if logged.result != "applied":
        code = f" ({logged.code})" if logged.code else ""
        what = "failed" if logged.result == "failed" else f"was {logged.result}"
        return f"it {what}{code}: nothing changed, so there is nothing to undo"
    if logged.target.kind == "throttle":
        from tui.dialogs.throttle import throttle_inverse

        return throttle_inverse(frame, logged)
    release = next((one for one in frame.releases if one.id == logged.target.id), None)
    if release is None:
        return f"the control plane tells of no release {logged.target} any more"
    return _release_inverse(frame, release, logged)


def extension(frame: Frame, logged: "Logged") -> "Form | str":
    """The dialog that gives a throttle of ours more time, or the sentence why there is none."""
    if logged.target.kind != "throttle":
        return f"{verb_of(logged)} of {logged.target} has no end that could be put off"
    from tui.dialogs.throttle import extend_form

    return extend_form(frame, logged.target)


def _release_inverse(frame: Frame, release: Release, logged: "Logged") -> "Form | str":
    from tui.dialogs.release import RETRY, advancing
    from tui.dialogs.release_stops import backing_out, pausing

    is_paused = is_paused_by_operator(release)
    match logged.operation:
        case "release.advance" | "release.register" | "release.retry" if release.phase == "aborted":
            return f"{release.subject} was aborted since: nothing of it is left to undo"
        case "release.advance":
            return _advance_back(frame, release, logged)
        case "release.register" | "release.retry":
            return backing_out(frame, release)
        case "release.pause":
            return pausing(frame, release) if is_paused else f"{release.subject} is not paused any more"
        case "release.resume":
            return f"{release.subject} is paused again already" if is_paused else pausing(frame, release)
        case "release.abort":
            if release.phase != "aborted":
                return f"{release.subject} is not aborted any more: it is {release.phase}"
            note = "It starts anew: the stage it was aborted at does not come back."
            return advancing(frame, release, step=RETRY, note=note)
        case "release.set_weight":
            return _weight_back(frame, release, logged)
        case "release.rollback":
            return "a roll back ends the release: `tidegate plane load FILE` registers its candidate again"
    return f"nothing is known that takes {verb_of(logged)} back"


def _advance_back(frame: Frame, release: Release, logged: "Logged") -> "Form | str":
    """The weight that the stage's tier had before, where that alone gives everyone back what they had; else
    out of the release as a whole."""
    from tui.dialogs.release import WEIGHT, advancing
    from tui.dialogs.release_stops import backing_out

    stage = current_stage(release)
    if release.phase != "completed" and _has_left(release, logged):
        return (
            f"{release.subject} has left that stage since: a sets the weight of the one it is at,"
            " B takes all of it back"
        )
    share = _share_before(release, logged)
    if stage is None or share is None or why_not(frame, release, "release.set_weight"):
        return backing_out(frame, release, note=_NO_STAGE_BACK)
    if was_set_again := _set_again(release, logged):
        return was_set_again
    titles = tier_titles(frame)
    note = (
        f"It stays at the stage {stage_words(stage, titles)}, with the weight that"
        f" {titles.get(stage.tier, stage.tier)} had before."
    )
    if stage.gate == "auto" and not is_paused_by_operator(release):
        note += " Its gate is automatic: pause it too, or it goes on by itself."
    return advancing(frame, release, step=WEIGHT, weight=share_text(share).removesuffix("%"), note=note)


def _share_before(release: Release, logged: "Logged") -> float | None:
    """The share of the current stage's tier before an advance to it; None where it had none, or where
    setting it back would not give every tier what it had."""
    stage, now = current_stage(release), stage_weight(release)
    if stage is None or now is None:
        return None
    before = _shares_before(release, logged)
    share = before.get(next(iter(before), "") if stage.tier == EVERYONE else stage.tier)
    if share is None or not 0 < share < now:
        return None
    weighed = exposure_weighed(release, share)
    is_same = all(round(before.get(tier, -1.0), 4) == round(one, 4) for tier, one in weighed.items())
    return round(share, 4) if is_same else None


def _shares_before(release: Release, logged: "Logged") -> Mapping[str, float]:
    """Each tier's share as the log tells it, else by the stage that it tells, else by the stage before."""
    told = logged.before.get("desired")
    if isinstance(told, Mapping):
        shares = {tier: share_in(told, tier) for tier in exposure_now(release)}
        return {tier: one for tier, one in shares.items() if one is not None}
    ids = [stage.id for stage in release.stages]
    was = logged.before.get("stage", ids[release.stage_index - 1] if release.stage_index else None)
    return exposure_at(release, ids.index(was) if isinstance(was, str) and was in ids else None)


def _weight_back(frame: Frame, release: Release, logged: "Logged") -> "Form | str":
    from tui.dialogs.release import WEIGHT, advancing

    stage = current_stage(release)
    if stage is None or _has_left(release, logged):
        return f"{release.subject} has left that stage since, and the weight with it"
    before = _weight(logged.before, stage.tier)
    if before is None:
        return "the log does not tell what the weight was before"
    if was_set_again := _set_again(release, logged):
        return was_set_again
    return advancing(frame, release, step=WEIGHT, weight=share_text(before).removesuffix("%"))


def _has_left(release: Release, logged: "Logged") -> bool:
    """Whether the release is no longer at the stage, or with the candidate, that the action left it at."""
    stage = current_stage(release)
    same = {"stage": stage.id if stage else None, "candidate": release.candidate}
    return any(logged.after.get(name, value) != value for name, value in same.items())


def _set_again(release: Release, logged: "Logged") -> str:
    """That the stage's weight is another than the action left; "" where it is not."""
    stage, now = current_stage(release), stage_weight(release)
    after = _weight(logged.after, stage.tier) if stage is not None else None
    if after is None or now is None or after == now:
        return ""
    return f"the weight was set again since, and is {share_text(now)}: set it from there"


def _weight(facts: Mapping[str, object], tier: str) -> float | None:
    """The logged share of the stage's tier; of a stage for everyone, any tier's."""
    share, desired = share_in(facts, "weight"), facts.get("desired")
    if share is None and isinstance(desired, Mapping):
        any_tier = next(iter(desired), tier) if tier == EVERYONE else tier
        share = share_in(desired, tier if tier in desired else any_tier)
    return None if share is None else round(share, 4)


def verb_of(logged: "Logged") -> str:
    """What was done, in a word or two."""
    return _VERBS.get(logged.operation, logged.operation)
