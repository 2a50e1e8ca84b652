"""Rules proposed for names that no rule joins, as lines of TOML to paste. Pure.

A proposal is a guess by the likeness of names, and says so: whoever pastes it decides.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice

from collectors.check.facts import Facts
from collectors.readings import Interval
from collectors.signals.catalogue import Answer, Poll
from collectors.signals.identity import has_exported, ordered_tiers, short_name, workload
from collectors.text import clean

LIKE = 0.6
"""Least likeness of two names, 0 to 1, for one to be proposed for the other."""

MOST, MOST_JOINED = 20, 100
"""Most names of one kind that are told one by one, and that are compared with the engines'."""

_NOISE = frozenset(
    {"instruct", "chat", "it", "hf", "awq", "gptq", "fp", "bf", "int"}
    | {"vllm", "sglang", "tgi", "triton", "trtllm", "engine", "server", "model"}
    | {"deployment", "pool", "decode", "prefill", "worker", "predictor"}
)
_SIZE = re.compile(r"\d+(\.\d+)?[bm]")
_NUMBER = re.compile(r"-?\d+")


@dataclass(frozen=True, slots=True)
class Proposal:
    """One line for the configuration.

    table: of the context, as "identity.aliases"; key, value: as TOML writes them; note: said beside them
    sure: False for a value that nobody can guess: the line is written as a comment, to be filled in
    """

    table: str
    key: str
    value: str
    sure: bool = True
    note: str = ""


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A name that joins nothing, and what may mend it.

    kind: accelerators, engine, router, pool, release, feature or priority; sentence: what to do about it
    """

    kind: str
    name: str
    sentence: str
    proposals: tuple[Proposal, ...] = ()


def alike(name: str, others: Iterable[str]) -> str | None:
    """The name among `others` that most likely means the same model; None where none is like it.

    Words that tell how a model is served or tuned do not count. Names of two sizes (8b, 70b) never match.
    """
    best, found = LIKE, None
    for other in others:
        if (score := _likeness(name, other, best)) >= best:
            best, found = score, other
    return found


def unmatched(facts: Facts) -> tuple[Unmatched, ...]:
    """Names on one exporter or plane that nothing joins to the others, in order of kind."""
    held = _models_with(facts, "accelerator")
    engines, routers = _models_with(facts, "engine"), _models_with(facts, "router", "gateway")
    strange = sorted(routers - engines)[:MOST_JOINED] if engines else []
    joined = {name: _engine_like(name, sorted(engines - routers)) for name in strange}
    # What holds the accelerators of a name that is joined to an engine's holds those of the engine.
    held |= {model for name, model in joined.items() if model and name in held}
    found = (
        *_bounded(_workloads(facts, engines - held, joined)),
        *_bounded(_engines(facts, engines, held)),
        *_bounded(_routers(joined)),
        *_bounded(_pools(facts, joined)),
        *_bounded(_subjects(facts, joined)),
        *_bounded(_priorities(facts)),
    )
    return tuple(_settled(found))


def _settled(found: Sequence[Unmatched]) -> Iterator[Unmatched]:
    """All lines hold together: none leads to a name that another one does away with.

    Aliases hold in every cluster, so what is one name in all of them may be an engine's in one alone.
    """
    ends: dict[str, str] = {}
    for one in (p for line in found for p in line.proposals if p.sure and p.table == "identity.aliases"):
        # What comes first is what is set. A circle would end where it began.
        if one.key not in ends and _end(one.value, ends) != one.key:
            ends[one.key] = one.value
    for line in found:
        kept = [replace(p, value=_end(p.value, ends)) for p in line.proposals]
        yield replace(line, proposals=tuple(p for p in kept if p.key != p.value))


def _end(name: str, ends: Mapping[str, str]) -> str:
    while name in ends:
        name = ends[name]
    return name


def _engine_like(name: str, engines: Sequence[str]) -> str | None:
    """The engine's name that is most like a router's; one of the same cluster goes first."""
    cluster = name.partition("@")[2]
    return alike(name, [one for one in engines if one.partition("@")[2] == cluster]) or alike(name, engines)


def objectives(facts: Facts) -> tuple[Proposal, ...]:
    """A line for each tier that is promised nothing, with its slowest p99 wait beside it.

    What was promised nobody can guess, so these are comments.
    """
    promised = set(facts.context.objectives.tiers())
    found = []
    for tier in ordered_tiers(facts.context.tiers, facts.plane.tiers if facts.plane else (), facts.tiers):
        if tier in promised:
            continue
        waits = [
            one.value
            for seen in facts.observed
            for key, one in seen.readings.items()
            if key.tier == tier and key.signal == "queue_wait_p99" and isinstance(one.value, Interval)
        ]
        notes = [f"p99 wait now: up to {max(w.hi for w in waits):g} s"] if waits else []
        if _NUMBER.fullmatch(tier):
            notes.append("rename it when you name the priority")
        found.append(Proposal("objectives", key_text(tier), "2.0", sure=False, note="; ".join(notes)))
    return tuple(found)


def key_text(name: str) -> str:
    """A TOML key: bare where it can be, else a quoted string."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else value_text(name)


