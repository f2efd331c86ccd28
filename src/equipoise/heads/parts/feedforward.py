"""Stacks of linear layers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn


def feedforward(
    sizes: Sequence[int], activation: type[nn.Module] = nn.ReLU, dropout: float = 0.0
) -> nn.Sequential:
    """Stack linear layers.

    Args:
        sizes: widths of the input, of each hidden layer and of the output.
        activation: between any two layers.
        dropout: after each activation; 0 for none.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        if layers:
            layers += [activation(), nn.Dropout(dropout)] if dropout else [activation()]
        layers.append(nn.Linear(inputs, outputs))
    return nn.Sequential(*layers)


def xavier(module: nn.Module) -> None:
    """Initialise the weights of every linear layer by Xavier's uniform rule.

    With PyTorch's default initialisation the signal fades in deep stacks.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
