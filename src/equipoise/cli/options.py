"""Every setting as a flag: `--optimiser.lr 0.1`, `--method mla --method.alpha 0.1`, `--config
file.yaml`.

Names and types come from the settings' dataclasses, help texts from their docstrings. The options
of a method, head or encoder are known to its class only, which would take a second to import. So
flags such as `--method.alpha` are unknown to argparse, and are read here from what it leaves.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import yaml

from equipoise.configuration.layers import SHORT, make_settings, nest
from equipoise.errors import ConfigError, suggest
from equipoise.settings import USUAL, DataSettings, OptimiserSettings, Settings, require_trust
from equipoise.yaml_text import parse_yaml, read_yaml

OPEN = ("method.", "head.", "encoder.", "data.options.")
"""The beginnings of flags that argparse does not know."""

FLAGS = {"data.source": "data"}
"""{setting: its flag} of those whose flag has another name."""

COMPONENTS = """\
components take options of their own: --method.OPTION VALUE, --head.OPTION VALUE,
--encoder.MODALITY NAME, --encoder.MODALITY.OPTION VALUE; name one to see its options, as in
--method mie --help; --data.options.MODALITY.SETTING VALUE sets how the cells of a manifest are
read, and --data.options.OPTION VALUE is for a built-in data set"""


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add `--config`, `--print_config` and a flag for every setting."""
    parser.set_defaults(takes_components=True, takes_source=True)
    parser.add_argument(
        "--config", action="append", default=[], metavar="FILE", help="settings from a YAML file"
    )
    parser.add_argument(
        "--print_config", action="store_true", help="print all settings as YAML and exit"
    )
    add_trust(parser)
    run = parser.add_argument_group("settings of the run, which override --config", COMPONENTS)
    for setting in fields(Settings):
        if setting.name not in ("data", "optimiser"):
            _add(run, setting, setting.name, _help(Settings)[setting.name])
    add_data_settings(parser)
    _add_group(parser, "optimiser", OptimiserSettings)


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Add `--trust`."""
    parser.add_argument(
        "--trust",
        action="store_true",
        help="run the code that settings from a file or a run folder name by import:",
    )


def add_data_settings(parser: argparse.ArgumentParser, without: str = "") -> None:
    """Add `--preset`, and a flag for every setting of the data except `without`."""
    parser.set_defaults(overrides=[], open_ended=True)
    text = "settings of a published experiment; all others override it; see equipoise list presets"
    parser.add_argument(
        "--preset", action=Override, default=argparse.SUPPRESS, metavar="NAME", help=text
    )
    _add_group(parser, "data", DataSettings, without)


def read_layers(args: argparse.Namespace) -> list[dict[str, Any]]:
    """The `--config` files and the flags as nested mappings; later ones override earlier ones.

    Raises:
        ConfigError: a file cannot be read, a flag is unknown or has no value.
    """
    source, words = split_source(args.rest) if args.takes_source else (None, args.rest)
    changes: dict[str, Any] = {} if source is None else {"data.source": source}
    for name, value in args.overrides:
        if isinstance(value, list) and name in changes:  # a flag that may be repeated
            value = changes[name] + value
        if name == "data.source" and source not in (None, value):
            raise ConfigError(f"the data are given twice, as {source!r} and as --data {value!r}")
        changes[name] = value
    for name, value in read_pairs(words):
        if not name.startswith(OPEN):
            usual = {short: "--" + FLAGS.get(full, full) for short, full in USUAL.items()}
            hint = suggest("--" + name, args.known, usual)
            raise ConfigError(f"unknown option {'--' + name!r}{hint}")
        changes[name] = value
    files = [(file, read_yaml(Path(file))) for file in getattr(args, "config", ())]
    for file, values in files:
        require_trust(values, file, args.trust)
    return [*(nest(values) for _, values in files), nest(changes)]


def read_settings(args: argparse.Namespace) -> Settings:
    """The settings that a command line asks for.

    Raises:
        ConfigError: anything wrong with a name, type or value.
    """
    return make_settings(read_layers(args))


def split_source(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """The first word that is neither a flag nor the value of one, and all the others.

    It is the data, as in `equipoise train clips.csv`. It cannot be a positional argument of
    argparse, which would take the value of a flag that it does not know for it.
    """
    at = 0
    while at < len(words) and words[at].startswith("--"):
        at += 1 if "=" in words[at] else 2
    if at >= len(words):
        return None, list(words)
    return words[at], [*words[:at], *words[at + 1 :]]


def read_pairs(words: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """Read `--name value` and `--name=value` as (name, YAML value), where argparse knows no name.

    Raises:
        ConfigError: a word that is no such pair, or a missing value.
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
            yield name, read_value(text)
        except argparse.ArgumentTypeError as error:
            raise ConfigError(f"argument --{name}: {error}") from None


class Override(argparse.Action):
    """Collects (dotted name, value) in the order of the command line."""

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
    short = [f"--{alias}" for alias, full in SHORT.items() if full == name]
    if name == "data.source":
        short = ["--data"]
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
    """A function that reads a flag's text: as text where the setting is a text, else as YAML."""

    def read(text: str) -> Any:
        if declared in ("str", "Any"):
            return text
        if declared == "str | None":
            return None if text == "null" else text
        if declared == "list[str]":
            return [text]
        return read_value(text)

    return read


def read_value(text: str) -> Any:
    """The YAML value of a flag's text."""
    try:
        return parse_yaml(text)
    except yaml.YAMLError:
        raise argparse.ArgumentTypeError(f"not a YAML value: {text!r}") from None


def _help(cls: type) -> dict[str, str]:
    """{attribute: text} from the Attributes section of a docstring."""
    section = re.sub(r"\n {12,}", " ", (cls.__doc__ or "").partition("Attributes:")[2])
    return {
        name: text.strip().replace("%", "%%")
        for name, text in re.findall(r"\n {8}(\w+): (.*)", section)
    }


def _shown(setting: Field[Any]) -> str:
    """The default of a setting, for its help text."""
    default = getattr(Settings(), setting.name, None)
    if setting.name in ("method", "head"):
        return str(default["name"])  # type: ignore[index]
    value = setting.default if isinstance(setting.default, str | int | float) else None
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
