"""Recording rules: definitions that a Prometheus works out once for everybody who watches.

A rule records what `promql.render` asks, under a name of its own, with the labels that the answer keeps (of a
histogram also `le`). Its label `tidegate_rule` is a mark of the whole expression: a rule that another version
made, or that was made for other labels or another window, has another mark and is never selected.

An empty answer to `query` proves nothing: the rule may not be there. `HEARTBEAT` proves only that the stack's
group was evaluated, and when.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from collectors.signals.accelerators import ONE_ACCELERATOR
from collectors.signals.catalogue import Definition, Matcher, Preset, window_s
from collectors.signals.promql import braces, duration, render

HEARTBEAT = "tidegate:recorded_at"
"""Record with the time of the last evaluation, seconds, of the group of each `stack`."""

MARK = "tidegate_rule"
"""Label of a record with the mark of its expression."""


class Rule(NamedTuple):
    """One recording rule: `expr` is recorded as `record`, with these labels added."""

    record: str
    expr: str
    labels: Mapping[str, str]


class Group(NamedTuple):
    """Rules that are evaluated together, one after the other, at one time; the heartbeat is the last."""

    name: str
    stack: str
    interval_s: float
    rules: tuple[Rule, ...]


def is_recorded(definition: Definition) -> bool:
    """True if `groups` makes a rule of it: rates, histograms and all of accelerators, but no map of single
    accelerators, which would be as many series again as it reads, and no query of an operator's own."""
    if definition.promql:
        return False
    if definition.lane == "heat":
        return not ONE_ACCELERATOR & set(definition.keep)
    return definition.needs_rate or definition.role == "accelerator"


def record_name(definition: Definition) -> str:
    """The record's name, `tidegate:STACK:SIGNAL`; of the map by host with `_by_node` at the end, of single
    accelerators with `_heat`."""
    lane = ""
    if definition.lane == "heat":
        lane = "_heat" if ONE_ACCELERATOR & set(definition.keep) else "_by_node"
    return f"tidegate:{definition.stack.replace('-', '_')}:{definition.signal}{lane}"


def mark(definition: Definition, window_s: float) -> str:
    """Eight hexadecimal digits that stand for the whole expression, with all alternatives."""
    expression = render(definition, window_s=window_s)
    return hashlib.sha256(expression.encode()).hexdigest()[:8]


def query(
    definition: Definition,
    window_s: float,
    selector: Sequence[Matcher] = (),
    replicas: Sequence[str] = (),
) -> str:
    """What asks for the definition's record; "" where the selector cannot be applied to what was recorded.

    Its elements have the labels that the definition's own query gives, and no longer: a record's name and
    mark on each of a hundred thousand buckets are megabytes.

    selector: filters as of `render`; each must be of a label that stays as it was, or ask for a text, which
        a store of many clusters adds to records too
    replicas: labels that tell equal Prometheus apart; of what they recorded the largest is taken
    """
    raw = set(definition.keep) - {derive.target for derive in definition.derive}
    if definition.kind == "histogram":
        raw.add("le")
    if any(one.label not in raw and not _asks_for_text(one) for one in selector):
        return ""
    found = record_name(definition) + braces((Matcher(MARK, "=", mark(definition, window_s)), *selector))
    return f"max without ({', '.join((MARK, *replicas))}) ({found})"


def heartbeat(stack: str, selector: Sequence[Matcher] = ()) -> str:
    """What selects the time of the last evaluation of a stack's rules, seconds.

    selector: of labels that a store adds to what each cluster recorded; a heartbeat has no kept labels
    """
    return HEARTBEAT + braces((Matcher("stack", "=", stack), *selector))


def groups(
    presets: Sequence[Preset], interval_s: Mapping[str, float], heat: Sequence[Definition] = ()
) -> tuple[Group, ...]:
    """One group for each stack that is named in `interval_s` and has anything to record, in order of preset.

    presets: with the labels kept that whoever asks keeps (`presets.with_labels`), or no mark will agree
    interval_s: by stack, seconds between scrapes: of evaluations too, and what the windows are made from
    heat: definitions of the map by host, which replace those of single accelerators
    """
    found = []
    for preset in presets:
        every_s = interval_s.get(preset.stack)
        wanted = [
            one
            # What keeps no label of one accelerator is the same on both maps.
            for one in dict.fromkeys((*preset.definitions, *(d for d in heat if d.stack == preset.stack)))
            if is_recorded(one)
        ]
        if every_s is None or not wanted:
            continue
        rules = tuple(_rule(one, window_s(every_s)) for one in wanted)
        beat = Rule(HEARTBEAT, "vector(time())", {"stack": preset.stack})
        found.append(Group(f"tidegate-{preset.stack}", preset.stack, every_s, (*rules, beat)))
    return tuple(found)


def rendered(groups: Sequence[Group]) -> str:
    """The rules as the YAML file that a Prometheus, Thanos or Mimir ruler reads."""
    lines = [_HEADER]
    lines += ["groups:"] if groups else ["groups: []"]
    for group in groups:
        lines += [
            f"- name: {json.dumps(group.name)}",
            f"  interval: {duration(group.interval_s)}",
            "  rules:",
        ]
        for rule in group.rules:
            lines += [f"  - record: {rule.record}", f"    expr: {_text(rule.expr)}", "    labels:"]
            lines += [f"      {label}: {_text(value)}" for label, value in rule.labels.items()]
    return "\n".join(lines) + "\n"


_HEADER = """\
# Recording rules of tidegate. They take work off the Prometheus that it asks: each expression is then worked
# out once an interval, however many watch. Without them everything works as well, only dearer.
#
# To install them: copy this file beside prometheus.yml, name it under rule_files, check it with
# `promtool check rules FILE`, and reload (SIGHUP, or POST /-/reload where that is enabled).
# Make it again after an update of tidegate, after a change of labels in its configuration and after a change
# of the scrape interval: rules that do not fit are left alone and never read."""


def _rule(definition: Definition, window_s: float) -> Rule:
    expression = render(definition, window_s=window_s)
    return Rule(record_name(definition), expression, {MARK: mark(definition, window_s)})


def _asks_for_text(matcher: Matcher) -> bool:
    """True if no series without the label passes, so that a record without it is not taken for all."""
    return matcher.op == "=" and matcher.value != ""


def _text(text: str) -> str:
    """A string of JSON, which is one of YAML too."""
    return json.dumps(text, ensure_ascii=False)
