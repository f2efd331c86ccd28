"""Every setting as a flag: `--optimiser.lr 0.1`, `--method mla --method.alpha 0.1`, `--config
file.yaml`.

Names and types come from the settings' dataclasses, help texts from their docstrings. Components
take any dotted option, since only the component itself knows its own; hence what argparse does not
know is read here too.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import yaml

from equipoise.configuration.layers import SHORT, make_settings, nest
from equipoise.errors import ConfigError, suggest
from equipoise.settings import DataSettings, OptimiserSettings, Settings, parse_yaml, read_yaml

OPEN = ("method.", "head.", "encoder.", "data.options.")
"""What may be followed by any option."""

COMPONENTS = """\
components take options of their own: --method.OPTION VALUE, --head.OPTION VALUE,
--encoder.MODALITY NAME, --encoder.MODALITY.OPTION VALUE; how the cells of a manifest are read is set by
--data.options.MODALITY.SETTING VALUE, and a built-in data set by --data.options.OPTION VALUE"""


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add `--config`, `--print_config` and a flag for every setting."""
    parser.add_argument(
        "--config", action="append", default=[], metavar="FILE", help="settings from a YAML file"
    )
    parser.add_argument(
        "--print_config", action="store_true", help="print all settings as YAML and exit"
    )
    run = parser.add_argument_group("settings of the run, which override --config", COMPONENTS)
    for setting in fields(Settings):
        if setting.name not in ("data", "optimiser"):
            _add(run, setting, setting.name, _help(Settings)[setting.name])
    add_data_settings(parser)
    _add_group(parser, "optimiser", OptimiserSettings)


def add_data_settings(parser: argparse.ArgumentParser, without: str = "") -> None:
    """Add `--preset`, and a flag for every setting of the data, but one."""
    parser.set_defaults(overrides=[], open_ended=True)
    text = "settings of a published experiment, below all others; see equipoise list presets"
    parser.add_argument(
        "--preset", action=Override, default=argparse.SUPPRESS, metavar="NAME", help=text
    )
    _add_group(parser, "data", DataSettings, without)


def read_layers(args: argparse.Namespace) -> list[dict[str, Any]]:
    """The `--config` files and the flags, each a nested mapping above the one before.

    Raises:
        ConfigError: a file cannot be read, a flag is unknown or has no value.
    """
    changes: dict[str, Any] = {}
    for name, value in args.overrides:
        changes[name] = (
            changes[name] + value if isinstance(value, list) and name in changes else value
        )
    for name, value in read_pairs(args.rest):
        if not name.startswith(OPEN):
            raise ConfigError(f"unknown option {'--' + name!r}{suggest('--' + name, args.known)}")
        changes[name] = value
    return [*(nest(read_yaml(Path(file))) for file in getattr(args, "config", ())), nest(changes)]


def read_settings(args: argparse.Namespace) -> Settings:
    """The settings a command line asks for.

    Raises:
        ConfigError: anything wrong with a name, type or value.
    """
    return make_settings(read_layers(args))


def read_pairs(words: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """`--name value` and `--name=value` as (name, YAML value), for options that argparse does not
    know.

    Raises:
        ConfigError: something else stands there, or a value is missing.
    """
    rest = iter(words)
    for word in rest:
        if not word.startswith("--"):
            raise ConfigError(f"unexpected argument {word!r}; settings are given as --name value")
        name, equals, text = word.removeprefix("--").partition("=")
        if not equals:
            text = next(rest, "--")
            if text.startswith("--"):
                raise ConfigError(f"--{name} needs a value, if it is an option at all; see --help")
        try:
            yield name, _value(text)
        except argparse.ArgumentTypeError as error:
            raise ConfigError(f"argument --{name}: {error}") from None


class Override(argparse.Action):
    """Collects (dotted name, value) in the order given."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option: str | None = None,
    ) -> None:
        namespace.overrides = [*namespace.overrides, (self.dest, values)]


def _add_group(parser: argparse.ArgumentParser, prefix: str, cls: Any, without: str = "") -> None:
    group = parser.add_argument_group(prefix)
    for setting in fields(cls):
        if setting.name != without:
            _add(group, setting, f"{prefix}.{setting.name}", _help(cls)[setting.name])


def _add(group: Any, setting: Field[Any], name: str, text: str) -> None:
    declared = str(setting.type)
    short = (
        ["--data"]
        if name == "data.source"
        else [f"--{s}" for s, long in SHORT.items() if long == name]
    )
    optional = {"nargs": "?", "const": True} if declared == "bool" else {}
    group.add_argument(
        *short,
        f"--{name}",
        action=Override,
        dest=name,
        default=argparse.SUPPRESS,
        type=_reader(declared),
        metavar=setting.name.upper(),
        help=f"{text} [{_shown(setting)}]",
        **optional,
    )


def _reader(declared: str) -> Any:
    """What turns a flag's text into a value: text where text is wanted, YAML elsewhere."""

    def read(text: str) -> Any:
        if declared in ("str", "Any"):
            return text
        if declared == "str | None":
            return None if text == "null" else text
        if declared == "list[str]":
            return [text]
        return _value(text)

    return read


def _value(text: str) -> Any:
    try:
        return parse_yaml(text)
    except yaml.YAMLError:
        raise argparse.ArgumentTypeError(f"not a YAML value: {text!r}") from None


def _help(cls: type) -> dict[str, str]:
    """{attribute: text} of a docstring's Attributes section."""
    section = re.sub(r"\n {12,}", " ", (cls.__doc__ or "").partition("Attributes:")[2])
    return {
        name: text.strip().replace("%", "%%")
        for name, text in re.findall(r"\n {8}(\w+): (.*)", section)
    }


def _shown(setting: Field[Any]) -> str:
    default = getattr(Settings(), setting.name, None)
    if setting.name in ("method", "head"):
        return str(default["name"])  # type: ignore[index]
    value = setting.default if isinstance(setting.default, str | int | float) else None
    return (
        "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )
