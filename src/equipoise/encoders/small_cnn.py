"""A few convolutions for small images and spectrograms, fast on a CPU."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from equipoise.checks import integer, integer_list, require
from equipoise.encoders.parts.checks import check_shape

SMALL = 96
"""Largest side of a map for which three blocks are enough."""
FEW = (16, 32, 64)
MANY = (8, 16, 32, 64, 64)
"""Channels of the blocks for larger maps: cheap where the map is large, and seeing further."""
GROUPS = 8
"""Groups of channels in a GroupNorm; fewer where 8 does not divide the number of channels."""


class SmallCNN(nn.Module):
    """Convolution – GroupNorm – ReLU blocks, then the mean and the maximum over the map.

    Frames are read one by one, and mean and maximum are taken over the maps of all of them.

    Each block halves the map until its shorter side is below 4. The normalisation is GroupNorm and
    not BatchNorm, so that a sample's feature does not depend on its batch and k ranks equal one
    process.

    Args:
        shape: (channels, height, width) of one sample, or (frames, channels, height, width).
        width: of the feature.
        channels: output channels of each block; "auto" for 16, 32 and 64 on maps of up to 96 on
            the longer side, and 8, 16, 32, 64 and 64 on larger ones.

    Raises:
        ConfigError: a bad option or shape.
    """

    def __init__(
        self, shape: tuple[int, ...], width: int = 128, channels: Sequence[int] | str = "auto"
    ) -> None:
        super().__init__()
        check_shape(
            "SmallCNN",
            shape,
            len(shape) in (3, 4),
            "(channels, height, width) or (frames, channels, height, width)",
        )
        if channels == "auto":
            channels = FEW if max(shape[-2:]) <= SMALL else MANY
        require(
            "SmallCNN", integer("width", width, 1), integer_list("channels", channels, empty=True)
        )
        counts = cast(Sequence[int], channels)
        self.width = width
        size = min(shape[-2:])
        layers: list[nn.Module] = []
        before = shape[-3]
        for after in counts:
            layers += [
                nn.Conv2d(before, after, 3, padding=1),
                nn.GroupNorm(math.gcd(GROUPS, after), after),
                nn.ReLU(),
            ]
            if size >= 4:
                layers.append(nn.MaxPool2d(2))
                size //= 2
            before = after
        self.layers = nn.Sequential(*layers)
        self.feature = nn.Linear(2 * before, width)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, channels, height, width), or (B, frames, channels, …) → (B, width)."""
        if inputs.dim() == 4:
            maps = self.layers(inputs).flatten(2)
        else:
            frames = self.layers(inputs.flatten(0, 1)).flatten(2)
            maps = frames.unflatten(0, inputs.shape[:2]).transpose(1, 2).flatten(2)
        pooled = torch.cat([maps.mean(-1), maps.amax(-1)], dim=1)
        feature: Tensor = self.feature(pooled)
        return feature
