"""Asking sources for `tidegate check`: a fault of its own over one of them leaves the others told."""

import json

from collectors.check.facts import Asked
from collectors.check.findings import data, findings
from collectors.check.run import Opened, gathered
from collectors.config import Context
from collectors.fleet import SourceHealth, SourceState
from tui.checking import found_text


async def _closed() -> None:
    """Nothing to close."""


async def _broken(_: Opened) -> None:
    raise ZeroDivisionError("of\x1b[31m ours")


async def _well(one: Opened) -> None:
    one.asked = Asked(SourceHealth("other", "alerts", SourceState.OK), "http://b")


def source(name: str) -> Asked:
    return Asked(SourceHealth(name, "alerts", SourceState.CONNECTING), "http://a")


async def test_a_fault_over_one_source_is_told_beside_the_others() -> None:
    """As text and as JSON: that source is lost, by whose fault, and what to do."""
    sources = (Opened(source("one"), _broken, _closed), Opened(source("other"), _well, _closed))
    facts = await gathered("prod", Context(), sources, 5.0)
    lost, well = facts.sources
    assert (lost.health.state, well.health.state) == (SourceState.LOST, SourceState.OK)
    said = "a fault of tidegate's own while reading it (ZeroDivisionError: of[31m ours); please report it"
    assert lost.health.error == said
    found = findings(facts)
    assert found.status == 1
    assert said in json.dumps(data(found))
    assert "a fault of tidegate's own" in " ".join(str(found_text(found)).split())
