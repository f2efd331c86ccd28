"""Fully connected layers, for vectors and anything else that can be flattened."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from equipoise.checks import inside, integer, integer_list, require


class MLP(nn.Module):
    """Linear – ReLU – dropout for each hidden layer, then a linear layer to the feature.

    Two hidden layers as wide as the feature are the encoder of MLA's Table 2 (appendix A.3.2).

    Args:
        shape: of one sample, which is flattened.
        width: of the feature.
        hidden: widths of the hidden layers; an empty list for a linear encoder.
        dropout: probability with which a hidden unit is dropped, after each hidden layer.

    Raises:
        ConfigError: a bad option.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        width: int = 128,
        hidden: Sequence[int] = (128, 128),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        require(
            "MLP",
            integer("width", width, 1),
            integer_list("hidden", hidden, empty=True),
            inside("dropout", dropout, "[0, 1)"),
        )
        self.width = width
        sizes = [math.prod(shape), *hidden]
        layers: list[nn.Module] = [nn.Flatten()]
        for before, after in zip(sizes, hidden, strict=False):
            layers += [nn.Linear(before, after), nn.ReLU()]
            if dropout:
                layers.append(nn.Dropout(dropout))
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], width))

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, *shape) → (B, width)."""
        features: Tensor = self.layers(inputs)
        return features
