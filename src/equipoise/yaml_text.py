"""Read and write YAML texts: plain values only, within limits that are checked before anything is
built.

The words mean what they mean in YAML 1.2 and in JSON: `yes`, `off`, `1:30` and `2024-01-01` are
texts, 1e-3 is a number, and 010 is ten. A key is always a text, as it is written.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from equipoise.errors import ConfigError

MOST_BYTES = 2**20
"""The largest text that is read. The settings of a run are a thousandth of it."""

MOST_VALUES = 50_000
"""The largest number of values in a text. An alias counts as often as what it stands for, so that
a text of a few lines cannot stand for a billion values."""

DEEPEST = 50
"""The deepest nesting that is read. PyYAML builds values recursively, and Python's stack ends at
about a thousand."""

MOST_DIGITS = 400
"""The longest number that is read; the largest finite number has 309 digits."""

_INTEGER = re.compile(r"[-+]?[0-9]+$|0o[0-7]+$|0x[0-9a-fA-F]+$")
_NUMBER = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?$"
    r"|[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$"
)


class _Loader(yaml.SafeLoader):
    """A loader that builds texts, numbers, booleans, null, lists and mappings, and nothing else."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping whose keys are texts, none of them doubled."""
        if isinstance(node, yaml.MappingNode):
            seen = set()
            for key, _ in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    raise _refused("a key must be a text", key.start_mark)
                if key.value in seen:
                    raise _refused(f"the key {key.value!r} is given twice", key.start_mark)
                seen.add(key.value)
                if key.tag != "tag:yaml.org,2002:merge":
                    key.tag = "tag:yaml.org,2002:str"
        return super().construct_mapping(node, deep)

    def construct_number(self, node: Any) -> bool | int | float:
        """Build a boolean or a number; a leading 0 does not make an integer octal."""
        text = str(self.construct_scalar(node))
        if len(text) > MOST_DIGITS:
            raise _refused(f"a number of {len(text)} digits", node.start_mark)
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        try:
            if _INTEGER.match(text):
                return int(text if base == 10 else text[2:], base)
            return float(re.sub(r"\.(inf|nan)$", r"\1", text.lower()))
        except ValueError:
            raise _refused(f"{text!r} is not of the type of its tag", node.start_mark) from None


class _Dumper(yaml.SafeDumper):
    """A dumper that quotes the texts that `_Loader`, or a reader of YAML 1.1, would read as
    something else."""


# Tables of its own: the inherited ones hold the dates, sets, bytes and base-60 numbers of YAML
# 1.1.
_Loader.yaml_implicit_resolvers = {}
_Loader.yaml_constructors = {}

_YAML = "tag:yaml.org,2002:"
for _name, _pattern, _first in (
    ("null", re.compile(r"~$|null$|Null$|NULL$|$"), ["~", "n", "N", ""]),
    ("bool", re.compile(r"(true|True|TRUE|false|False|FALSE)$"), list("tTfF")),
    ("int", _INTEGER, list("-+0123456789")),
    ("float", _NUMBER, list("-+.0123456789")),
    ("merge", re.compile(r"<<$"), ["<"]),
):
    for _kind in (_Loader, _Dumper):
        _kind.add_implicit_resolver(_YAML + _name, _pattern, _first)
_BUILDERS: dict[str, Callable[[Any, Any], Any]] = {
    "null": _Loader.construct_yaml_null,
    "bool": _Loader.construct_number,
    "int": _Loader.construct_number,
    "float": _Loader.construct_number,
    "str": _Loader.construct_yaml_str,
    "seq": _Loader.construct_yaml_seq,
    "map": _Loader.construct_yaml_map,
}
for _name, _build in _BUILDERS.items():
    _Loader.add_constructor(_YAML + _name, _build)
_Loader.add_constructor(None, yaml.SafeLoader.construct_undefined)  # type: ignore[type-var]


def parse_yaml(text: str) -> Any:
    """Parse a YAML text.

    Raises:
        yaml.YAMLError: it is not YAML, or too large, too deep or too long when it is written out.
    """
    if len(text) > MOST_BYTES:
        raise yaml.YAMLError(f"longer than {MOST_BYTES:,} characters")
    _check_limits(text)
    return yaml.load(text, _Loader)  # a SafeLoader: builds plain values only


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping from a file.

    Raises:
        ConfigError: no such file, not a YAML mapping, an empty one, or one beyond the limits.
    """
    try:
        if path.exists() and not path.is_file():
            raise ConfigError(f"{path}: not a file; give a YAML file of 'setting: value' lines")
        if path.stat().st_size > MOST_BYTES:
            raise ConfigError(f"{path}: larger than {MOST_BYTES:,} bytes; is it a settings file?")
        values = parse_yaml(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the configuration ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8 text; save it as UTF-8") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML ({describe(error)})") from None
    if values is None or values == {}:
        raise ConfigError(f"{path}: holds no settings; write 'setting: value' lines")
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected 'setting: value' lines, found {type(values).__name__}")
    return values


def dump_yaml(values: Any) -> str:
    """The YAML text of plain values, which `parse_yaml` reads back equal."""
    text: str = yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text


def describe(error: yaml.YAMLError) -> str:
    """Describe in one line the error of a text, and its place."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return " ".join(str(error).split())
    mark = error.problem_mark or error.context_mark
    place = f"line {mark.line + 1}: " if mark else ""
    problem = " ".join(str(error.problem or error.context).split())
    if "'\\t'" in problem:
        return f"{place}a tab at the start of a value; indent with spaces"
    if "determine a constructor" in problem:
        return f"{place}a tag makes something other than plain values; leave the tag out"
    return f"{place}{problem}"


def _refused(problem: str, mark: Any) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, mark)


def _check_limits(text: str) -> None:
    """Count the values and the nesting of a text from its events, which builds nothing.

    Raises:
        yaml.YAMLError: too many or too deep, or an alias that contains itself.
    """
    total = 0
    open_nodes: list[tuple[str | None, int]] = []  # anchor, and the total where it starts
    sizes: dict[str, int] = {}
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise _refused(
                    f"alias {event.anchor!r} has no anchor before it, or contains itself",
                    event.start_mark,
                )
            total += sizes[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, total))
            total += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor:
                sizes[anchor] = total - before
        if len(open_nodes) > DEEPEST:
            raise _refused(f"nested deeper than {DEEPEST} levels", event.start_mark)
        if total > MOST_VALUES:
            raise _refused(f"more than {MOST_VALUES:,} values, aliases included", event.start_mark)
