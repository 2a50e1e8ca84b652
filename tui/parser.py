"""The parser of the command line, and the options that several commands share.

A command's options are added when it is first used: a start has time for those of one command.
"""

import argparse
import difflib
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from tui.output import USAGE_ERROR

TIME_OPTIONS = ("--at", "--from", "--to")
"""Options that take a time."""


class Command(NamedTuple):
    """A command as the one above it lists it.

    fill: adds its options, and says what it runs; called once, when the command is used
    """

    name: str
    summary: str
    fill: "Callable[[Parser], None]"


class Parser(argparse.ArgumentParser):
    """Says what was probably meant by a command or an option that there is not.

    summary: what the command does, the first words of its help; fill: as of `Command`
    """

    def __init__(
        self, *, summary: str = "", fill: "Callable[[Parser], None] | None" = None, **options: Any
    ) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **options)
        if summary:
            self.description = f"{summary[0].upper()}{summary[1:]}."
        self._fill = fill
        self._below: list[Parser] = []

    def runs(self, run: Callable[[argparse.Namespace], int], more: str = "") -> None:
        """Let the command run this, which returns the exit status; `more` words for its help."""
        self.set_defaults(run=run)
        self.description = f"{self.description}\n\n{more}".strip()

    def add_commands(self, commands: Iterable[Command]) -> None:
        """Commands below this one, which by itself is a mistake and shows its help."""
        self.set_defaults(run=self._show_help)
        group = self.add_subparsers(title="commands", metavar="COMMAND")
        for one in commands:
            self._below.append(
                group.add_parser(one.name, help=one.summary, summary=one.summary, fill=one.fill)
            )

    def whole(self) -> "Parser":
        """This parser, once every command below it has its options."""
        self._see_to_options()
        for one in self._below:
            one.whole()
        return self

    def error(self, message: str) -> NoReturn:
        """Usage, the mistake, what was probably meant. Never returns: exit status 2."""
        choice = re.search(r"invalid choice: '?([^' ]+)'? \(choose from (.+)\)", message)
        if choice:
            wrong, known = choice[1], re.findall(r"[\w.-]+", choice[2])
        else:
            unknown = re.search(r"unrecognized arguments: .*?(--[^\s=]+)", message)
            wrong, known = unknown[1] if unknown else "", sorted(self._known_options())
        near = difflib.get_close_matches(wrong, known, n=1) if wrong else []
        super().error(f"{message}; did you mean {near[0]}?" if near else message)

    def parse_known_args(  # type: ignore[override]  # the overloads of the base say no more
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As the base does; a command refuses what it does not know itself: it has the nearest names."""
        self._see_to_options()
        found, unknown = super().parse_known_args(with_times(args), namespace)
        if unknown and " " in self.prog:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown

    def _see_to_options(self) -> None:
        fill, self._fill = self._fill, None
        if fill is not None:
            fill(self)

    def _show_help(self, args: argparse.Namespace) -> int:
        self.print_help()
        return USAGE_ERROR

    def _known_options(self) -> set[str]:
        return {one for one in self._option_string_actions if one.startswith("--")}


def with_times(args: Sequence[str] | None) -> list[str]:
    """The arguments, those of the command line for None, with a time such as `-5m` joined to its option:
    argparse takes it for an option of its own."""
    made: list[str] = []
    for one in sys.argv[1:] if args is None else args:
        if made and made[-1] in TIME_OPTIONS and re.match(r"-\s*\d", one):
            made[-1] += f"={one}"
        else:
            made.append(one)
    return made


def add_append(parser: Parser, option: str) -> None:
    """Whether the file that `option` names is gone on with although it was closed."""
    parser.add_argument(
        "--append", action="store_true", help=f"go on in the FILE of {option}, although it was closed"
    )


def add_sources(parser: Parser) -> None:
    """What is watched: by URLs, or by the configuration."""
    add_context(add_urls(parser))


def add_urls(parser: Parser) -> "argparse._ArgumentGroup":
    """Sources by their URLs. Returns the group, for more options on where to ask."""
    group = parser.add_argument_group("where to ask")
    group.add_argument(
        "--prometheus",
        metavar="URL",
        action="append",
        help="a Prometheus (environment: TIDEGATE_PROMETHEUS); of several clusters, one NAME=URL for each",
    )
    group.add_argument(
        "--scrape",
        metavar="URL",
        action="append",
        help="a /metrics page, read directly; give it again for more",
    )
    add_plane(group)
    group.add_argument(
        "--alertmanager",
        metavar="URL",
        action="append",
        help="an Alertmanager: alerts and who silenced them; give it again for more",
    )
    group.add_argument(
        "--nvml", action="store_true", help="this machine's own NVIDIA accelerators, without an exporter"
    )
    return group


def add_plane(group: "argparse._ArgumentGroup") -> None:
    """A control plane by its URL."""
    group.add_argument("--plane", metavar="URL", help="a control plane (environment: TIDEGATE_PLANE)")


def add_context(group: "argparse._ArgumentGroup") -> None:
    """A context of the configuration, and which configuration."""
    group.add_argument(
        "--context", metavar="NAME", help="of the configuration (environment: TIDEGATE_CONTEXT)"
    )
    group.add_argument(
        "--config", type=Path, metavar="FILE", help="configuration file (environment: TIDEGATE_CONFIG)"
    )


def number(text: str, lowest: float, highest: float) -> float:
    """A number that was typed. raises: ArgumentTypeError where it is none, or out of its range"""
    try:
        found = float(text)
    except ValueError:
        found = float("nan")
    if not lowest <= found <= highest:
        raise argparse.ArgumentTypeError(f"{text[:40]!r}: a number from {lowest:g} to {highest:g}")
    return found
