"""`tidegate check` in words: findings and explanations as lines of at most 100 columns."""

import textwrap
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from collectors.check.findings import Findings, PresentLine, SignalLine, SourceLine, StackLine
from collectors.check.naming import Named
from collectors.fleet import SourceState
from collectors.readings import Interval
from collectors.text import clean

if TYPE_CHECKING:
    from collectors.check.explain import Explanation, Feed, ReadingLine

WIDTH = 100

_INDENT = "  "
_LEAST_ROOM = WIDTH - 40
_MARKS = {
    SourceState.OK: ("ok", "32"),
    SourceState.PARTIAL: ("part", "33"),
    SourceState.LOST: ("LOST", "1;31"),
    SourceState.CONNECTING: ("LOST", "1;31"),
}
_STATES = {
    "data": ("ok", "32"),
    "idle": ("idle", "32"),
    "collecting": ("wait", "33"),
    "failed": ("FAIL", "1;31"),
    "absent": ("--", "33"),
}


class _Page:
    """Lines as they are written. colour: with escape sequences, for a terminal."""

    def __init__(self, *, colour: bool) -> None:
        self.lines: list[str] = []
        self._colour = colour

    def head(self, title: str) -> None:
        """A blank line, and a title."""
        if self.lines:
            self.lines.append("")
        self.lines.append(self._painted(_plain(title), "1"))

    def marked(self, mark: tuple[str, str], cells: Sequence[tuple[str, int]], last: str = "") -> None:
        """A mark of four columns, cells of so many, and the rest, wrapped below itself."""
        word, colour = mark
        head = f"{_INDENT}{word:4}"
        body = "".join(f"  {_plain(text):{width}}" for text, width in cells)
        used = len(head) + len(body) + 2
        if used > _LEAST_ROOM:
            # A long cell leaves no room beside it.
            self.lines.append(f"{_INDENT}{self._painted(f'{word:4}', colour)}{body}".rstrip())
            self.said(last, 16)
            return
        first, *more = textwrap.wrap(_plain(last), WIDTH - used) or [""]
        self.lines.append(f"{_INDENT}{self._painted(f'{word:4}', colour)}{body}  {first}".rstrip())
        self.lines.extend(" " * used + one for one in more)

    def said(self, text: str, indent: int = 8, hanging: int = 2) -> None:
        """A sentence, wrapped."""
        wrapped = textwrap.wrap(
            _plain(text), WIDTH - indent, subsequent_indent=" " * hanging, break_on_hyphens=False
        )
        self.lines.extend(" " * indent + line for line in wrapped)

    def whole(self, lines: Iterable[str], indent: int = 4) -> None:
        """Lines to be pasted: never wrapped."""
        self.lines.extend(" " * indent + _plain(line) if line else "" for line in lines)

    def _painted(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colour else text


def found_text(found: Findings, *, colour: bool = False, file: str = "") -> str:
    """What was found. file: of the configuration, where proposed rules belong"""
    page = _Page(colour=colour)
    page.head(f"Sources of context {found.context}")
    for source in found.sources:
        _source(page, source, found.context)
    for present in found.present:
        _present(page, present)
    page.head("Stacks")
    if not found.stacks:
        page.said("none was seen", 2)
    for stack in found.stacks:
        _stack(page, stack)
    if found.stacks:
        page.head("Signals")
        for signal in found.signals:
            _signal(page, signal)
    if found.stacks or found.releases:
        _names(page, found)
    if found.proposed:
        page.head(f"Rules to paste into {file}" if file else "Rules to paste into the configuration")
        page.said(
            "Merge a table that is there already. What starts with # needs a value that only you know.", 2
        )
        page.whole(found.proposed, 2)
    page.lines += ["", _plain(found.verdict)]
    return "\n".join(page.lines)


def explanation_text(found: "Explanation", *, colour: bool = False) -> str:
    """How each reading of a model came to be."""
    page = _Page(colour=colour)
    page.head(f"{found.model}, in context {found.context}")
    # Quantiles of one histogram have the same story: it is told once.
    for _, alike in groupby(found.readings, key=lambda line: (line.tier, line.feature, line.feeds)):
        _readings(page, list(alike))
    if found.absent:
        page.head("No reading")
        for one in found.absent:
            first, *more = one.why or ("no source brings it",)
            page.marked(("--", "33"), [(one.title, 26)], first)
            for sentence in more:
                page.said(sentence, 36, hanging=0)
    return "\n".join(page.lines)


def _rules_command(source: SourceLine, context: str) -> str:
    """What prints the rules that fit a source. Options without a configuration have no context of a name."""
    if context == "direct":
        return f"tidegate rules --prometheus {source.place}"
    return f"tidegate rules --context {context}" + (f" --cluster {source.cluster}" if source.cluster else "")


def _ruled(rules: tuple[int, int], misfits: Sequence[str], command: str) -> str:
    used, could = rules
    said = f"recording rules: {used} of {_plural(could, 'answer comes', 'answers come')} from them"
    if not misfits:
        return said
    return (
        f"{said}; those of {_listed(misfits, 4)} are there, and do not all fit what is asked: print them "
        f"again with `{command}`"
    )


def _source(page: _Page, source: SourceLine, context: str) -> None:
    facts = [
        f"{source.latency_s * 1000:.0f} ms" if source.latency_s is not None else "",
        f"clock {source.clock_offset_s:+.0f} s" if source.clock_offset_s is not None else "",
        f"scraped every {source.interval_s:g} s" if source.interval_s else "",
        f"{source.targets[0]}/{_plural(source.targets[1], 'target', 'targets')} of the known stacks up"
        if source.targets
        else "",
        _plural(source.firing, "alert", "alerts") if source.firing is not None else "",
        f"{_plural(source.queries, 'query', 'queries')}, {source.received_bytes / 1000:.1f} kB"
        if source.queries
        else "",
    ]
    there = source.state in {SourceState.OK, SourceState.PARTIAL}
    text = ", ".join(filter(None, facts)) if there else ""
    page.marked(_MARKS[source.state], [(source.name, 12), (source.place, 30)], text)
    if source.error:
        page.said(source.error)
    if source.down:
        down = [f"{job} ({number})" for job, number in source.down.items()]
        page.said(f"down, of other jobs: {_listed(down, 4)}")
    if source.rules and (source.rules[0] or source.misfits):
        page.said(_ruled(source.rules, source.misfits, _rules_command(source, context)))
    for warning in source.warnings:
        page.said(f"warning: {warning}")


def _present(page: _Page, present: PresentLine) -> None:
    page.head(f"What {present.source} has instead")
    if present.error:
        page.said(f"it could not be found out: {present.error}", 2)
    else:
        up, known = present.targets
        page.said(
            f"{_plural(known, 'target', 'targets')}, {up} up; jobs: {_listed(present.jobs, 12) or 'none'}", 2
        )
        prefixes = ", ".join(present.begins_with)
        names = _plural(present.names, "metric name", "metric names")
        page.said(f"{names}{f', beginning with {prefixes}' if prefixes else ''}", 2)
    if present.telling:
        page.said(
            f"these may be of accelerators or engines it does not know: {', '.join(present.telling)}",
            2,
        )
        page.said(
            "if they are, ask for them by [contexts.NAME.signals], or describe them in a preset file", 2
        )
    if present.scrape_configs:
        page.said("To begin with, let it scrape accelerators and engines, as in prometheus.yml:", 2)
        page.whole(present.scrape_configs)


def _stack(page: _Page, stack: StackLine) -> None:
    told = [
        stack.role,
        stack.generation,
        f"jobs {_listed(stack.jobs, 4)}" if stack.jobs else "",
        f"by {_listed(stack.proof, 2)}" if stack.proof else "",
        "native histograms" if stack.native_histograms else "",
    ]
    page.marked(("ok", "32"), [(stack.title, 26)], ", ".join(filter(None, told)))
    for sentence in stack.sentences:
        page.said(sentence)


def _signal(page: _Page, signal: SignalLine) -> None:
    told = list(signal.why)
    if signal.state == "data":
        counts = [_count(signal.models, "model"), _count(signal.tiers, "tier") if signal.tiers else ""]
        told.insert(0, f"{', '.join(filter(None, counts))}; from {', '.join(signal.stacks) or 'others'}")
    page.marked(_STATES[signal.state], [(signal.title, 26)], told[0] if told else "")
    for sentence in told[1:]:
        page.said(sentence, 36, hanging=0)


def _names(page: _Page, found: Findings) -> None:
    page.head("Names")
    page.marked(("ok" if found.models else "--", "32"), [("models", 10)], _listed(found.models, 12) or "none")
    _named(page, "tiers", found.tiers)
    _named(page, "features", found.features)
    for release in found.releases:
        only = f"; {release.read_only}" if release.read_only else ""
        page.marked(
            ("ok", "32"), [("release", 10)], f"{release.id}: {release.subject}, {release.phase}{only}"
        )
    if found.without_objective:
        tiers = ", ".join(found.without_objective)
        page.marked(("--", "33"), [("objectives", 10)], f"none for {tiers}: no wait of these is judged")
    for one in found.unmatched:
        page.marked(("?", "33"), [(one.kind, 12)], one.sentence)


def _named(page: _Page, what: str, named: Named) -> None:
    if named.names:
        origins = f"; by {'; '.join(named.origins[:4])}" if named.origins else ""
        page.marked(("ok", "32"), [(what, 10)], f"{', '.join(named.names)}{origins}")
    for place, sentence in enumerate(named.why):
        if named.names or place:
            page.said(sentence, 20)
        else:
            page.marked(("--", "33"), [(what, 10)], sentence)


def _readings(page: _Page, lines: Sequence["ReadingLine"]) -> None:
    title = lines[0].title if len(lines) == 1 else lines[0].title.rpartition(" ")[0]
    page.head(f"{title}{_where(lines[0])}")
    for line in lines:
        covered = (
            f"{line.coverage[0]} of {_plural(line.coverage[1], 'target', 'targets')}" if line.coverage else ""
        )
        told = [
            _value(line),
            "" if line.quality.value == "good" else line.quality.value,
            line.reason,
            covered,
        ]
        if len(lines) > 1:
            told[0] = f"{line.signal.rpartition('_')[2]} {told[0]}"
        page.said("; ".join(filter(None, told)), 2)
    for feed in lines[0].feeds:
        _feed(page, feed)


def _where(line: "ReadingLine") -> str:
    where = " ".join(
        filter(None, (line.tier and f"tier {line.tier}", line.feature and f"feature {line.feature}"))
    )
    return f", {where}" if where else ""


def _value(line: "ReadingLine") -> str:
    unit = "" if line.unit in {"count", "ratio"} else f" {line.unit}"
    if isinstance(line.value, Interval):
        if line.value.hi == float("inf"):
            return f"at least {line.value.lo:g}{unit}"
        return f"about {line.value.estimate:.3g}{unit}, between {line.value.lo:g} and {line.value.hi:g}{unit}"
    if line.value is None:
        return "no value"
    return f"{100 * line.value:.3g} %" if line.unit == "ratio" else f"{line.value:g}{unit}"


def _feed(page: _Page, feed: "Feed") -> None:
    aside = "" if feed.used else " (left aside: another's word counts first)"
    window = f", rate over {feed.window_s:g} s" if feed.window_s else ""
    page.said(f"{feed.stack} at {feed.source}{window}{aside}", 2)
    page.said(f"metrics: {', '.join(feed.metrics)}", 4)
    if feed.recorded:
        page.said(f"answered by the recording rule {feed.recorded}", 4)
    if feed.query:
        # To be pasted into a Prometheus: one line, however long.
        page.whole([f"query: {feed.query}"])
    if feed.described:
        page.said(f"described in {feed.described}", 4)
    for row in feed.rows:
        labels = ", ".join(f'{name}="{value}"' for name, value in row.labels.items())
        page.said(f"{{{labels}}} = {row.value}", 4)
        rules = [
            f"{what} by {rule}"
            for what, rule in (
                ("model", row.model_rule),
                ("tier", row.tier_rule),
                ("feature", row.feature_rule),
            )
            if rule
        ]
        if rules:
            page.said("; ".join(rules), 6)
    if not feed.rows:
        page.said("no row of it names this model", 4)
    if feed.more:
        page.said(f"and {_plural(feed.more, 'more row', 'more rows')}", 4)


def _listed(texts: Sequence[str], most: int) -> str:
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


def _count(number: int, what: str) -> str:
    return _plural(number, what, f"{what}s") if number else "whole fleet"


def _plural(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"


def _plain(text: str) -> str:
    """Once more, so that no way here leads past it."""
    return clean(text, 10_000)
