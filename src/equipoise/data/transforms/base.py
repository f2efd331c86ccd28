"""What every transform is: a file decoded once into the cache, and finished each time it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Protocol

import numpy as np

from equipoise.data.manifest.file_part import FilePart
from equipoise.errors import invalid

Draws = Sequence[np.random.Generator]
"""A generator for each sample of a block, the same whatever process reads it."""


class Transform(Protocol):
    """A file into an array of one shape. It is a frozen dataclass: its fields are the user's settings."""

    late: ClassVar[frozenset[str]]
    """Settings that act behind the cache: changing them decodes nothing anew."""

    @property
    def axis(self) -> int:
        """Of a finished sample, along which `fit` has a mean and a deviation each."""

    @property
    def padded(self) -> bool:
        """True where steps of zeros along the first axis are padding."""

    @property
    def stored(self) -> tuple[int, ...]:
        """Shape of what the cache holds."""

    @property
    def dtype(self) -> str:
        """Of what the cache holds."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a finished sample."""

    @property
    def random(self) -> bool:
        """True where `finish` makes use of draws."""

    def decode(self, part: FilePart) -> np.ndarray:
        """Of shape `stored` and type `dtype`. Raises DataError for a bad file."""

    def finish(self, block: np.ndarray, draws: Draws | None) -> np.ndarray:
        """(B, *stored) from the cache to float32 (B, *shape); random where there are draws, before normalisation."""


def cache_settings(transform: Transform) -> dict[str, Any]:
    """What the content of the cache depends on."""
    values: dict[str, Any] = asdict(transform)  # type: ignore[call-overload]
    kept = {name: value for name, value in values.items() if name not in transform.late}
    return {**kept, "stored": transform.stored, "dtype": transform.dtype}


def statistics(
    owner: str, value: object, named: Mapping[str, tuple[Sequence[float], Sequence[float]]]
) -> tuple[list[float], list[float]] | None:
    """The (means, deviations) that a `normalise` setting states; None where it states none.

    Args:
        owner: for the message.
        value: "none", "fit" (by what the training rows show, unknown here), a name, or [means,
            deviations].
        named: the names.

    Raises:
        ConfigError: something else.
    """
    if value in ("none", "fit"):
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
        known = ", ".join(["none", "fit", *named])
        raise invalid(owner, "normalise", f"one of {known}, or [mean, deviation]", value) from None
    return list(means), list(deviations)
