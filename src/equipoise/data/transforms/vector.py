"""Array files into vectors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from equipoise.data.media import read_array
from equipoise.errors import DataError, invalid


@dataclass(frozen=True)
class Numbers:
    """A .npy file flattened to (length,).

    Attributes:
        length: numbers in a file; every file must have as many.
    """

    length: int

    def __post_init__(self) -> None:
        if not (isinstance(self.length, int) and self.length > 0):
            raise invalid("vector", "length", "a positive whole number", self.length)

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.length,)

    def decode(self, path: Path) -> np.ndarray:
        """float32 of `shape`.

        Raises:
            DataError: not a .npy file, or of another length.
        """
        array = read_array(path)
        if len(array) != self.length:
            raise DataError(f"{path}: holds {len(array)} numbers, {self.length} are expected")
        return array
