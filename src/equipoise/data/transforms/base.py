"""The protocol of transforms: a file is decoded once, and finished each time it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Protocol

import numpy as np

from equipoise.data.manifest.file_part import FilePart
from equipoise.errors import invalid

Draws = Sequence[np.random.Generator]
"""A generator for each sample of a block, which is the same in whatever process reads it."""


class Transform(Protocol):
    """A transform of files into arrays of one shape.

    It is a frozen dataclass whose fields are the user's settings.
    """

    follows: ClassVar[frozenset[str]]
    """Settings that follow the training rows where nobody gives them, see `sizes.py`."""
    late: ClassVar[frozenset[str]]
    """Settings that act after the cache: changing them does not decode the files again."""

    @property
    def axis(self) -> int:
        """Axis of a finished sample along which `fit` takes means and standard deviations."""

    @property
    def padded(self) -> bool:
        """True where steps of zeros along the first axis are padding."""

    @property
    def stored(self) -> tuple[int, ...]:
        """Shape of a sample in the cache."""

    @property
    def dtype(self) -> str:
        """Type of the numbers in the cache."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a finished sample."""

    @property
    def random(self) -> bool:
        """True if `finish` uses draws."""

    def decode(self, part: FilePart) -> np.ndarray:
        """Decode a file to an array of shape `stored` and type `dtype`.

        Raises:
            DataError: the file cannot be read.
        """

    def finish(self, block: np.ndarray, draws: Draws | None) -> np.ndarray:
        """Finish samples from the cache, (B, *stored) → float32 (B, *shape).

        Random augmentation comes first, where there are draws; normalisation comes last.
        """


def cache_settings(transform: Transform) -> dict[str, Any]:
    """Collect the settings that the content of the cache depends on."""
    values: dict[str, Any] = asdict(transform)  # type: ignore[call-overload]
    kept = {name: value for name, value in values.items() if name not in transform.late}
    return {**kept, "stored": transform.stored, "dtype": transform.dtype}


def statistics(
    owner: str,
    value: object,
    named: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    words: Sequence[str] = ("none", "fit"),
) -> tuple[list[float], list[float]] | None:
    """Read the setting `normalise`.

    Args:
        owner: kind of modality, for the message.
        value: "none", "fit" (by the training rows, which are not known here), a name, or [means,
            standard deviations].
        named: {name: (means, standard deviations)}.
        words: values that need no numbers.

    Returns:
        (means, standard deviations), or None for one of the words.

    Raises:
        ConfigError: any other value.
    """
    if isinstance(value, str) and value in words:
        return None
    if isinstance(value, str) and value in named:
        means, deviations = named[value]
        return list(means), list(deviations)
    try:
        means, deviations = (
            [float(number) for number in (part if isinstance(part, list | tuple) else [part])]
            for part in value  # type: ignore[attr-defined]
        )
        if len(means) != len(deviations) or not all(d > 0 for d in deviations):
            raise ValueError
    except (TypeError, ValueError):
        known = ", ".join([*words, *named])
        raise invalid(owner, "normalise", f"one of {known}, or [mean, deviation]", value) from None
    return list(means), list(deviations)
