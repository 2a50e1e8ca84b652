"""A first configuration, made from what was seen: `tidegate init`. Pure."""

import textwrap
from collections.abc import Container, Iterator, Sequence

from collectors.check import proposals
from collectors.check.facts import FEATURE_LABELS, MOST_VALUES, TIER_LABELS, Facts
from collectors.check.naming import tier_rules, told_labels
from collectors.check.proposals import Proposal, key_text, value_text
from collectors.config import Credential, PlaneEndpoint, PrometheusServer
from collectors.signals.identity import ordered_tiers
from collectors.text import clean

_EXAMPLE_TIERS = ("pro", "plus", "team", "free")


def first_config(facts: Facts) -> str:
    """The text of a configuration file with one context, that of `facts`.

    It holds no secret: a credential is written as the reference that it was given as. What nobody can guess
    (names of priorities, promises) is there as a comment.
    """
    lines = [
        "# Configuration of tidegate, from what `tidegate init` saw. Yours to edit: tidegate only reads it.",
        "# `tidegate check` tells what it sees; with `--explain MODEL` also where its numbers come from.",
        "",
        f"default_context = {value_text(facts.name)}",
        "",
        f"[contexts.{key_text(facts.name)}]",
        *_sources(facts),
        "",
        *_tiers(facts),
        *_identity(facts),
        *_objectives(facts),
    ]
    return "\n".join(lines) + "\n"


def _sources(facts: Facts) -> Iterator[str]:
    context = facts.context
    if len(context.prometheus) == 1:
        yield f"prometheus = {_endpoint(context.prometheus[0])}"
    elif context.prometheus:
        yield "prometheus = ["
        yield from (f"  {_endpoint(server)}," for server in context.prometheus)
        yield "]"
    if context.scrape:
        yield "scrape = ["
        for page in context.scrape:
            # A query may hold a credential: such a page is left to its owner to write.
            if "?" in page.url:
                yield "  # a page whose address has a query: write it here yourself"
            else:
                yield f"  {value_text(page.url)},"
        yield "]"
    if context.nvml:
        yield "nvml = true"
    if len(context.alertmanager) == 1:
        yield f"alertmanager = {_endpoint(context.alertmanager[0])}"
    elif context.alertmanager:
        yield f"alertmanager = [{', '.join(_endpoint(one) for one in context.alertmanager)}]"
    else:
        yield '# alertmanager = "http://HOST:9093"   # alerts, and who silenced them'
    if context.plane is not None:
        yield f"plane = {_endpoint(context.plane)}"
    else:
        yield '# plane = "http://HOST:9911"          # releases and throttles'
    yield "# production = true                   # every write asks for this context's name"


def _endpoint(endpoint: PlaneEndpoint) -> str:
    fields = [f"url = {value_text(endpoint.url)}"]
    if isinstance(endpoint, PrometheusServer) and endpoint.cluster:
        fields.insert(0, f"cluster = {value_text(endpoint.cluster)}")
    if endpoint.token is not None:
        fields.append(f"token = {_reference(endpoint.token)}")
    if endpoint.ca_file is not None:
        fields.append(f"ca_file = {value_text(str(endpoint.ca_file))}")
    return f"{{ {', '.join(fields)} }}" if len(fields) > 1 else value_text(endpoint.url)


def _reference(credential: Credential) -> str:
    if credential.env is not None:
        return f"{{ env = {value_text(credential.env)} }}"
    return f"{{ file = {value_text(str(credential.file))} }}"


def _tiers(facts: Facts) -> Iterator[str]:
    from_plane = facts.plane.tiers if facts.plane else ()
    seen = ordered_tiers((), from_plane, facts.tiers)
    if seen:
        yield "# Tiers that were seen, the one served first at the head. Names below must be among them."
        yield f"tiers = [{', '.join(map(value_text, seen))}]"
    else:
        yield "# No series names a tier, so there is one column, all. Tiers that rules below name are"
        yield "# listed here, the one served first at the head."
        yield f"# tiers = [{', '.join(map(value_text, _EXAMPLE_TIERS))}]"
    yield ""


def _identity(facts: Facts) -> Iterator[str]:
    wanted = [one for line in proposals.unmatched(facts) for one in line.proposals]
    priorities = [one for one in wanted if one.table == "identity.priority"]
    others = [one for one in wanted if one.table != "identity.priority"]
    name = key_text(facts.name)
    rules = [] if facts.tiers else tier_rules(facts)
    if rules:
        yield "# Any label can tell tiers apart: these have a few values each."
        yield from proposals.tables(facts.name, rules)
        yield ""
    yield from _rules_of_labels(facts, {label for one in rules for label in one.value.split('"')})
    if priorities:
        yield "# Names for priorities. To use them write the same names into `tiers` above."
        yield f"[contexts.{name}.identity.priority]"
        for place, one in enumerate(priorities):
            example = value_text(_EXAMPLE_TIERS[min(place, len(_EXAMPLE_TIERS) - 1)])
            yield f"# {one.key} = {example}"
        yield ""
    if others:
        yield "# Names that nothing joined. Guessed by likeness: check them."
        yield from _told(facts, others)
        yield from proposals.tables(facts.name, others)
    else:
        yield "# One model under several names: the name an exporter has = the name you want."
        yield f"[contexts.{name}.identity.aliases]"
        yield '# "meta-llama/Llama-3.3-70B-Instruct" = "llama-70b"'
    yield ""


def _rules_of_labels(facts: Facts, told: Container[str]) -> Iterator[str]:
    """Rules for labels that gateways and routers have, as comments. told: labels that were named before"""
    name = key_text(facts.name)
    for one, labels in (("tier", TIER_LABELS), ("feature", FEATURE_LABELS)):
        for title, label, values in told_labels(facts, labels):
            if label in told:
                continue
            more = ", ..." if len(values) >= MOST_VALUES else ""
            said = f"{title} has the label {label}: {', '.join(values)}{more}. To make a {one} of each value:"
            yield from textwrap.wrap(said, 96, initial_indent="# ", subsequent_indent="# ")
            yield f"# [[contexts.{name}.identity.{one}s]]"
            yield f"# label = {value_text(label)}"
            yield '# regex = "(.+)"'
            yield f'# {one} = "$1"'
            yield ""


def _told(facts: Facts, listed: Sequence[Proposal]) -> Iterator[str]:
    for line in proposals.unmatched(facts):
        if any(one in listed for one in line.proposals):
            said = clean(line.sentence, 300)
            yield from textwrap.wrap(said, 96, initial_indent="# - ", subsequent_indent="#   ")


def _objectives(facts: Facts) -> Iterator[str]:
    yield "# What each tier was promised: p99 queue wait, seconds. Without it no wait is judged."
    yield f"[contexts.{key_text(facts.name)}.objectives]"
    promises = proposals.objectives(facts)
    for one in promises:
        yield f"# {one.key} = {one.value}{f'   # {one.note}' if one.note else ''}"
    if not promises:
        yield "# pro = 2.0"
    renamed = {one.name for one in proposals.unmatched(facts) if one.proposals}
    model = next((m.partition("@")[0] for m in facts.models if m not in renamed), "MODEL")
    tier = promises[0].key if promises else "pro"
    yield f"# models.{key_text(model)} = {{ {tier} = 1.0 }}   # for one model, another promise"
