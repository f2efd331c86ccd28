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
        if len(self.extent) != 2 or min(self.extent) < 1:
            raise invalid("image", "size", "one or two positive numbers", self.size)

    @property
    def extent(self) -> tuple[int, ...]:
        return (self.size, self.size) if isinstance(self.size, int) else tuple(self.size)

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
