"""What every encoder's constructor asks of its options."""

from __future__ import annotations

from equipoise.errors import ConfigError, invalid


def check_width(owner: str, name: str, value: object) -> None:
    """The width of one layer.

    Raises:
        ConfigError: not a positive whole number.
    """
    if not (isinstance(value, int) and value > 0):
        raise invalid(owner, name, "a positive whole number", value)


def check_vocabulary(owner: str, vocabulary: int | None) -> int:
    """The number of token ids, of an encoder that reads text.

    Raises:
        ConfigError: the modality is no text.
    """
    if vocabulary is None:
        raise ConfigError(f"{owner} reads text; declare the modality as name=column:text, or choose another encoder")
    return vocabulary


def check_shape(owner: str, shape: tuple[int, ...], fits: bool, expectation: str) -> None:
    """The shape of one sample.

    Raises:
        ConfigError: the encoder cannot read it.
    """
    if not fits:
        raise invalid(owner, "shape", expectation, shape)


def check_widths(owner: str, name: str, values: object) -> None:
    """The widths of a row of layers.

    Raises:
        ConfigError: not a list of positive whole numbers.
    """
    if not (isinstance(values, list | tuple) and all(isinstance(value, int) and value > 0 for value in values)):
        raise invalid(owner, name, "a list of positive whole numbers", values)
