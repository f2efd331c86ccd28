"""The arguments of all commands."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from types import ModuleType
from typing import NoReturn

import equipoise
from equipoise.cli import bench, demo, doctor, evaluate, listing, predict, prepare, report, train
from equipoise.errors import ConfigError, suggest, unknown

COMMANDS: dict[str, ModuleType] = {
    "demo": demo,
    "prepare": prepare,
    "doctor": doctor,
    "train": train,
    "evaluate": evaluate,
    "predict": predict,
    "bench": bench,
    "report": report,
    "list": listing,
}


class Parser(argparse.ArgumentParser):
    """Reports misuse like every other error of a user: one line, exit code 2."""

    def __init__(self, **options: object) -> None:
        options = {
            "allow_abbrev": False,
            "formatter_class": argparse.RawDescriptionHelpFormatter,
            **options,
        }
        super().__init__(**options)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see {self.prog} --help")


def parser() -> Parser:
    """The whole parser; `run` of the result takes the parsed arguments and returns the exit code."""
    top = Parser(
        prog="equipoise",
        description=equipoise.__doc__,
        epilog="More on one: equipoise COMMAND --help",
    )
    top.add_argument("--version", action="version", version=f"equipoise {equipoise.__version__}")
    top.set_defaults(run=None)
    commands = top.add_subparsers(metavar="COMMAND")
    for name, module in COMMANDS.items():
        summary = (module.__doc__ or "").strip()
        command = commands.add_parser(name, help=_first_line(summary), description=summary)
        command.set_defaults(run=module.run, open_ended=False, prog=command.prog)
        module.add_arguments(command)
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
        command.set_defaults(known=_flags(command))
    return top


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse a command line.

    Raises:
        ConfigError: unknown command, argument or value, with the nearest known ones.
        SystemExit: after --help and --version.
    """
    if arguments and not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
        raise unknown("command", arguments[0], COMMANDS)
    top = parser()
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
