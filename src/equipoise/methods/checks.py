"""What methods ask of their options: one rule per option, checked in the order in which they are given."""

from __future__ import annotations

from collections.abc import Collection

from equipoise.errors import invalid

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
