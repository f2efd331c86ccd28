"""Pictures into arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from equipoise.data.media import read_image
from equipoise.errors import invalid


@dataclass(frozen=True)
class Picture:
    """Pixels in [0, 1], (channels, height, width).

    Attributes:
        size: height and width, or one number for both.
        channels: 1 (grey) or 3 (red, green, blue).
    """

    size: int | Sequence[int] = 32
    channels: int = 3

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            raise invalid("image", "channels", "1 or 3", self.channels)
        numbers = self.size if isinstance(self.size, list | tuple) else [self.size]
        if len(numbers) not in (1, 2) or not all(isinstance(n, int) and n > 0 for n in numbers):
            raise invalid("image", "size", "one or two positive whole numbers", self.size)

    @property
    def extent(self) -> tuple[int, ...]:
        """Height and width."""
        height, *width = [self.size] if isinstance(self.size, int) else self.size
        return (height, *(width or [height]))

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.channels, *self.extent)

    def decode(self, path: Path) -> np.ndarray:
        """float32 of `shape`.

        Raises:
            DataError: the file is not readable as an image.
        """
        height, width = self.extent
        return read_image(path, (height, width), self.channels)
