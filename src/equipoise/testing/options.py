"""Values of options that every constructor must refuse."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping

from equipoise.errors import ConfigError

Build = Callable[[Mapping[str, object]], object]
"""Constructs a component with these options."""


def check_refusals(build: Build, parameters: Mapping[str, inspect.Parameter]) -> None:
    """Try values of the wrong type or sign for every option, and an option that does not exist.

    Args:
        build: constructs a component with these options.
        parameters: of the constructor, by name.

    Raises:
        AssertionError: one is accepted, or refused without naming the option.
    """
    for option, parameter in parameters.items():
        for wrong in wrong_values(parameter.default):
            _check_refusal(build, option, wrong)
    _check_refusal(build, "no_such_option", 1)


def _check_refusal(build: Build, option: str, value: object) -> None:
    try:
        build({option: value})
    except ConfigError as error:
        message = str(error)
    else:
        raise AssertionError(f"option {option!r} takes {value!r} without complaint")
    assert option in message or "wrong type" in message, (
        f"{option}={value!r}: {message!r} does not name the option"
    )


def wrong_values(default: object) -> list[object]:
    """Values that make no sense for any option with this default."""
    if isinstance(default, bool):
        return ["no", 2]
    if isinstance(default, str):
        return ["no such choice"]
    if isinstance(default, int | float):
        return [-1, math.nan, "no number"]
    return []
