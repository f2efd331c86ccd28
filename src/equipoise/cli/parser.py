"""The command line of all commands."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib.metadata import version
from types import ModuleType
from typing import NoReturn

import equipoise
from equipoise.cli import (
    analyse,
    auto,
    bench,
    demo,
    doctor,
    embed,
    evaluate,
    listing,
    predict,
    prepare,
    report,
    reproduce,
    train,
)
from equipoise.errors import ConfigError, suggest, unknown

COMMANDS: dict[str, ModuleType] = {
    "demo": demo,
    "prepare": prepare,
    "doctor": doctor,
    "train": train,
    "auto": auto,
    "evaluate": evaluate,
    "predict": predict,
    "embed": embed,
    "bench": bench,
    "reproduce": reproduce,
    "analyse": analyse,
    "report": report,
    "list": listing,
}
HELP = ("-h", "--help")


class Parser(argparse.ArgumentParser):
    """A parser that reports misuse as a `ConfigError`: one line, exit code 2."""

    def __init__(self, **options: object) -> None:
        options = {
            "allow_abbrev": False,
            "formatter_class": argparse.RawDescriptionHelpFormatter,
            **options,
        }
        super().__init__(**options)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see {self.prog} --help")


class Version(argparse.Action):
    """Prints the version; it is looked up only here, as that takes longer than plain help."""

    def __call__(self, parser: argparse.ArgumentParser, *given: object) -> NoReturn:
        print(f"equipoise {version('equipoise')}")
        raise SystemExit(0)


def build_parser() -> tuple[Parser, dict[str, Parser]]:
    """The parser of the program, and {command: its parser}.

    `run` of the parsed arguments takes them and returns the exit code.
    """
    top = Parser(
        prog="equipoise",
        description=equipoise.__doc__,
        epilog="More on one: equipoise COMMAND --help",
    )
    top.add_argument("--version", action=Version, nargs=0, help="show the version and exit")
    top.set_defaults(run=None)
    subparsers = top.add_subparsers(metavar="COMMAND")
    commands = {}
    for name, module in COMMANDS.items():
        summary = (module.__doc__ or "").strip()
        command = subparsers.add_parser(name, help=_first_line(summary), description=summary)
        command.set_defaults(
            run=module.run, open_ended=False, takes_source=False, prog=command.prog
        )
        module.add_arguments(command)
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
        command.set_defaults(known=_flags(command))
        commands[name] = command
    return top, commands


def parse_command(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse a command line.

    Raises:
        ConfigError: unknown command, argument or value, with the nearest known ones.
        SystemExit: after --help and --version.
    """
    if arguments and not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
        raise unknown("command", arguments[0], COMMANDS)
    top, commands = build_parser()
    if arguments and arguments[0] == "analyse":
        analyse.add_kind(commands["analyse"], arguments[1:])
    _describe_components(commands, arguments)
    found, rest = top.parse_known_args(arguments)
    if found.run is None:
        top.print_help()
        raise SystemExit(2)
    found.arguments = list(arguments)
    found.rest = rest
    if rest and not found.open_ended:
        raise ConfigError(
            f"{found.prog}: unexpected argument {rest[0]!r}{suggest(rest[0], found.known)}"
        )
    return found


def _describe_components(commands: dict[str, Parser], arguments: Sequence[str]) -> None:
    """With --help, add the options of the components that the command line names."""
    words = [word for word in arguments[1:] if word not in HELP]
    if len(words) == len(arguments[1:]) or not words:
        return
    command = commands.get(arguments[0])
    if command is not None and command.get_default("takes_components"):
        from equipoise.cli.component_help import add_component_options

        add_component_options(command, words)


def _flags(parser: argparse.ArgumentParser) -> list[str]:
    return [
        flag
        for action in parser._actions
        for flag in action.option_strings
        if flag.startswith("--")
    ]


def _first_line(text: str) -> str:
    line = text.partition("\n")[0].rstrip(".")
    return line[:1].lower() + line[1:]
