"""How PromQL writes the names of metrics and labels, and filters by label."""

import re
from typing import Literal, NamedTuple, cast

from collectors.regex import compiled

_FILTER = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"')
_METRIC = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ESCAPED = re.compile(r"\\(.)")

Operator = Literal["=", "!=", "=~", "!~"]


class Filter(NamedTuple):
    """The parts of a filter: `value` without the quotes and escapes it is written with."""

    label: str
    op: Operator
    value: str


def read_filter(text: str) -> Filter:
    """The parts of a filter such as 'namespace="serving"'. raises: ValueError, with what is allowed"""
    found = _FILTER.fullmatch(text.strip())
    if found is None:
        raise ValueError('is no filter; write it as in PromQL, for example: outcome="Dispatched"')
    value = _ESCAPED.sub(lambda escaped: "\n" if escaped[1] == "n" else escaped[1], found[3])
    if found[2] in {"=~", "!~"}:
        compiled(value)
    return Filter(found[1], cast("Operator", found[2]), value)


def metric_name(text: str) -> str:
    """The text, if it is a metric's name. raises: ValueError"""
    if not _METRIC.fullmatch(text):
        raise ValueError("is no metric name; letters, digits, _ and : are allowed, a digit not first")
    return text


def label_name(text: str) -> str:
    """The text, if it is a label's name. raises: ValueError"""
    if not _LABEL.fullmatch(text):
        raise ValueError("is no label name; letters, digits and _ are allowed, a digit not first")
    return text
