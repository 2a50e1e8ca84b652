"""What arrows and space do to a form: the form as it is then, or a sentence why it stays as it is. Pure."""

from tui.dialogs.form import Choice, Entry, Field, Form

NOTHING = "nothing to change here with left and right; a text is changed at its end"


def field_of(form: Form, id: str) -> Field | None:
    """The field of that id; None where there is none."""
    return next((one for one in form.fields if one.id == id), None)


def turned(form: Form, field: Choice, by: int) -> Form | str:
    """With the next option chosen that can be, that way; at the end it stays as it is."""
    ids = [option.id for option in field.options]
    before_first = -1 if by > 0 else len(ids)
    here = ids.index(field.chosen[0]) if field.chosen and field.chosen[0] in ids else before_first
    beside = field.options[here + 1 :] if by > 0 else field.options[:here][::-1]
    free = next((option for option in beside if not option.why), None)
    if free is not None:
        return form.with_choice(field.id, (free.id,))
    return f"{beside[0].label}: {beside[0].why}" if beside else form


def ticked(form: Form, field: Field | None, place: int) -> Form | str:
    """With the option at `place` ticked, or its tick taken away."""
    if field is None or isinstance(field, Entry) or not field.many or not field.options:
        return "space ticks in a row of boxes; left and right change the others"
    option = field.options[min(place, len(field.options) - 1)]
    if option.why:
        return f"{option.label}: {option.why}"
    wanted = {*field.chosen} ^ {option.id}
    return form.with_choice(field.id, tuple(one.id for one in field.options if one.id in wanted))
