"""Rules for the options of components, one rule for each option.

They are the same for all components: numbers are finite unless a rule allows infinity, counts must
be integers, flags must be booleans, and a boolean is neither a number nor a count.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeGuard

from equipoise.errors import invalid

Rule = tuple[str, bool, str, object]
"""(option, whether its value is usable, what it must be, the value)"""


def require(owner: str, *rules: Rule) -> None:
    """Check the options of a component, in the given order.

    Args:
        owner: the component's name, for the message.
        rules: one for each option.

    Raises:
        ConfigError: the first rule that does not hold.
    """
    for option, good, expectation, found in rules:
        if not good:
            raise invalid(owner, option, expectation, found)


def is_number(found: object) -> TypeGuard[float]:
    """True for a finite number; booleans are not numbers."""
    if not isinstance(found, int | float) or isinstance(found, bool):
        return False
    try:
        return math.isfinite(found)
    except OverflowError:  # an integer that is larger than every float
        return False


def is_integer(found: object, least: int) -> TypeGuard[int]:
    """True for an integer of at least this; booleans are not integers."""
    return isinstance(found, int) and not isinstance(found, bool) and found >= least


def is_list(found: object) -> TypeGuard[Sequence[Any]]:
    """True for a list or a tuple; a text is not a list."""
    return isinstance(found, list | tuple)


def is_table(found: object) -> TypeGuard[Mapping[str, float]]:
    """True for a mapping from names to finite numbers."""
    return isinstance(found, Mapping) and all(map(is_number, found.values()))


def choice(option: str, found: object, known: Collection[object]) -> Rule:
    """The rule of an option that takes one of some named values."""
    good = not isinstance(found, bool) and any(found == value for value in known)
    return option, good, "one of " + ", ".join(map(str, known)), found


def flag(option: str, found: object) -> Rule:
    """The rule of a flag, which must be a boolean: the text "no" would count as true."""
    return option, isinstance(found, bool), "true or false", found


def integer(option: str, found: object, least: int) -> Rule:
    """The rule of a count, an integer of at least `least`."""
    expectation = "a positive integer" if least == 1 else f"an integer, at least {least}"
    return option, is_integer(found, least), expectation, found


def integer_list(option: str, found: object, *, empty: bool = False) -> Rule:
    """The rule of a list of positive integers.

    Args:
        option: its name.
        found: its value.
        empty: an empty list is usable.
    """
    usable = is_list(found) and (empty or len(found) > 0) and all(is_integer(n, 1) for n in found)
    expectation = f"a list of {'' if empty else 'one or more '}positive integers"
    return option, usable, expectation, found


def positive(option: str, found: object) -> Rule:
    """The rule of a positive, finite number."""
    return option, is_number(found) and found > 0, "positive and finite", found


def not_negative(option: str, found: object, *, infinite: bool = False) -> Rule:
    """The rule of a number of at least 0.

    Args:
        option: its name.
        found: its value.
        infinite: infinity is usable.
    """
    good = (is_number(found) and found >= 0) or (infinite and found == math.inf)
    return option, good, "at least 0" if infinite else "at least 0 and finite", found


def inside(option: str, found: object, interval: str) -> Rule:
    """The rule of a number in an interval.

    Args:
        option: its name.
        found: its value.
        interval: such as "[0, 1)"; a round bracket excludes the bound.
    """
    low, high = (float(bound) for bound in interval[1:-1].split(","))
    bounds = set()
    if interval[0] == "[":
        bounds.add(low)
    if interval[-1] == "]":
        bounds.add(high)
    good = is_number(found) and (low < found < high or found in bounds)
    return option, good, f"in {interval}", found


def epochs(option: str, found: object) -> Rule:
    """The rule of a range of epochs, [start, end]."""
    pair = (
        is_list(found)
        and len(found) == 2
        and all(is_integer(e, 0) for e in found)
        and found[0] <= found[1]
    )
    return option, pair, "the first and the last epoch, [start, end] with 0 ≤ start ≤ end", found
