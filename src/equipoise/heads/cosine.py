r"""Cosine: a sum of scaled cosines between features and class weights, the head of MMCosine.

Xu, Feng, Zhang, Hu. MMCosine: Multi-Modal Cosine Loss Towards Balanced Audio-Visual Fine-Grained
Learning. ICASSP 2023.
Code: github.com/GeWu-Lab/MMCosine_ICASSP23

$$u_m[k] = s \cos(z_m, W_m[k]) \qquad f = \sum_m u_m$$

No modality leads by the length of its features or of its weights. Training and prediction use the
same logits; the published validation predicts with the unnormalised linear layer. The contrastive
loss which that code can add, with weight 0 by default, is not part of the head.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equipoise.checks import positive, require
from equipoise.heads.base import SeparateHead


def unit(rows: Tensor) -> Tensor:
    """Divide rows (…, d) by their length; a row of zeros stays zero, with a finite gradient."""
    length = torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
    return rows / torch.where(length > 0, length, torch.ones_like(length))


class CosineLinear(nn.Linear):
    """Linear layer without bias whose outputs are scale · cos(z, W[k]) for each class k."""

    def __init__(self, width: int, classes: int, scale: float) -> None:
        super().__init__(width, classes, bias=False)
        self.scale = scale

    def forward(self, input: Tensor) -> Tensor:
        return self.scale * F.linear(unit(input), unit(self.weight))


class Cosine(SeparateHead):
    """Sum over the modalities of scaled cosines between feature and class weight.

    Args:
        scale: s, the largest possible logit of a modality; the softmax of unscaled cosines would be
            almost flat.
    """

    def __init__(self, widths: Mapping[str, int], classes: int, scale: float = 10.0) -> None:
        require("Cosine", positive("scale", scale))
        super().__init__(widths, classes, "sum")
        for modality, width in widths.items():
            self.blocks[modality] = CosineLinear(width, classes, scale)

    def reading_layer(self, modality: str) -> None:
        """None: the logits depend on the length of the weight, which every direction changes."""
