"""A dialog as lines: exact widths, nothing that matters is cut, text alone tells every state."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from collectors.intents import Difference, OutcomeKind, Target, decided
from collectors.text import clean
from tests.dialog_parts import OPERATOR, CellForm, ended, operated_frame
from tests.unit.test_decision import FRAME, NOW, decision, refused
from tui.dialogs.decision import Decision, needs
from tui.dialogs.drawing import BUTTONS, PHRASE, REASON, dialog_lines, rows_of, rule_line
from tui.dialogs.fitting import away_words, lines_to
from tui.dialogs.reasons import TIGHTENING
from tui.dialogs.shown import Shown, flowed
from tui.dialogs.told import becomes
from tui.widgets.lines import Cell, Line

LONG = "the plane says no because another operator moved the very same cell to another level just before"


def shown(one: Decision, **changes: object) -> Shown:
    base = Shown(
        decision=one,
        focus=BUTTONS,
        markers={},
        context="us-east",
        is_production=False,
        is_simulated=False,
        offered=("launch spike", "queue too long"),
        needs=needs(one, OPERATOR, "", NOW),
        is_asking=False,
        is_explained=False,
        answer="",
        now=NOW,
        actor="alice",
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def text_of(what: Shown, width: int = 80, glyphs: str = "unicode") -> list[str]:
    drawn = dialog_lines(what, width, glyphs)
    return [line.text for line in (*drawn.head, *drawn.body, *drawn.foot)]


def words_of(lines: Sequence[str]) -> str:
    """Lines without frame and wrapping."""
    return " ".join(" ".join(line.strip("│┃#|┌┐└┘ ") for line in lines).split())


def states() -> list[tuple[str, Shown]]:
    """A dialog in each of its states."""
    ready = decision(phrase="throttle 2", tiers=("team", "free"))
    sent = decided(ready.plan.intents, "launch spike")
    over = {
        sent[0].key: ended(sent[0]),
        sent[1].key: replace(
            ended(sent[1], OutcomeKind.UNKNOWN, LONG), moved=(Difference("level", "a", "b"),)
        ),
    }
    return [
        ("ready", shown(ready)),
        ("production", shown(ready, is_production=True)),
        ("typing", shown(replace(ready, phrase="thr"), focus=PHRASE)),
        ("reason", shown(ready, focus=REASON)),
        ("entry", shown(decision(minutes="abc"), focus="field:for")),
        ("tiers", shown(ready, focus="field:tiers", markers={"tiers": 1})),
        ("refused", shown(refused(ready, LONG))),
        ("moved", shown(replace(ready, moved=(Difference("images/free level", "admit 50%", "admit 20%"),)))),
        ("why", shown(replace(ready, reason=""), is_explained=True)),
        ("answer", shown(ready, answer=LONG)),
        ("asking", shown(replace(ready, dry_run=None), is_asking=True)),
        ("sent", shown(replace(ready, sent=sent))),
        ("over", shown(replace(ready, sent=sent, outcomes=over))),
        ("local", shown(Decision(ready.form, ready.plan, is_local=True))),
    ]


@pytest.mark.parametrize("glyphs", ["unicode", "ascii"])
@pytest.mark.parametrize("width", [1, 2, 5, 10, 30, 60, 80, 88, 120])
@pytest.mark.parametrize("state", states(), ids=lambda state: state[0])
def test_every_line_is_as_wide_as_the_dialog(state: tuple[str, Shown], width: int, glyphs: str) -> None:
    """At any width, and in ASCII nothing but ASCII, where the form itself says nothing else."""
    lines = text_of(state[1], width, glyphs)
    assert {cell_len(line) for line in lines} == {width}
    if glyphs == "ascii":
        assert all(line.isascii() for line in lines), [line for line in lines if not line.isascii()]


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_what_matters_is_wrapped(width: int) -> None:
    """Refusal, title, revision, reason, answer: all of their words are there, the verdict's in the body."""
    one = replace(refused(decision(), LONG), reason="r " * 100 + "end")
    head, body, (rule, _, *foot), _ = dialog_lines(shown(one, answer=LONG), width, "unicode")
    words = words_of([line.text for line in (*head, *body, rule, *foot)])
    assert words.count(LONG) == 2
    assert "Throttle · images · 2 models · us-east" in words
    assert "rev t-8free" in words
    assert "r end" in words
    assert "…" not in words


