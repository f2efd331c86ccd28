"""Checks of the modality that an encoder is built for."""

from __future__ import annotations

from equipoise.errors import ConfigError, invalid


def check_vocabulary(owner: str, vocabulary: int | None) -> int:
    """Return the number of token ids, for an encoder that reads text.

    Raises:
        ConfigError: the modality is not text.
    """
    if vocabulary is None:
        raise ConfigError(
            f"{owner} reads text; declare the modality as name=column:text, or choose another "
            "encoder"
        )
    return vocabulary


def check_shape(owner: str, shape: tuple[int, ...], fits: bool, expectation: str) -> None:
    """Refuse a shape that the encoder cannot read.

    Args:
        owner: the encoder, for the message.
        shape: of one sample.
        fits: whether the encoder can read it.
        expectation: shapes that it can read, for the message.

    Raises:
        ConfigError: it does not fit.
    """
    if not fits:
        raise invalid(owner, "shape", expectation, shape)
