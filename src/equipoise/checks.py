"""What components ask of their options: one rule per option, checked in the order in which they are
given.

For all components alike numbers are finite, unless one says what infinity means, counts are whole,
switches are no words, and booleans are neither numbers nor counts.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeGuard, TypeVar

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


def is_number(found: object) -> TypeGuard[float]:
    """True for a finite number; booleans are none."""
    return isinstance(found, int | float) and not isinstance(found, bool) and math.isfinite(found)


def is_whole(found: object, least: int) -> TypeGuard[int]:
    """True for an int of at least this; booleans are none."""
    return isinstance(found, int) and not isinstance(found, bool) and found >= least


def is_list(found: object) -> TypeGuard[Sequence[Any]]:
    """True for a list or a tuple; a text is none."""
    return isinstance(found, list | tuple)


def is_table(found: object) -> TypeGuard[Mapping[str, float]]:
    """True for names with a finite number each."""
    return isinstance(found, Mapping) and all(map(is_number, found.values()))


def choice(option: str, found: object, known: Collection[object]) -> Rule:
    """The rule of an option with named values."""
    good = not isinstance(found, bool) and any(found == value for value in known)
    return option, good, "one of " + ", ".join(map(str, known)), found


def flag(option: str, found: object) -> Rule:
    """The rule of a switch; words are none, as "no" would be on."""
    return option, isinstance(found, bool), "true or false", found


def whole(option: str, found: object, least: int) -> Rule:
    """The rule of a count."""
    expectation = "a positive whole number" if least == 1 else f"a whole number, at least {least}"
    return option, is_whole(found, least), expectation, found


def whole_list(option: str, found: object, *, empty: bool = False) -> Rule:
    """The rule of a list of positive whole numbers; an empty one is usable only where that is said."""
    usable = is_list(found) and (empty or len(found) > 0) and all(is_whole(n, 1) for n in found)
    return (
        option,
        usable,
        f"a list of {'' if empty else 'one or more '}positive whole numbers",
        found,
    )


def positive(option: str, found: object) -> Rule:
    """The rule of a positive number; infinity is none."""
    return option, is_number(found) and found > 0, "positive and finite", found


def not_negative(option: str, found: object, *, infinite: bool = False) -> Rule:
    """The rule of a number of at least 0; infinity is one only where that is said."""
    good = (is_number(found) and found >= 0) or (infinite and found == math.inf)
    return option, good, "at least 0" if infinite else "at least 0 and finite", found


def inside(option: str, found: object, interval: str) -> Rule:
    """The rule of a number of an interval, written as "[0, 1)" is: a round bracket leaves the bound out."""
    low, high = (float(bound) for bound in interval[1:-1].split(","))
    bounds = {low} if interval[0] == "[" else set()
    bounds |= {high} if interval[-1] == "]" else set()
    return (
        option,
        is_number(found) and (low < found < high or found in bounds),
        f"in {interval}",
        found,
    )


def epochs(option: str, found: object) -> Rule:
    """The rule of a range of epochs."""
    pair = (
        is_list(found)
        and len(found) == 2
        and all(is_whole(e, 0) for e in found)
        and found[0] <= found[1]
    )
    return option, pair, "the first and the last epoch, [start, end] with 0 ≤ start ≤ end", found


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