def test_production_is_text_and_a_heavy_frame() -> None:
    """D15: without any colour."""
    plain, production = (text_of(shown(decision(), is_production=on)) for on in (False, True))
    assert "PROD us-east" in production[0]
    assert "PROD" not in " ".join(plain)
    assert plain[0].startswith("┌")
    assert production[0].startswith("┏")
    assert all(line.startswith(("┃", "┏", "┗")) for line in production)
    heavy = text_of(shown(decision(), is_production=True), glyphs="ascii")
    assert heavy[0].startswith("#")
    assert "PROD us-east" in heavy[0]


def test_the_foot_says_what_y_does_or_what_it_needs() -> None:
    """One line above the buttons: the summary, or the first thing that is missing."""
    assert "y: images: admit 30% for 30 min" in words_of(text_of(shown(decision())))
    off = words_of(text_of(shown(replace(decision(), reason=""))))
    assert "y is off: a reason is missing" in off
    assert "y apply: off" in off


def verdict_of(what: Shown, width: int = 80) -> str:
    """The first line of the foot, without its frame."""
    return dialog_lines(what, width, "unicode").foot[1].text.strip("│ ")


def test_the_foot_has_the_verdict_of_the_dry_run() -> None:
    """In one line at any width, whatever the plane says; the words in full stand in the body."""
    one = decision(tiers=("team", "free"))
    assert (
        verdict_of(shown(one))
        == "DRY RUN 1s ago: the plane would apply it: 2 changes, no warnings of its own"
    )
    assert verdict_of(shown(one, is_asking=True)).startswith("DRY RUN 1s ago, asking again: the plane would")
    no = refused(one, LONG)
    assert verdict_of(shown(no)).startswith(
        "DRY RUN 1s ago: would be refused 1 of 2: images/team: the plane says"
    )
    assert verdict_of(shown(no)).endswith("…")
    assert one.dry_run is not None
    warned = tuple(replace(run, warnings=("the gate is old",)) for run in one.dry_run.rehearsals)
    warned_run = replace(one, dry_run=replace(one.dry_run, rehearsals=warned))
    assert verdict_of(shown(warned_run), 88).endswith("2 changes, 2 warnings of its own")
    assert verdict_of(shown(replace(one, dry_run=None))) == "DRY RUN asking the control plane…"
    failed = replace(one, dry_run=replace(one.dry_run, rehearsals=(), failure="nobody answers."))
    assert verdict_of(shown(failed)) == "DRY RUN 1s ago: no answer: nobody answers."
    stuck = replace(one, plan=replace(one.plan, intents=(), problem="tick a tier"))
    assert verdict_of(shown(stuck)) == "DRY RUN not asked: nothing to do as it stands"
    assert {len(dialog_lines(shown(no), width, "unicode").foot[1].text) for width in (60, 80)} == {60, 80}


def test_what_y_needs_stands_before_what_there_is_to_know() -> None:
    """Fields, reason and phrase first: in a small terminal the rest is what has to be scrolled to."""
    body = [line.text for line in dialog_lines(shown(decision(phrase="throttle 2")), 80, "unicode").body]
    rows = [next(n for n, line in enumerate(body) if word in line) for word in ("For ", "Reason", "Type ")]
    assert rows == sorted(rows)
    assert rows[-1] < next(n for n, line in enumerate(body) if "delta-code serves it too" in line)


def test_a_forecast_of_one_line_stands_behind_its_heading() -> None:
    """Where there is room; else below it."""
    lines = [line.strip("│ ") for line in text_of(shown(decision()))]
    assert "FORECAST (client) arrivals UNKNOWN, 1 dry runs" in lines
    assert "FORECAST (client; may read UNKNOWN)" in [
        one.strip("│ ") for one in text_of(shown(decision()), 42)
    ]


