"""Add the options of the named method, head and encoders to the help of a command.

`equipoise train --method mie --help` lists the options of MIE below the settings. They are read
from the signature of its class and from the `Args` of its docstring, so the class is imported.
Plain `equipoise train --help` imports nothing heavy.
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
from collections.abc import Iterator, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

from equipoise.cli.options import read_layers
from equipoise.configuration.layers import above_preset, overlay
from equipoise.errors import ConfigError
from equipoise.settings import component

if TYPE_CHECKING:
    from equipoise.registry import Entry

LIBRARY_PARAMETERS = {
    "method": set[str](),
    "head": {"widths", "classes"},
    "encoder": {"shape", "vocabulary"},
    "analysis": {"runs", "trust"},
}
"""Parameters of a constructor that the library fills in; they are no options of the user."""


def add_component_options(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Add a group of options for every component that a command line names.

    Args:
        parser: of the command.
        words: what follows the command, without --help.

    Raises:
        ConfigError: no such method, head or encoder, or one that cannot be imported.
    """
    try:
        args, rest = parser.parse_known_args(words)
        args.rest = rest
        chosen: dict[str, Any] = reduce(overlay, above_preset(read_layers(args)), {})
    except ConfigError:
        return  # what else is wrong must not keep the user from reading the help
    for flag, kind, name in _named(chosen):
        entry = _find(kind, name)
        group = parser.add_argument_group(f"options of {kind} {name}", entry.summary)
        for option, default, text in component_options(entry, kind):
            group.add_argument(
                f"--{flag}.{option}",
                metavar=option.upper(),
                help=f"{text} [{default}]".replace("%", "%%"),
            )


def component_options(entry: Entry, kind: str) -> Iterator[tuple[str, str, str]]:
    """(option, default, description) of a registered component.

    Args:
        entry: of the registry.
        kind: "method", "head", "encoder" or "analysis".

    Raises:
        ConfigError: the class cannot be imported.
    """
    try:
        parameters = entry.parameters()
        described = _described(entry.load())
    except ImportError as error:
        extra = getattr(entry, "needs", "")
        cure = f"; pip install 'equipoise[{extra}]'" if extra else ""
        raise ConfigError(f"{kind} {entry.name!r} cannot be imported ({error}){cure}") from None
    for option, parameter in parameters.items():
        if option not in LIBRARY_PARAMETERS[kind]:
            yield option, _as_yaml(parameter.default), described.get(option, "")


def _named(chosen: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(flag, kind, name) of each component that the settings name."""
    places = [("method", "method", chosen.get("method")), ("head", "head", chosen.get("head"))]
    for modality, encoder in (chosen.get("encoder") or {}).items():
        places.append((f"encoder.{modality}", "encoder", encoder))
    for flag, kind, value in places:
        name = component(value, flag)["name"] if value is not None else "auto"
        # `auto` is the method's own head; an imported class is not in a registry.
        if name != "auto" and not name.startswith("import:"):
            yield flag, kind, name


def _find(kind: str, name: str) -> Entry:
    from equipoise.encoders import ENCODERS
    from equipoise.heads import HEADS
    from equipoise.methods import METHODS

    return {"method": METHODS, "head": HEADS, "encoder": ENCODERS}[kind][name]


def _described(kind: Any) -> dict[str, str]:
    """{parameter: description} from the Args of a function, or of a class and its bases."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__) if isinstance(kind, type) else [kind]:
        section = inspect.cleandoc(base.__doc__ or "").partition("\nArgs:\n")[2]
        section = re.split(r"\n(?=\S)", section)[0]  # up to the next section
        section = re.sub(r"\n {8,}", " ", section)  # continuation lines
        found |= dict(re.findall(r"^ {4}\*{0,2}(\w+): (.*)", section, re.MULTILINE))
    return {name: text.strip().removesuffix(".") for name, text in found.items()}


def _as_yaml(default: Any) -> str:
    """A default as the user would write it."""
    if default is inspect.Parameter.empty:
        return "required"
    return default if isinstance(default, str) else json.dumps(default, default=list)
