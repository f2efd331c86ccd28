"""What encoders ask of the modality they read."""

from __future__ import annotations

from equipoise.errors import ConfigError, invalid


def check_vocabulary(owner: str, vocabulary: int | None) -> int:
    """The number of token ids, of an encoder that reads text.

    Raises:
        ConfigError: the modality is no text.
    """
    if vocabulary is None:
        raise ConfigError(
            f"{owner} reads text; declare the modality as name=column:text, or choose another encoder"
        )
    return vocabulary


def check_shape(owner: str, shape: tuple[int, ...], fits: bool, expectation: str) -> None:
    """The shape of one sample.

    Raises:
        ConfigError: the encoder cannot read it.
    """
    if not fits:
        raise invalid(owner, "shape", expectation, shape)
