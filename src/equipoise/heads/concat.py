r"""Concat: one linear classifier on the concatenated features (early fusion).

$$f = [z_1; \dots; z_M] W^\top + b$$

One modality alone reads its own columns of $W$ (Zhang et al. Multimodal Representation Learning by
Alternating Unimodal Adaptation. CVPR 2024, MLA, appendix A.2):

$$v_m = z_m W_m^\top + b / M$$
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equipoise.heads.base import Head
from equipoise.heads.parts.presence import masked


class Concat(Head):
    """One linear classifier on the concatenated features."""

    decomposable = True

    def __init__(self, widths: Mapping[str, int], classes: int) -> None:
        super().__init__(widths, classes)
        # The initialisation of nn.Linear for the whole matrix. Its columns are separate parameters,
        # so that a batch without a modality leaves the columns of that modality unchanged.
        bound = 1 / math.sqrt(sum(widths.values()))
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
    ) -> tuple[Tensor, Tensor | None]:
        fused = self.bias.expand(len(next(iter(present.values()))), -1)
        for modality, feature in features.items():
            shown = masked(modality, feature, present)
            fused = fused + F.linear(shown, self.blocks[modality].weight)  # type: ignore[arg-type]
        return fused, None
