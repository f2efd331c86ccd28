"""Transforms of .npy files: vectors, and series or maps of numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from equipoise.checks import flag, integer, integer_list, require
from equipoise.data.manifest.file_part import FilePart
from equipoise.data.media import read_array
from equipoise.data.transforms.base import Draws, statistics
from equipoise.data.transforms.scale import Scale
from equipoise.errors import DataError


class ArrayFile(ABC):
    """The base of both transforms of .npy files.

    Attributes:
        kind: of the modality, for messages.
    """

    normalise: Any
    kind: ClassVar[str]
    words: ClassVar[tuple[str, ...]] = ("none", "fit")
    """Values of `normalise` that need no numbers."""
    late: ClassVar = frozenset({"normalise"})
    random: ClassVar[bool] = False

    @property
    def axis(self) -> int:
        return 1 if self.padded else 0

    @property
    @abstractmethod
    def padded(self) -> bool: ...

    @property
    @abstractmethod
    def stored(self) -> tuple[int, ...]: ...

    @property
    def shape(self) -> tuple[int, ...]:
        return self.stored

    @property
    def dtype(self) -> str:
        return "float32"

    def finish(self, block: np.ndarray, draws: Draws | None) -> np.ndarray:
        known = self._known()
        return block if known is None else Scale(*known, self.axis, self.padded).apply(block)

    def _known(self) -> tuple[list[float], list[float]] | None:
        """Means and standard deviations that the user gave.

        Raises:
            ConfigError: a wrong `normalise`.
        """
        return statistics(self.kind, self.normalise, {}, self.words)


@dataclass(frozen=True)
class Numbers(ArrayFile):
    """A .npy file, flattened to (length,).

    Attributes:
        length: number of numbers in every file.
        normalise: none, fit (each number by its mean and standard deviation over the training
            rows), auto (as fit, then cut at ±8; of counts, many columns of integers with a long
            tail, the logarithm of 1 + x is taken first), or [mean, standard deviation].
    """

    length: int
    normalise: Any = "auto"
    follows: ClassVar = frozenset({"length"})
    kind: ClassVar[str] = "vector"
    words: ClassVar = ("auto", "none", "fit")

    def __post_init__(self) -> None:
        require(self.kind, integer("length", self.length, 1))
        known = self._known()
        fits = known is None or {*map(len, known)} <= {1, self.length}
        expected = f"made of one number, or of {self.length}"
        require(self.kind, ("normalise", fits, expected, self.normalise))

    @property
    def padded(self) -> bool:
        return False

    @property
    def stored(self) -> tuple[int, ...]:
        return (self.length,)

    def decode(self, part: FilePart) -> np.ndarray:
        """float32 of `shape`.

        Raises:
            DataError: not a .npy file, or of another length.
        """
        array = read_array(part).reshape(-1)
        if len(array) != self.length:
            raise DataError(f"{part}: holds {len(array)} numbers, {self.length} are expected")
        return array


@dataclass(frozen=True)
class Series(ArrayFile):
    """A .npy file that keeps its axes: a series (length, columns), or maps with channels first.

    A series of another length is cut, or padded with zeros at its end. With a mask, encoders that
    read one ignore the padding, so its length does not matter. Without it, a step of zeros counts
    as padding, which normalisation leaves at zero.

    Attributes:
        length: size of the first axis.
        rest: sizes of the other axes.
        normalise: none, fit (each column of a series or channel of a map by its mean and standard
            deviation over the training rows), or [mean, standard deviation].
        mask: say which steps of a series are no padding; true where training series are shorter
            than `length`.
    """

    length: int
    rest: Sequence[int]
    normalise: Any = "fit"
    mask: bool = False
    follows: ClassVar = frozenset({"length", "rest", "mask"})
    kind: ClassVar[str] = "array"

    def __post_init__(self) -> None:
        require(
            self.kind,
            integer("length", self.length, 1),
            integer_list("rest", self.rest),
            flag("mask", self.mask),
        )
        require(self.kind, ("mask", not self.mask or self.is_series, "false for maps", self.mask))
        self._known()

    @property
    def is_series(self) -> bool:
        """True for a series, whose first axis is time."""
        return len(self.rest) == 1

    @property
    def axis(self) -> int:
        return 1 if self.is_series else 0

    @property
    def padded(self) -> bool:
        return self.is_series and not self.mask

    @property
    def stored(self) -> tuple[int, ...]:
        return (self.length, *self.rest)

    def decode(self, part: FilePart) -> np.ndarray:
        """float32 of `shape`; where there is a mask, padding is NaN, which no file may hold.

        Raises:
            DataError: not a .npy file, or with other axes.
        """
        array = read_array(part)
        if array.ndim == 1 and tuple(self.rest) == (1,):
            array = array[:, None]
        if array.shape[1:] != tuple(self.rest) or (
            not self.is_series and len(array) != self.length
        ):
            raise DataError(f"{part}: has shape {array.shape}, {self.stored} is expected")
        fitted = np.full(self.stored, np.nan if self.mask else 0.0, dtype=np.float32)
        fitted[: len(array)] = array[: self.length]
        return fitted
