"""What methods ask of their options: one rule per option, checked in the order in which they are given."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import TypeGuard, TypeVar

from equipoise.errors import invalid

T = TypeVar("T")
Rule = tuple[str, bool, str, object]
"""(option, whether its value is usable, what it must be, the value)"""


def require(owner: str, *rules: Rule) -> None:
    """Check the options of a class.

    Raises:
        ConfigError: the first rule that does not hold.
    """
    for option, good, expectation, found in rules:
        if not good:
            raise invalid(owner, option, expectation, found)


def choice(option: str, found: object, known: Collection[str]) -> Rule:
    """The rule of an option with named values."""
    return option, found in known, "one of " + ", ".join(known), found


def is_whole(found: object, least: int) -> bool:
    """True for an int of at least this; booleans are none."""
    return isinstance(found, int) and not isinstance(found, bool) and found >= least


def whole(option: str, found: object, least: int) -> Rule:
    """The rule of a count."""
    return option, is_whole(found, least), f"a whole number, at least {least}", found


def is_table(found: object) -> TypeGuard[Mapping[str, float]]:
    """True for names with a finite number each."""
    return isinstance(found, Mapping) and all(
        isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v) for v in found.values()
    )


def unless(option: str, found: object, condition: str, holds: bool) -> Rule:
    """The rule of an option that is null unless it has an effect."""
    return option, found is None or holds, f"left out unless {condition}", found


def only_where(condition: str, holds: bool, /, **options: object) -> list[Rule]:
    """The rules of options that are null unless all of them have an effect."""
    return [unless(option, found, condition, holds) for option, found in options.items()]


def false_unless(option: str, found: bool, condition: str, holds: bool) -> Rule:
    """The rule of a switch that is off unless it has an effect."""
    return option, holds or not found, f"false unless {condition}", found


def or_default(found: T | None, default: T) -> T:
    """The value of an option, null standing for its default."""
    return default if found is None else found


def optional(rule: Rule) -> list[Rule]:
    """A rule that null, for the default, need not keep."""
    return [] if rule[-1] is None else [rule]


def flag(option: str, found: object) -> Rule:
    """The rule of a switch; words are none, as "no" would be on."""
    return option, isinstance(found, bool), "true or false", found


def positive(option: str, found: float) -> Rule:
    """The rule of a positive number; infinity is none."""
    return option, 0 < found < math.inf, "positive and finite", found


def not_negative(option: str, found: float) -> Rule:
    """The rule of a number of at least 0; infinity is none."""
    return option, 0 <= found < math.inf, "at least 0 and finite", found
