"""Stacks of linear layers, as several heads are built of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn


def feedforward(
    sizes: Sequence[int], activation: type[nn.Module] = nn.ReLU, dropout: float = 0.0
) -> nn.Sequential:
    """Linear layers of these sizes; an activation, and dropout where asked for, between any two of them."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        if layers:
            layers += [activation(), nn.Dropout(dropout)] if dropout else [activation()]
        layers.append(nn.Linear(inputs, outputs))
    return nn.Sequential(*layers)


def xavier(module: nn.Module) -> None:
    """Xavier's weights in every linear layer: with PyTorch's own the signal fades in stacks as deep as these."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
