"""A linear layer on a concatenation, one column block for each part."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn


class BlockLinear(nn.Module):
    """[x_1; …; x_K] Wᵀ + b = Σ_k x_k W_kᵀ + b, initialised as one `nn.Linear` on all parts.

    The blocks are found by name, so the order of the parts does not matter.

    Args:
        widths: {part: width}.
        outputs: width of the result.
    """

    def __init__(self, widths: Mapping[str, int], outputs: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(sum(widths.values()))
        self.columns = nn.ModuleDict(
            {name: nn.Linear(width, outputs, bias=False) for name, width in widths.items()}
        )
        for block in self.columns.values():
            nn.init.uniform_(block.weight, -bound, bound)  # type: ignore[arg-type]
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-bound, bound))

    def forward(self, parts: Mapping[str, Tensor]) -> Tensor:
        """Map {part: (B, width)} of every part to (B, outputs)."""
        result: Tensor = self.bias
        for name, block in self.columns.items():
            result = result + block(parts[name])
        return result
