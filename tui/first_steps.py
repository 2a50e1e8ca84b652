"""Before the cockpit: what can be seen (check), a first configuration (init), recording rules (rules)."""

import argparse
import asyncio
import os
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tui.contexts import Given, context_of, given, settings_of, with_sources
from tui.output import USAGE_ERROR, as_json, fail, say, warn

if TYPE_CHECKING:
    from collectors.check.facts import Facts
    from collectors.config import Context, Settings
    from collectors.signals.catalogue import Preset
    from collectors.signals.recording import Group

QUIET_S = 1.0
"""Nothing is said about waiting before."""


def check(args: argparse.Namespace) -> int:
    """Print what can be seen, what is missing, and what to do about it.

    Returns 0; 1 if a source does not answer, nothing has data, or the model to explain is unknown; 2 for a
    mistake in options or settings. raises: OutputError
    """
    from collectors.config import ConfigError, config_file

    try:
        name, context = context_of(args, settings_of(args))
    except ConfigError as error:
        return fail(error)
    if (facts := _facts(name, context, args.within)) is None:
        return USAGE_ERROR
    colour = sys.stdout is not None and sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    if args.explain:
        return _explain(facts, args.explain, args.format, colour=colour)
    from collectors.check.findings import data, findings
    from tui.checking import found_text

    found = findings(facts)
    if args.format == "json":
        say(as_json(data(found)))
    else:
        say(found_text(found, colour=colour, file=str(args.config or config_file())))
    return found.status


def _explain(facts: "Facts", wanted: str, form: str, *, colour: bool) -> int:
    from collectors.check.explain import explanation, near
    from collectors.check.findings import data
    from collectors.text import clean
    from tui.checking import explanation_text

    found = explanation(facts, wanted)
    if found is None:
        known = near(facts, wanted)
        hint = f"; there are: {', '.join(known)}" if known else ": no series names a model"
        silent = [f"{one.health.name}: {one.health.error}" for one in facts.sources if not one.answers]
        return fail(f"no model {clean(wanted, 60)!r}{hint}{''.join(f'; {one}' for one in silent)}", 1)
    say(as_json(data(found)) if form == "json" else explanation_text(found, colour=colour))
    return 0


def init(args: argparse.Namespace) -> int:
    """Ask what is there, and write a first configuration.

    Returns 0; 1 if a source does not answer, nothing being written then; 2 for a mistake in what was asked,
    which a file that exists is too. raises: OutputError
    """
    from collectors.config import ConfigError, Context, config_file

    output: Path = args.output or config_file()
    if output.exists() and not output.is_file():
        return fail(
            f"{_shown(output)} is no regular file, and was not changed: --output FILE writes elsewhere"
        )
    if output.exists() and not args.yes:
        return fail(
            f"{_shown(output)} is there, and was not changed. "
            "--yes overwrites it; --output FILE writes elsewhere"
        )
    sources = given(args)
    try:
        sources = sources if any(sources) else _asked_sources()
        token = _token(args)
        context = with_sources(Context(), sources, token)
        facts = _facts(args.context or "main", context, args.within)
        if facts is not None and _wants_token(facts) and not token and (token := _asked_token()):
            context = with_sources(Context(), sources, token)
            facts = _facts(args.context or "main", context, args.within)
    except ConfigError as error:
        return fail(error)
    return USAGE_ERROR if facts is None else _written(facts, output, overwrite=args.yes)


def _written(facts: "Facts", output: Path, *, overwrite: bool) -> int:
    from collectors.check.findings import findings
    from collectors.check.first_config import first_config
    from collectors.config import ConfigError, config_file

    found = findings(facts)
    if silent := [source for source in facts.sources if not source.answers]:
        for source in silent:
            warn(f"{source.health.name}: {source.health.error}")
        return fail("nothing was written: a configuration is made from what its sources say", 1)
    try:
        write_config(output, first_config(facts), overwrite=overwrite)
    except ConfigError as error:
        return fail(error)
    elsewhere = "" if output == config_file() else f" --config {_shown(output)}"
    say(f"wrote {_shown(output)} (only you can read it): {found.verdict}")
    if found.unmatched or not facts.tiers:
        say("Some names are yours to give: the comments in it say which.")
    say(f"\n  tidegate check{elsewhere}     what it sees, and what is missing")
    say(f"  tidegate watch{elsewhere}     the cockpit")
    return 0


