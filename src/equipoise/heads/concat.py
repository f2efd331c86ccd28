"""One linear classifier on the concatenated features (early fusion)."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equipoise.heads.base import Head


class Concat(Head):
    """fused = [z_1; …; z_M] Wᵀ + b. One modality alone reads its column block: z_m W_mᵀ + b/M (MLA,
    appendix A.2).

    The column blocks are separate parameters, so that a modality absent from a batch leaves its own
    untouched.
    """

    decomposable = True

    def __init__(self, widths: Mapping[str, int], classes: int) -> None:
        super().__init__(widths, classes)
        bound = 1 / math.sqrt(
            sum(widths.values())
        )  # nn.Linear's initialisation of the whole matrix
        for modality, width in widths.items():
            block = nn.Linear(width, classes, bias=False)
            nn.init.uniform_(block.weight, -bound, bound)
            self.blocks[modality] = block
        self.bias = nn.Parameter(torch.empty(classes).uniform_(-bound, bound))

    def unimodal(self, modality: str, features: Tensor) -> Tensor:
        block = self.blocks[modality]
        return F.linear(features, block.weight, self.bias / len(self.widths))  # type: ignore[arg-type]

    def fuse(
        self,
        features: Mapping[str, Tensor],
        logits: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
    ) -> tuple[Tensor, None]:
        fused = self.bias.expand(len(next(iter(present.values()))), -1)
        for modality, feature in features.items():
            shown = feature * present[modality].unsqueeze(-1)
            fused = fused + F.linear(shown, self.blocks[modality].weight)  # type: ignore[arg-type]
        return fused, None
