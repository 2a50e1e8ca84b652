"""Which context is meant: the configuration, the environment and the options, put together."""

import argparse
import os
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import ValidationError

    from collectors.config import Context, Settings

_OPTIONS = {
    "prometheus": "--prometheus",
    "scrape": "--scrape",
    "plane": "--plane",
    "alertmanager": "--alertmanager",
}


class Given(NamedTuple):
    """Sources by option or environment; the option wins.

    prometheus: each a URL, or NAME=URL of one of several clusters
    """

    prometheus: tuple[str, ...] = ()
    pages: tuple[str, ...] = ()
    plane: str | None = None
    alertmanagers: tuple[str, ...] = ()
    nvml: bool = False


def settings_of(args: argparse.Namespace) -> "Settings":
    """The configuration that is meant. raises: ConfigError"""
    from collectors.config import read_settings

    return read_settings(args.config)


def given(args: argparse.Namespace) -> Given:
    """The sources that were named."""
    from_environment = None if args.scrape else os.environ.get("TIDEGATE_PROMETHEUS")
    return Given(
        tuple(args.prometheus or filter(None, (from_environment,))),
        tuple(args.scrape or ()),
        args.plane or os.environ.get("TIDEGATE_PLANE"),
        tuple(args.alertmanager or ()),
        args.nvml,
    )


def context_of(args: argparse.Namespace, settings: "Settings") -> tuple[str, "Context"]:
    """The context to watch: the configured one, with what the options change. raises: ConfigError."""
    from collectors.config import ConfigError, Context

    wanted = args.context or os.environ.get("TIDEGATE_CONTEXT")
    sources = given(args)
    # Sources alone are watched as they are: a default context's tiers and plane belong to another fleet.
    if wanted or args.config or (settings.contexts and not (sources.prometheus or sources.pages)):
        name, base = settings.context(wanted)
    else:
        name, base = "direct", settings.contexts.get("direct", Context())
    _see_to_presets(args, name, base)
    context = with_guards(with_sources(base, sources), settings)
    if not (context.prometheus or context.scrape or context.plane or context.nvml):
        raise ConfigError(
            "nothing to watch: give --prometheus URL or --scrape URL, or let `tidegate init` write a "
            "configuration; `tidegate demo` needs none of it"
        )
    return name, context


def with_guards(context: "Context", settings: "Settings") -> "Context":
    """The context with what any other one says of its plane: never to write to it, or that it is production.

    However a plane is named on the command line, a mistake must not lift what the configuration says of it.
    """
    from collectors.config import is_same_server

    if context.plane is None:
        return context
    url = context.plane.url
    same = [c for c in settings.contexts.values() if c.plane is not None and is_same_server(c.plane.url, url)]
    strictest = min((context, *same), key=lambda one: ("never", "arm", "on").index(one.writes))
    is_production = any(one.production for one in (context, *same))
    return context.model_copy(update={"writes": strictest.writes, "production": is_production})


def _see_to_presets(args: argparse.Namespace, name: str, context: "Context") -> None:
    """See that the files of `presets` can be opened, while it is known which line names them.

    raises: ConfigError
    """
    from collectors.config import ConfigError, config_file
    from collectors.toml_file import place_in, text_of

    for path in context.presets:
        try:
            text_of(path)
        except UnicodeDecodeError:
            pass  # told with the preset's other mistakes
        except OSError as error:
            place = place_in(args.config or config_file(), "contexts", name, "presets")
            raise ConfigError(f"{place}: {path} cannot be read: {error.strerror or error}") from error


def with_sources(base: "Context", sources: Given, token: "Mapping[str, str] | None" = None) -> "Context":
    """The context with these sources in place of its own.

    token: of every Prometheus that is named here, by reference (`env` or `file`)
    raises: ConfigError
    """
    from pydantic import ValidationError

    from collectors.config import Context

    changed: dict[str, object] = {}
    if sources.prometheus:
        changed |= {"prometheus": _servers(sources.prometheus, token), "scrape": list(sources.pages)}
    elif sources.pages:
        changed |= {"scrape": list(sources.pages), "prometheus": ()}
    if sources.plane:
        changed["plane"] = sources.plane
    if sources.alertmanagers:
        changed["alertmanager"] = list(sources.alertmanagers)
    if sources.nvml:
        changed["nvml"] = True
    try:
        return Context.model_validate({**base.model_dump(exclude_unset=True), **changed})
    except ValidationError as error:
        raise _refused(error) from error


def _servers(named: tuple[str, ...], token: "Mapping[str, str] | None") -> list[dict[str, object]]:
    from collectors.config import ConfigError

    found: list[dict[str, object]] = []
    for one in named:
        parts = re.fullmatch(r"([^=:/?@]+)=(.*)", one)
        server: dict[str, object] = {"url": parts[2], "cluster": parts[1]} if parts else {"url": one}
        found.append({**server, "token": dict(token)} if token else server)
    if len(found) > 1 and not all(server.get("cluster") for server in found):
        raise ConfigError(
            "--prometheus: several servers need names: --prometheus eu=http://... --prometheus us=http://..."
        )
    return found


def _refused(error: "ValidationError") -> Exception:
    from collectors.config import ConfigError
    from collectors.text import clean

    first = error.errors()[0]
    option = _OPTIONS.get(str(first["loc"][0]) if first["loc"] else "", "the options")
    said = first["msg"].removeprefix("Value error, ")
    wrong = clean(str(first.get("input", "")), 80)
    # What is no URL may be a token put into the wrong place; what holds an @ or a ? may hold one too.
    shown = f" (it is {wrong!r})" if "://" in wrong and not {"@", "?"} & set(wrong) else ""
    return ConfigError(f"{option}: {said}{shown}")
