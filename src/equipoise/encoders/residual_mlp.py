"""Fully connected layers beside a linear map, for vectors of which there are few samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from equipoise.checks import inside, integer, integer_list, require


class ResidualMLP(nn.Module):
    """Sum of a linear map of the input and of hidden layers with dropout, which add to it.

    A linear map is what few samples can teach, and hidden layers alone are slow to find it. Dropout
    of inputs and hidden units keeps the layers from learning single samples by heart.

    Args:
        shape: of one sample, which is flattened.
        width: of the feature.
        hidden: widths of the hidden layers, each followed by ReLU and dropout.
        dropout: probability with which a hidden unit is dropped.
        input_dropout: probability with which a number of the input is dropped.

    Raises:
        ConfigError: a bad option.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        width: int = 128,
        hidden: Sequence[int] = (128,),
        dropout: float = 0.3,
        input_dropout: float = 0.1,
    ) -> None:
        super().__init__()
        require(
            "ResidualMLP",
            integer("width", width, 1),
            integer_list("hidden", hidden),
            inside("dropout", dropout, "[0, 1)"),
            inside("input_dropout", input_dropout, "[0, 1)"),
        )
        self.width = width
        size = math.prod(shape)
        self.flatten = nn.Flatten()
        self.drop = nn.Dropout(input_dropout)
        layers: list[nn.Module] = []
        for before, after in pairwise((size, *hidden)):
            layers += [nn.Linear(before, after), nn.ReLU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden[-1], width))
        self.linear = nn.Linear(size, width, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, *shape) → (B, width)."""
        flat = self.drop(self.flatten(inputs))
        features: Tensor = self.layers(flat) + self.linear(flat)
        return features