@pytest.mark.parametrize("glyphs", ["unicode", "ascii"])
@pytest.mark.parametrize("width", [1, 2, 5, 12, 30, 80, 120])
def test_the_line_above_the_foot_says_what_is_scrolled_away(width: int, glyphs: str) -> None:
    """D13: with the key that goes there, where there is room for all of it."""
    line = rule_line(shown(decision()), width, glyphs, "3 above, 12 below · PgUp PgDn").text
    assert cell_len(line) == width
    assert glyphs == "unicode" or line.isascii()
    assert ("12 below" in line) is (width >= 80)
    plain = dialog_lines(shown(decision()), width, glyphs).foot[0].text
    assert rule_line(shown(decision()), width, glyphs, "").text == plain


@pytest.mark.parametrize("width", range(40, 121))
def test_offered_reasons_are_whole_at_any_width(width: int) -> None:
    """The gap behind one never cuts it."""
    words = words_of(text_of(shown(decision(), offered=TIGHTENING), width))
    assert all(f"{number} {reason}" in words for number, reason in enumerate(TIGHTENING, 1))


def test_pages_are_told_with_the_keys_that_are_bound() -> None:
    """And without where none is."""
    keymap = {"pagedown": "move.page_down", "pageup": "move.page_up"}
    assert away_words("12 below", keymap, "unicode") == "12 below · PgDn"
    assert away_words("2 above, 12 below", keymap, "unicode") == "2 above, 12 below · PgUp PgDn"
    assert away_words("12 below", {}, "unicode") == "12 below"
    assert away_words("", keymap, "unicode") == ""


@pytest.mark.parametrize(
    ("row", "above", "seen", "by"),
    [
        ("a", 0, 4, 0),
        ("a", 3, 4, -3),
        ("b", 0, 4, 1),
        ("b", 4, 4, -2),
        ("b", 2, 4, 0),
        # Taller than what is seen: its end, where it is typed.
        ("b", 0, 2, 3),
        ("b", 6, 2, -3),
        ("buttons", 3, 4, 0),
    ],
)
def test_the_row_that_has_the_keys_is_scrolled_to(row: str, above: int, seen: int, by: int) -> None:
    """As little as it takes; of ten lines two are of row a, three of row b."""
    lines = [Line((), id) for id in ("a", "a", "b", "b", "b", *[""] * 5)]
    assert lines_to(row, lines, (above, len(lines) - above - seen)) == by


def test_what_goes_on_in_the_next_line_stands_below_what_it_goes_on_with() -> None:
    """The column of pointers stays free, whatever gap a piece had before it, and however long it is."""
    pieces = [
        Cell("Label".ljust(10)),
        Cell("›one"),
        Cell("  "),
        Cell(" two"),
        Cell("    a note of three words"),
    ]
    texts = ["".join(cell.text for cell in line).rstrip() for line in flowed(pieces, 24, 10)]
    assert texts == ["Label     ›one   two", "           a note of", "           three words"]
    assert ["".join(cell.text for cell in line) for line in flowed([Cell(" abc def")], 4, 0)] == [
        " abc",
        " def",
    ]


def test_a_revision_without_room_has_lines_of_its_own() -> None:
    """Below the title: a name that is cut in two by a line's end is read as two."""
    head = [line.text.strip("│ ") for line in dialog_lines(shown(decision()), 44, "unicode").head]
    assert head[1:] == ["Throttle · images · 2 models · us-east", "rev t-8free"]
    assert [line.text for line in dialog_lines(shown(decision()), 56, "unicode").head][1:] == [
        f"│ {'Throttle · images · 2 models · us-east  rev t-8free':52} │"
    ]


def test_the_end_says_where_its_effect_is_told() -> None:
    """S10: of what was applied; of the rest there is none."""
    sent = decided(decision().plan.intents, "launch spike")
    over = replace(decision(), sent=sent, outcomes={sent[0].key: ended(sent[0])})
    assert becomes(over) == "done: esc closes; the events tell what follows"
    refusal = {sent[0].key: ended(sent[0], OutcomeKind.REFUSED)}
    assert becomes(replace(over, outcomes=refusal)) == "done: esc closes"
    release = replace(sent[0], target=Target("release", "delta-code-rollout"))
    done = replace(over, sent=(release,), outcomes={release.key: ended(release)})
    assert becomes(done) == "done: esc closes; its page shows what follows"


