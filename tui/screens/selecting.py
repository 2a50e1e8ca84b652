"""What a row or a page stands for, as the ids that a dialog opens with. Pure."""

from collectors.fleet import Frame
from tui.screens.base import Selection


def selected_model(frame: Frame, name: str, tier: str = "") -> Selection:
    """A model by its name, with the release that opens it: a plane knows it without its cluster."""
    model = next((one for one in frame.models if one.name == name), None)
    names = (name, model.subject if model is not None else name)
    return Selection(model=name, tier=tier, release=_release(frame, "model", names))


def selected_feature(frame: Frame, feature: str, tier: str = "") -> Selection:
    """A feature by its id, with the release of its own that it may have."""
    return Selection(feature=feature, tier=tier, release=_release(frame, "feature", (feature,)))


def selected_alert(frame: Frame, id: str) -> Selection:
    """The model and the tier that an alert names; of a model that names no cluster, the first there is."""
    alert = next((one for one in frame.alerts if one.id == id), None)
    if alert is None or not alert.model:
        return Selection()
    names = [m.name for m in frame.models if alert.model in (m.name, m.subject)]
    return selected_model(frame, names[0], alert.tier) if names else Selection()


def _release(frame: Frame, kind: str, subjects: tuple[str, ...]) -> str:
    found = (r.id for r in frame.releases if r.subject_kind == kind and r.subject in subjects)
    return next(found, "")
