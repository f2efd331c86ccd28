r"""Stacked: one linear classifier per modality, log-probabilities weighed by fitted numbers.

$$v_m = z_m W_m^\top + b_m \qquad f = \sum_m w_m \log \mathrm{softmax}(v_m) \qquad w_m \geq 0$$
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equipoise.heads.base import Head
from equipoise.heads.parts.presence import stacked


class Stacked(Head):
    """A weighted sum of the log-probabilities of one linear classifier per modality.

    With the weights of the start, all 1, it is the product of the classifiers' probabilities.
    `blocks[m]` is the classifier of a modality, and holds w_m as the buffer `fusion_weight`.
    """

    own_classifiers = True

    def __init__(self, widths: Mapping[str, int], classes: int) -> None:
        super().__init__(widths, classes)
        for modality, width in widths.items():
            block = nn.Linear(width, classes)
            block.register_buffer("fusion_weight", torch.ones(()))
            self.blocks[modality] = block

    @property
    def fusion_weights(self) -> Tensor:
        """w (M,), which no gradient reaches."""
        return torch.stack([self.blocks[m].get_buffer("fusion_weight") for m in self.modalities])

    @torch.no_grad()
    def set_fusion_weights(self, weights: Tensor) -> None:
        """Set w (M,) for all predictions from now on."""
        for modality, weight in zip(self.modalities, weights, strict=True):
            self.blocks[modality].get_buffer("fusion_weight").copy_(weight)

    def unimodal(self, modality: str, features: Tensor) -> Tensor:
        logits: Tensor = self.blocks[modality](features)
        return logits

    def fuse(
        self,
        features: Mapping[str, Tensor],
        logits: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
    ) -> tuple[Tensor, Tensor]:
        values, shown = stacked(
            (logits[m] for m in self.modalities), (present[m] for m in self.modalities)
        )
        weights = self.fusion_weights.unsqueeze(1) * shown  # (M, B)
        return (weights.unsqueeze(-1) * F.log_softmax(values, dim=-1)).sum(0), weights.T