def test_why_lists_all_that_y_needs() -> None:
    """Met and missing are told by a sign, not by a colour."""
    lines = text_of(shown(replace(decision(), reason=""), is_explained=True))
    assert any("✖ a reason is missing" in line for line in lines)
    assert any("✔ the dry run would apply 1 target" in line for line in lines)


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (None, "images/free sent…"),
        (OutcomeKind.APPLIED, "images/free sent → ✔ applied: it is so"),
        (OutcomeKind.PENDING, "images/free sent → … pending: it is so"),
        (OutcomeKind.REFUSED, "images/free sent → ✖ refused: it is so"),
        (OutcomeKind.CONFLICT, "images/free sent → ✖ conflict: it is so"),
        (OutcomeKind.UNKNOWN, "images/free sent → ? UNKNOWN: it is so"),
    ],
)
def test_each_outcome_has_its_words(outcome: OutcomeKind | None, words: str) -> None:
    """S11: a lost reply is unknown, never failed."""
    sent = decided(decision().plan.intents, "launch spike")
    outcomes = {sent[0].key: ended(sent[0], outcome, "it is so")} if outcome else {}
    said = words_of(text_of(shown(replace(decision(), sent=sent, outcomes=outcomes))))
    assert words in said
    assert "failed" not in said


def test_a_reply_that_is_looked_for_and_a_target_that_was_not_sent() -> None:
    """Not final: it says that it looks. Behind a stop: not sent. Behind one on its way: waits."""
    one = decision(tiers=("team", "free"))
    sent = decided(one.plan.intents, "launch spike")
    looking = ended(sent[0], OutcomeKind.UNKNOWN, "no answer in 20 s", is_final=False)
    said = words_of(text_of(shown(replace(one, sent=sent, outcomes={sent[0].key: looking}))))
    assert "images/team sent → no answer yet: looking… no answer in 20 s" in said
    assert "images/free waits for the target before it" in said
    unsent = replace(ended(sent[1], OutcomeKind.REFUSED, "the one before it was refused"), was_sent=False)
    said = words_of(text_of(shown(replace(one, sent=sent, outcomes={sent[1].key: unsent}))))
    assert "images/free not sent: ✖ refused: the one before it was refused" in said


def test_rows_go_from_top_to_bottom() -> None:
    """Fields, reason, phrase, buttons; a phrase that is typed is locked; once sent, only the buttons."""
    fields = ["field:tiers", "field:level", "field:for"]
    one = decision(phrase="throttle 2")
    assert rows_of(replace(one, phrase="")) == [*fields, REASON, PHRASE, BUTTONS]
    assert rows_of(one) == [*fields, REASON, BUTTONS]
    assert rows_of(replace(one, sent=one.plan.intents)) == [BUTTONS]


def test_an_option_that_is_closed_says_why() -> None:
    """D16: while its row has the keys."""
    assert "Pro: not open there" in words_of(text_of(shown(decision(), focus="field:tiers")))
    assert "not open there" not in words_of(text_of(shown(decision())))


def test_the_selection_is_a_pointer() -> None:
    """D2: the row beside the frame, and the option in it."""
    lines = text_of(shown(decision(), focus="field:tiers", markers={"tiers": 2}))
    assert any(line.startswith("│›Tier") and "›[x] Free" in line for line in lines)
    assert not any("›[ Cancel ]" in line for line in lines)
    assert any("›30%" in line for line in lines)


@settings(max_examples=60)
@given(
    st.text(max_size=60).map(clean),
    st.text(max_size=300).map(lambda text: clean(text, 500)),
    st.integers(1, 100),
    st.booleans(),
)
def test_any_text_at_any_width(told: str, reason: str, width: int, is_ascii: bool) -> None:
    """Whatever was typed, or named by others, no line is wider or narrower than the dialog."""
    form = CellForm(operated_frame(), told="")
    one = replace(decision(), form=form, reason=reason)
    answer = told or "nothing"
    lines = text_of(shown(one, answer=answer, context=told), width, "ascii" if is_ascii else "unicode")
    assert {cell_len(line) for line in lines} == {width}
    assert FRAME.plane is not None