def value_text(text: str) -> str:
    """A TOML string."""
    escaped = clean(text, 2000).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def tables(context: str, proposals: Sequence[Proposal]) -> tuple[str, ...]:
    """Lines of TOML for all proposals: each table once, what is unsure as a comment."""
    found: list[str] = []
    for table in dict.fromkeys(one.table for one in proposals):
        found.append(f"[contexts.{key_text(context)}.{table}]")
        keys: set[str] = set()
        for one in dict.fromkeys(one for one in proposals if one.table == table):
            note = f"   # {one.note}" if one.note else ""
            # One key twice is no TOML: whoever comes second is shown, and not set.
            comment = "" if one.sure and one.key not in keys else "# "
            found.append(f"{comment}{one.key} = {one.value}{note}")
            if one.sure:
                keys.add(one.key)
        found.append("")
    return tuple(found[:-1])


def alias(name: str, model: str | None) -> Proposal:
    """An alias of `name`; a comment where nobody knows what it is."""
    plain = None if model is None else model.partition("@")[0]
    if plain is None:
        return Proposal("identity.aliases", value_text(name), '"MODEL"', sure=False)
    return Proposal("identity.aliases", value_text(name), value_text(plain))


def _workloads(facts: Facts, lonely: set[str], joined: Mapping[str, str | None]) -> Iterator[Unmatched]:
    """Accelerators in pods that match no model. Models without accelerators are the likeliest."""
    everywhere = facts.models
    for name in sorted({held for seen in facts.observed for held in seen.unmatched or ()}):
        near = alike(name, sorted(lonely)) or _joined(alike(name, everywhere), joined)
        guess = f"; by its name it may run {near}" if near else ""
        sentence = f"workload {name} holds accelerators and matches no model{guess}: say which with an alias"
        yield Unmatched("accelerators", name, sentence, (alias(name, near),))


def _engines(facts: Facts, engines: set[str], held: set[str]) -> Iterator[Unmatched]:
    if not any(key.signal == "accelerators" for seen in facts.observed for key in seen.readings):
        return
    workloads = _workloads_by_model(facts)
    for model in sorted(engines - held):
        pods = sorted(workloads.get(model, ()))
        if pods:
            why = f"no accelerator names its workload {', '.join(pods[:3])}"
            mend = "let the accelerator exporter name pods (dcgm-exporter: DCGM_EXPORTER_KUBERNETES=true)"
        else:
            why = "its engine's series carry no pod"
            mend = "keep the `pod` and `namespace` labels when scraping it, or alias the workload"
        yield Unmatched("engine", model, f"model {model} has no accelerators: {why}; {mend}")


def _routers(joined: Mapping[str, str | None]) -> Iterator[Unmatched]:
    """Names that only a router or gateway knows, with the engine's that each is most like."""
    for name, near in sorted(joined.items()):
        guess = f"; by its name it may be {near}" if near else ""
        sentence = f"{name} is named by a router or gateway and by no engine{guess}: join them with an alias"
        yield Unmatched("router", name, sentence, (alias(name.partition("@")[0], near),))


def _joined(name: str | None, joined: Mapping[str, str] | Mapping[str, str | None]) -> str | None:
    """The engine's name that a router's is joined to, else the name itself."""
    return (joined.get(name) or name) if name is not None else None


def _pools(facts: Facts, joined: Mapping[str, str | None]) -> Iterator[Unmatched]:
    """Pools of a router that no model is called like: what is measured of the whole pool belongs nowhere."""
    found: set[str] = set()
    for poll in facts.polls:
        names = facts.naming(poll)
        for answer in poll.answers:
            for row in answer.rows if answer.definition.role == "router" else ():
                pool = row.labels.get("inference_pool") or row.labels.get("name") or ""
                named = names.model_of_row(row, "router") or (pool and names.model_of_pool(pool, row.labels))
                if pool and not named:
                    found.add(clean(pool))
    for pool in sorted(found):
        near = _joined(alike(pool, facts.models), joined)
        guess = f"; by its name it may serve {near}" if near else ""
        sentence = f"pool {pool} is called like no model{guess}: say which it serves with an alias"
        yield Unmatched("pool", pool, sentence, (alias(pool, near),))


