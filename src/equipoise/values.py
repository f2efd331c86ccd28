"""The values of settings: plain, and checked by the type that a setting declares."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import Any

from equipoise.errors import ConfigError, shown

AUTO = "auto"
"""The value of a setting that follows from the data."""
MOST_COUNT = 2**31 - 1
"""The largest value of every integer setting but seeds."""


def plain(value: object, name: str) -> Any:
    """Turn the value of a setting into plain values, as `config.yaml` can hold them.

    Numbers of NumPy become Python's, paths become texts, and tuples become lists.

    Args:
        value: of any type.
        name: of the setting, for the message.

    Raises:
        ConfigError: a key that is no text, or a value that YAML does not have.
    """
    if value is None or isinstance(value, bool):
        return value
    for kind in (str, int, float):
        if isinstance(value, kind):
            return kind(value)  # of NumPy's subclasses, too
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ConfigError(f"{name!r}: the key {shown(key)} must be a text; quote it")
        return {key: plain(held, f"{name}.{key}") for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [plain(held, name) for held in value]
    if getattr(value, "shape", None) == () and hasattr(value, "item"):  # a scalar of NumPy
        return value.item()
    raise ConfigError(
        f"{name!r} must be made of texts, numbers, lists and mappings, found {type(value).__name__}"
    )


def _refuse(name: str, expectation: str, value: object) -> ConfigError:
    return ConfigError(f"{name!r} must be {expectation}, found {shown(value)}")


def _read_bool(name: str, value: object) -> bool:
    words = {"yes": True, "on": True, "true": True, "no": False, "off": False, "false": False}
    value = plain(value, name)
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    if not isinstance(value, bool):
        raise _refuse(name, "true or false", value)
    return value


def _read_int(name: str, value: object) -> int:
    value = plain(value, name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _refuse(name, "an integer", value)
    if abs(value) > MOST_COUNT and not name.endswith("seed"):  # a seed has a limit of its own
        raise _refuse(name, f"an integer of at most {MOST_COUNT}", value)
    return value


def _read_count(name: str, value: object) -> int | str:
    value = plain(value, name)
    if isinstance(value, str) and value == AUTO:
        return AUTO
    if not isinstance(value, int) or isinstance(value, bool):
        raise _refuse(name, "an integer or auto", value)
    return _read_int(name, value)


def _read_float(name: str, value: object) -> float:
    value = plain(value, name)
    number = math.nan
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:  # an integer of more than 308 digits
            number = math.inf
    if not math.isfinite(number):
        raise _refuse(name, "a finite number", value)
    return number


def _read_text(name: str, value: object) -> str:
    value = plain(value, name)
    if not isinstance(value, str):
        quoted = " in quotes" if isinstance(value, int | float) else ""
        raise _refuse(name, f"a text{quoted}", value)
    return value


def _read_texts(name: str, value: object) -> list[str]:
    """A list of texts; a single text is a list of one."""
    value = plain(value, name)
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _refuse(name, "a list of texts", value)
    return value


def _read_floats(name: str, value: object) -> list[float]:
    value = plain(value, name)
    if not isinstance(value, list):
        raise _refuse(name, "a list of numbers", value)
    return [_read_float(name, item) for item in value]


def _read_ints(name: str, value: object) -> list[int]:
    value = plain(value, name)
    if not isinstance(value, list):
        raise _refuse(name, "a list of integers", value)
    return [_read_int(name, item) for item in value]


def _read_epochs(name: str, value: object) -> list[int | str]:
    """A list of integers, and of the word for the last epoch; a single one is a list of one."""
    value = plain(value, name)
    items = value if isinstance(value, list) else [value]
    return [item if isinstance(item, str) else _read_int(name, item) for item in items]


def _read_mapping(name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _refuse(name, "a mapping", value)
    read: dict[str, Any] = plain(value, name)
    return read


def _read_class_weight(name: str, value: object) -> str | dict[str, float]:
    """A word, or {class: weight}; classes may be integers, as they are in the data."""
    if value is None:  # what YAML reads for null
        return "none"
    if not isinstance(value, Mapping):
        return _read_text(name, value)
    read: dict[str, float] = {}
    for key, weight in value.items():
        if isinstance(key, bool) or not isinstance(key, str | int):
            raise _refuse(name, "{class: weight}", value)
        read[str(key)] = _read_float(f"{name}.{key}", weight)
        if read[str(key)] < 0:
            raise _refuse(f"{name}.{key}", "a number of at least 0", weight)
    return read


READERS: dict[str, Callable[[str, object], Any]] = {
    "bool": _read_bool,
    "int": _read_int,
    "int | str": _read_count,
    "float": _read_float,
    "str": _read_text,
    "list[str]": _read_texts,
    "list[int]": _read_ints,
    "list[float]": _read_floats,
    "list[int | str]": _read_epochs,
    "dict[str, Any]": _read_mapping,
    "str | dict[str, Any]": _read_class_weight,
}
"""{declared type: function that checks a value and converts it}"""
