"""Opens the throttle dialog's form: on what is selected, to extend a throttle, or to undo an action. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from collectors.fleet import Frame, Model, Throttle
from collectors.intents import Logged, Target
from collectors.readings import Reason, worded
from collectors.text import clean
from tui.dialogs.logged import share_in
from tui.dialogs.throttle_form import (
    CLEAR,
    NO_ANSWER,
    OPEN,
    PREVIOUS,
    SET,
    ThrottleForm,
)
from tui.dialogs.throttle_subject import hits, name
from tui.dialogs.throttle_time import REST, UNTIL_CLEARED
from tui.format import clock, percent
from tui.screens.shares import Shares, feature_shares
from tui.throttles import admits, alike, in_force, moment, named_level, percentage, preset

if TYPE_CHECKING:
    from tui.screens.base import Selection
    from tui.screens.trends import Trends

__all__ = ["ThrottleForm", "extend_form", "setting_in", "throttle_form", "throttle_inverse"]

GROWN = 0.05
"""A share that grew by less is no reason to be chosen: that much is noise."""

ENDED_S = 1800
"""For so long after its end a throttle still tells what is being dealt with, seconds."""


def throttle_form(frame: Frame, selection: "Selection", trends: "Trends | None") -> ThrottleForm | str:
    """The form for what is selected; a sentence why there is nothing to throttle.

    Of a model the feature is chosen that is throttled there already, else the one that grew most; else none.
    trends: of the shares of features; None knows only those of now
    """
    if why := _nothing(frame):
        return why
    model, feature = _selected(frame, selection)
    served = [one for one in frame.features if model is not None and model in hits(frame, (one,)).models]
    offered = [one.id for one in served] or [one.id for one in frame.features]
    if feature:
        offered = [feature, *(id for id in offered if id != feature)]
        return _opened(frame, offered, feature, selection.tier)
    of = model.name if model is not None and served else ""
    if of and (found := _throttled(frame, offered, selection.tier)):
        cell, why = found
        tier = selection.tier if selection.tier in _tiers(frame) else cell.tier
        return _opened(frame, offered, cell.feature, tier, why)
    shares = trends.shares if trends is not None else None
    chosen, why = _grown(frame, of, offered, shares)
    form = _opened(frame, offered, chosen, selection.tier, why)

    def unchosen(newer: Frame) -> str:
        return clean(_unchosen(newer, of, offered, shares))

    return form if chosen else replace(form, unchosen=unchosen)


def extend_form(frame: Frame, target: Target) -> ThrottleForm | str:
    """The form that gives a throttle more time, everything else as it is; a sentence why there is none."""
    if why := _nothing(frame):
        return why
    cell = _cell(frame, target)
    if cell is None:
        return f"the control plane tells of no throttle {target}: nothing to extend"
    if not in_force(cell):
        return f"{target} is open, {admits(1.0)}, without an end: nothing to extend"
    form = _opened(frame, _all_but_first(frame, target.id), target.id, target.tier)
    return replace(form, adds=True)


def throttle_inverse(frame: Frame, logged: Logged) -> ThrottleForm | str:
    """The form that sets a cell back to what it was before a logged action, for what is left of its time.

    A sentence where nothing is left to undo, or the log does not tell what was before.
    """
    target = logged.target
    if target.kind != "throttle":
        return f"{logged.operation} of {target} is no throttle"
    if logged.result != "applied":
        return f"{logged.operation} of {target} was {logged.result or 'not applied'}: nothing to undo"
    if why := _nothing(frame):
        return why
    cell, before = _cell(frame, target), setting_in(logged.before)
    if cell is None:
        return f"the control plane tells of no throttle {target}: nothing to undo"
    if before is None:
        return f"the log does not tell what {target} was before: set it (key t)"
    after = setting_in(logged.after)
    if cell.state == "ramping" and not alike(cell.effective_level, cell.level):
        levels = [before.level, *([after.level] if after is not None else [])]
        earlier = next((level for level in levels if not alike(level, cell.level)), None)
        is_over = before.ends_at is not None and before.ends_at < frame.at + 1
        if earlier is not None and (is_over or alike(before.level, cell.level)):
            form = _opened(frame, _all_but_first(frame, target.id), target.id, target.tier)
            return _holding(form, cell, earlier, _story(logged, cell, after))
    if before.ends_at is not None and before.ends_at < frame.at + 1:
        before = Setting(1.0, None)
    if alike(cell.level, before.level) and not (after is not None and alike(after.level, before.level)):
        return f"{target} is at {admits(before.level)} again: nothing to undo"
    form = _opened(frame, _all_but_first(frame, target.id), target.id, target.tier)
    return _restoring(form, cell, before, _story(logged, cell, after))


class Setting(NamedTuple):
    """What a cell was set to: the share it admits, and until when, seconds since the epoch; None: no end."""

    level: float
    ends_at: float | None


def _restoring(form: ThrottleForm, cell: Throttle, before: Setting, story: tuple[str, ...]) -> ThrottleForm:
    """To go back to the setting before is not to remember the one that is undone: after it, open."""
    plane = form.frame.plane
    can_clear = plane is not None and plane.ability("throttle.clear").is_open
    if alike(before.level, 1.0) and before.ends_at is None and in_force(cell) and can_clear:
        return replace(form, does=CLEAR, back=OPEN, story=story)
    named = bool(preset(before.level))
    return replace(
        form,
        does=SET,
        level=before.level,
        typed="" if named else percentage(before.level),
        time=UNTIL_CLEARED if before.ends_at is None else REST,
        rest_until=before.ends_at,
        back=OPEN,
        story=story,
    )


def _holding(form: ThrottleForm, cell: Throttle, level: float, story: tuple[str, ...]) -> ThrottleForm:
    """Back to the level that a ramp comes from: the setting is as before already, what is in force is not."""
    told = (
        f"in force {admits(cell.effective_level)}, ramping to {admits(cell.level)}: this stops the ramp, and"
        f" sets {admits(level)} again"
    )
    typed = "" if preset(level) else percentage(level)
    back = OPEN if alike(cell.level, 1.0) else PREVIOUS
    return replace(form, does=SET, level=level, typed=typed, back=back, story=(*story, told))


def _story(logged: Logged, cell: Throttle, after: Setting | None) -> tuple[str, ...]:
    told = f"undoes {logged.operation} of {logged.target} by {logged.actor} at {clock(logged.at)}"
    if logged.reason:
        told += f": {logged.reason}"
    if after is None or alike(cell.level, after.level):
        return (told,)
    change = cell.last_change
    who = f" by {change.actor} at {clock(change.at)}" if change is not None else ""
    return (told, f"since then it was changed again{who}, from {admits(after.level)} to {admits(cell.level)}")


def setting_in(facts: Mapping[str, object]) -> Setting | None:
    """The setting in an entry of the log; None where it tells none, or no time that can be read."""
    level, ends = share_in(facts, "level"), facts.get("expires_at")
    if level is None or ends is None:
        return None if level is None else Setting(level, None)
    try:
        at = datetime.fromisoformat(str(ends))
    except ValueError:
        return None
    return Setting(level, at.timestamp()) if at.tzinfo is not None else None


def _nothing(frame: Frame) -> str:
    """Why nothing can be throttled at all; "" if something can."""
    plane = frame.plane
    if plane is None:
        has_plane = any(source.kind == "plane" for source in frame.sources)
        return f"{NO_ANSWER} yet" if has_plane else worded(Reason("no-plane"))
    ability = plane.ability("throttle.set")
    if not ability.is_open:
        return f"no throttle can be set: {ability.why or 'this control plane does not allow it'}"
    if not frame.features:
        return "the control plane names no features, so there is nothing to throttle"
    return "" if plane.tiers else "the control plane names no tiers, so there is nothing to throttle"


def _selected(frame: Frame, selection: "Selection") -> tuple[Model | None, str]:
    """The model and the feature that are selected, also by a release that opens one of them."""
    names, feature = {selection.model}, selection.feature
    release = next((one for one in frame.releases if one.id == selection.release), None)
    if release is not None and release.subject_kind == "feature":
        feature = feature or release.subject
    elif release is not None:
        names.add(release.subject)
    model = next((one for one in frame.models if one.name in names), None)
    model = model or next((one for one in frame.models if one.subject in names), None)
    return model, feature if any(one.id == feature for one in frame.features) else ""


def _throttled(frame: Frame, offered: Sequence[str], tier: str) -> tuple[Throttle, str] | None:
    """The cell that is being dealt with already, and why: throttled, ramping, or so until a short while ago.

    tier: that is selected, whose cells come first; "" for none
    """
    found: list[tuple[tuple[bool, bool, float], Throttle, str]] = []
    for cell in frame.throttles:
        change = cell.last_change
        since = change.at if change is not None else 0.0
        is_ramping = cell.state == "ramping"
        is_held = in_force(cell) or is_ramping
        was_ended = change is not None and change.op.startswith("throttle.") and since > frame.at - ENDED_S
        if cell.feature not in offered or not (is_held or was_ended):
            continue
        if is_ramping:
            why = f"in force {admits(cell.effective_level)}, ramping to {admits(cell.level)}"
        elif is_held:
            why = f"at {named_level(cell.level)}"
        else:
            why = f"throttled until {moment(since)}"
        found.append(((is_held, cell.tier == tier, since), cell, f"{name(cell)} {why}"))
    if not found:
        return None
    _, cell, why = max(found, key=lambda one: one[0])
    return cell, why


def _unchosen(frame: Frame, of: str, offered: Sequence[str], shares: Shares | None) -> str:
    """Why none is chosen in a dialog that was opened before this frame. What it would be opened on by now is
    told, and left to the operator: nothing is chosen under a hand that is about to press a key."""
    if of and (found := _throttled(frame, offered, "")):
        return f"{found[1]}: choose one"
    feature, why = _grown(frame, of, offered, shares)
    return f"{feature} {why}: choose one" if feature else why


def _grown(frame: Frame, of: str, offered: Sequence[str], shares: Shares | None) -> tuple[str, str]:
    """The feature whose share grew most, and why; without one, none and why none. A feature is never chosen
    for being the largest: that it was so before a surge says nothing of what is to be throttled.

    of: name of the model that is looked at; "" for all of them
    """
    if len(offered) == 1:
        return offered[0], "the only one"
    models = [model for model in frame.models if of in ("", model.name)]
    found: list[tuple[float, float, str, str]] = []
    for model in models:
        for feature, now in feature_shares(model).items():
            before = shares.oldest(model.name, feature) if shares is not None else None
            if feature in offered and before is not None:
                found.append((before, now, feature, model.name))
    before, now, feature, model_name = max(found, key=lambda one: one[1] - one[0], default=(0.0, 0.0, "", ""))
    if now - before >= GROWN:
        return feature, f"grew {percent(before).rstrip('%')}→{percent(now)} of {model_name}"
    if any(
        cell.feature in offered and (in_force(cell) or cell.state == "ramping") for cell in frame.throttles
    ):
        return "", "none has grown: choose one"
    return "", "none is throttled, and none has grown: choose one"


def _opened(frame: Frame, offered: Sequence[str], feature: str, tier: str, why: str = "") -> ThrottleForm:
    tiers = _tiers(frame)
    ticked = (tier,) if tier in tiers else tiers[-1:]
    return ThrottleForm(frame, tuple(offered), feature, ticked, why=clean(why))


def _tiers(frame: Frame) -> tuple[str, ...]:
    return frame.plane.tiers if frame.plane is not None else ()


def _all_but_first(frame: Frame, feature: str) -> list[str]:
    return [feature, *(one.id for one in frame.features if one.id != feature)]


def _cell(frame: Frame, target: Target) -> Throttle | None:
    return next((c for c in frame.throttles if (c.feature, c.tier) == (target.id, target.tier)), None)