def write_config(output: Path, text: str, *, overwrite: bool) -> None:
    """Write a configuration whole or not at all, for its owner only, once it is known to be readable.

    A link stays, and what it leads to is written. What is there and no regular file is never replaced.
    raises: ConfigError; nothing is left behind then
    """
    from collectors.config import ConfigError, read_settings

    named = _shown(output)
    try:
        output = output.resolve()
        if not stat.S_ISREG(output.lstat().st_mode):
            raise ConfigError(
                f"{named} is no regular file, and was not changed: --output FILE writes elsewhere"
            )
    except FileNotFoundError:
        pass
    except (OSError, RuntimeError) as error:
        # A ring of links is a RuntimeError before Python 3.13.
        why = error.strerror if isinstance(error, OSError) else "its links lead nowhere"
        raise ConfigError(f"{named}: cannot be written to: {why}") from error
    try:
        output.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Made readable and writable by its owner alone.
        handle, name = tempfile.mkstemp(prefix=f".{output.name}-", suffix=".toml", dir=output.parent)
    except OSError as error:
        raise ConfigError(
            f"{_shown(output.parent)}: cannot be written to: {error.strerror or error}"
        ) from error
    draft = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        read_settings(draft)
        if overwrite:
            draft.replace(output)
        else:
            # Unlike a rename, a link never takes the place of a file that came meanwhile.
            output.hardlink_to(draft)
    except FileExistsError as error:
        raise ConfigError(f"{named} is there already, and was not changed. --yes overwrites it") from error
    except OSError as error:
        raise ConfigError(f"{named}: cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def _shown(path: Path) -> str:
    from collectors.text import clean

    return clean(str(path), 500)


def rules(args: argparse.Namespace) -> int:
    """Print recording rules for the stacks that a Prometheus has, or for all.

    Returns 0; 1 if it does not answer or has none of the stacks; 2 for a mistake. raises: OutputError
    """
    from collectors.config import ConfigError, Context
    from collectors.text import clean

    try:
        settings = settings_of(args)
        named = args.context or args.config or settings.contexts or any(given(args))
        name, context = context_of(args, settings) if named else ("direct", Context())
    except ConfigError as error:
        return fail(error)
    if args.cluster is not None:
        of_cluster = tuple(one for one in context.prometheus if one.cluster == args.cluster)
        if not of_cluster:
            return fail(
                f"no Prometheus of cluster {clean(args.cluster, 40)!r}; there are: {_clusters(context)}"
            )
        context = context.model_copy(update={"prometheus": of_cluster})
    if args.all:
        return _print_rules(_all_groups(context, args.interval))
    if len(context.prometheus) != 1:
        what = "none: give --prometheus URL"
        if context.prometheus:
            what = f"one for each of {_clusters(context)}: name one with --cluster NAME"
        return fail(f"rules are made for one Prometheus, and there is {what}; --all asks nobody")
    _say_whose(name, context, settings)
    # Only a Prometheus evaluates rules: nobody else is asked.
    only = Context.model_validate(
        {
            **context.model_dump(exclude_unset=True),
            "scrape": (),
            "plane": None,
            "alertmanager": (),
            "nvml": False,
        }
    )
    if (facts := _facts("rules", only, args.within)) is None:
        return USAGE_ERROR
    server = facts.sources[0]
    if not server.answers:
        return fail(f"{server.health.name}: {server.health.error}", 1)
    groups = _groups_of(facts)
    if not groups:
        return fail("it scrapes none of the stacks: nothing to record. `tidegate check` says what it has", 1)
    return _print_rules(groups)


def _clusters(context: "Context") -> str:
    return ", ".join(one.cluster for one in context.prometheus if one.cluster) or "none with a name"


def _say_whose(name: str, context: "Context", settings: "Settings") -> None:
    """A word, beside the rules, where a URL alone was given that a context has with labels of its own."""
    url = context.prometheus[0].url
    for other, one in settings.contexts.items():
        if other != name and any(server.url == url for server in one.prometheus):
            cluster = next(server.cluster for server in one.prometheus if server.url == url)
            told = f"tidegate rules --context {other}" + (f" --cluster {cluster}" if cluster else "")
            warn(f"these rules fit options without a context; for context {other}: {told}")


def _groups_of(facts: "Facts") -> "tuple[Group, ...]":
    from collectors.prometheus.answer import by_node
    from collectors.prometheus.live import BY_NODE_ABOVE
    from collectors.signals.keys import Key
    from collectors.signals.recording import groups

    poll, seen, presets = facts.polls[0], facts.observed[0], _recorded_presets(facts.context)
    counted = seen.readings.get(Key("", "", "accelerators"))
    many = counted is not None and (counted.estimate or 0) > BY_NODE_ABOVE
    heat = [by_node(d) for p in presets for d in p.definitions if many and d.lane == "heat"]
    return groups(presets, {stack: poll.intervals.get(stack, poll.interval_s) for stack in poll.stacks}, heat)


def _all_groups(context: "Context", interval_s: float) -> "tuple[Group, ...]":
    from collectors.prometheus.answer import by_node
    from collectors.signals.recording import groups

    presets = _recorded_presets(context)
    heat = [by_node(d) for p in presets for d in p.definitions if d.lane == "heat"]
    return groups(presets, {p.stack: interval_s for p in presets}, heat)


def _recorded_presets(context: "Context") -> "tuple[Preset, ...]":
    """The presets as the poller asks them, with the label that tells clusters apart: else no mark agrees."""
    from collectors.live import known_presets
    from collectors.signals.presets import with_labels

    labels = {server.cluster_label for server in context.prometheus if server.cluster_label}
    return with_labels(known_presets(context), sorted(labels), apart=True)


def _print_rules(groups: "tuple[Group, ...]") -> int:
    from collectors.signals.recording import rendered

    say(rendered(groups).rstrip())
    return 0


def _facts(name: str, context: "Context", within_s: float) -> "Facts | None":
    """What the sources of a context say; None, once it is said why, where they cannot even be asked."""
    from collectors.check.run import gathered, opened
    from tui.feed import is_own, sentence_of

    try:
        sources = opened(context)
    except Exception as error:
        # Ours, values that a library refuses, files that are not there. Anything else is a fault of ours.
        if not (is_own(error) or isinstance(error, ValueError | OSError)):
            raise
        fail(sentence_of(error))
        return None
    progress, done = _progress(within_s)
    try:
        return asyncio.run(gathered(name, context, sources, within_s, progress))
    finally:
        done()


def _progress(within_s: float) -> tuple[Callable[[str], None], Callable[[], None]]:
    """(what shows a word on waiting, what takes it away): on a terminal a line that is taken away again,
    elsewhere a plain one, once."""
    terminal = sys.stderr is not None and sys.stderr.isatty()
    began, shown = time.monotonic(), False

    def progress(text: str) -> None:
        nonlocal shown
        if not text or sys.stderr is None or time.monotonic() - began <= QUIET_S:
            return
        if terminal:
            print(f"\r\x1b[K{text[:78]} ...", end="", file=sys.stderr, flush=True)
        elif not shown:
            print(f"waiting for {text}; at most {within_s:g} s", file=sys.stderr, flush=True)
        shown = True

    def done() -> None:
        if terminal and shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    return progress, done


def _asked_sources() -> Given:
    """The URL of a Prometheus, typed in. raises: ConfigError where nobody can be asked."""
    from collectors.config import ConfigError

    typed = _ask("URL of your Prometheus (http://HOST:9090): ")
    if not typed:
        raise ConfigError(
            "nothing to ask: give --prometheus URL, or --scrape URL for a /metrics page without a Prometheus"
        )
    return Given(prometheus=(typed,))


def _token(args: argparse.Namespace) -> Mapping[str, str] | None:
    if args.token_env:
        return {"env": args.token_env}
    return {"file": str(args.token_file.expanduser().absolute())} if args.token_file else None


def _asked_token() -> Mapping[str, str] | None:
    """Where the token is, typed in: never the token itself."""
    typed = _ask("It wants a token. Name of the environment variable that holds it, or path of a file: ")
    if not typed:
        return None
    return (
        {"file": str(Path(typed).expanduser().absolute())} if "/" in typed or "." in typed else {"env": typed}
    )


def _wants_token(facts: "Facts") -> bool:
    return any(one.health.kind == "prometheus" and "HTTP 401" in one.health.error for one in facts.sources)


def _ask(question: str) -> str:
    """A line from the terminal; "" where there is none, or nothing was typed."""
    if sys.stdin is None or not sys.stdin.isatty():
        return ""
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()