def _subjects(facts: Facts, joined: Mapping[str, str | None]) -> Iterator[Unmatched]:
    """What a release or a feature calls a model, and no series does."""
    if not facts.models:
        return
    known = {model.partition("@")[0] for model in facts.models}
    plain = {name.partition("@")[0]: model.partition("@")[0] for name, model in joined.items() if model}
    # One that only metrics tell of has its own name as title: its subject went through the rules already.
    subjects = {r.title if r.read_only else r.subject for r in facts.releases if r.subject_kind == "model"}
    served = {model for feature in (facts.plane.features if facts.plane else ()) for model in feature.models}
    for name in sorted(subjects | served):
        if facts.names.subject(name) in known:
            continue
        others = sorted(known - {facts.names.subject(s) for s in subjects}) or sorted(known)
        near = _joined(alike(name, others), plain)
        guess = f"; by its name it may be {near}" if near else ""
        value = value_text(near) if near else '"MODEL"'
        proposal = Proposal("identity.releases", value_text(name), value, sure=near is not None)
        what = "release" if name in subjects else "feature"
        sentence = f"a {what} names {name}, and no metric of a model does{guess}"
        yield Unmatched(what, name, sentence, (proposal,))


def _priorities(facts: Facts) -> Iterator[Unmatched]:
    """Priorities without a name. Where as many names wait for one, the order tells which."""
    mapped = facts.context.identity.priority
    bare = [
        tier for tier in facts.tiers if _NUMBER.fullmatch(tier) and tier not in {*mapped, *mapped.values()}
    ]
    by_number = sorted(bare, key=int, reverse=True)
    free = [t for t in facts.context.tiers if t not in mapped.values() and not _NUMBER.fullmatch(t)]
    for place, priority in enumerate(by_number):
        sure = len(free) == len(by_number)
        name = value_text(free[place]) if sure else '"TIER"'
        sentence = f"priority {priority} has no name: give it one of your tiers"
        if sure:
            sentence = f"priority {priority} has no name; by its order it may be {free[place]}"
        proposal = Proposal("identity.priority", value_text(priority), name, sure)
        yield Unmatched("priority", priority, sentence, (proposal,))


def _models_with(facts: Facts, *roles: str) -> set[str]:
    return {
        model
        for poll in facts.polls
        for answer in poll.answers
        if answer.definition.role in roles
        for model in _models_of(facts, poll, answer)
    }


def _models_of(facts: Facts, poll: Poll, answer: Answer) -> Iterator[str]:
    names = facts.naming(poll)
    if not _of_device(answer):
        named = (names.model_of_row(row, answer.definition.role) for row in answer.rows)
    else:
        exported = has_exported(row for one in poll.answers if _of_device(one) for row in one.rows)
        named = (names.model_of_accelerator(row.labels, exported=exported) for row in answer.rows)
    yield from filter(None, named)


def _of_device(answer: Answer) -> bool:
    return answer.definition.role in {"accelerator", "heat"}


def _workloads_by_model(facts: Facts) -> Mapping[str, set[str]]:
    """Workloads that run an engine, by model."""
    found: dict[str, set[str]] = {}
    for poll in facts.polls:
        names = facts.naming(poll)
        for answer in poll.answers:
            if answer.definition.role != "engine":
                continue
            exported = has_exported(answer.rows)
            for row in answer.rows:
                where = workload(row.labels, exported=exported).name
                model = names.model_of_row(row, answer.definition.role)
                if where and model:
                    found.setdefault(model, set()).add(where)
    return found


def _bounded(found: Iterable[Unmatched]) -> tuple[Unmatched, ...]:
    # Comparing a thousand names with a thousand others would take as long as all the rest.
    first = tuple(islice(found, MOST + 1))
    return (
        first if len(first) <= MOST else (*first[:MOST], Unmatched(first[0].kind, "", "and more like these"))
    )


@lru_cache(maxsize=4096)
def _words(name: str) -> tuple[str, ...]:
    plain = short_name(name.partition("@")[0]).replace("_", "-")
    words = re.findall(r"[a-z]+|\d+(?:\.\d+)?[bm]?(?![a-z0-9])|\d+", plain)
    return tuple(word for word in words if word not in _NOISE) or tuple(words)


def _likeness(one: str, other: str, least: float) -> float:
    """0 to 1; 0 where it is below `least`."""
    a, b = _words(one), _words(other)
    sizes = [{w for w in words if _SIZE.fullmatch(w)} for words in (a, b)]
    if all(sizes) and sizes[0] != sizes[1]:
        return 0.0
    matcher = difflib.SequenceMatcher(None, " ".join(a), " ".join(b), autojunk=False)
    # Upper bounds first: they cost a tenth.
    near = matcher.real_quick_ratio() >= least and matcher.quick_ratio() >= least
    return matcher.ratio() if near else 0.0
