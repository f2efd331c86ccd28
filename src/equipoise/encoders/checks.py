"""What every encoder's constructor asks of its options."""

from __future__ import annotations

from equipoise.errors import invalid


def check_width(owner: str, name: str, value: object) -> None:
    """The width of one layer.

    Raises:
        ConfigError: not a positive whole number.
    """
    if not (isinstance(value, int) and value > 0):
        raise invalid(owner, name, "a positive whole number", value)


def check_widths(owner: str, name: str, values: object) -> None:
    """The widths of a row of layers.

    Raises:
        ConfigError: not a list of positive whole numbers.
    """
    if not (isinstance(values, list | tuple) and all(isinstance(value, int) and value > 0 for value in values)):
        raise invalid(owner, name, "a list of positive whole numbers", values)
