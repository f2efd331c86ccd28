r"""Balanced: a tempered sum of own classifiers and a classifier of all features, averaged.

$$v_m = z_m V_m^\top + c_m \qquad \mathrm{late} = \sum_m e^{s_m} v_m \qquad
\mathrm{joint} = [z_1; \dots; z_M] W^\top + b$$

$$f = \log \frac12 \left( \mathrm{softmax}(\mathrm{late}) + \mathrm{softmax}(\mathrm{joint})
\right)$$

The sums are over the modalities that a sample has; an absent feature counts as zeros in `joint`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equipoise.heads.vote import Vote


class Balanced(Vote):
    """Mean of the probabilities of two classifiers, one of them late and one of all features.

    `blocks[m]` holds the columns W_m as its weight, the own classifier V_m as `own`, and the
    logarithm s_m of the modality's inverse temperature as `scale`, which starts at 0.
    """

    decomposable = False
    fused_only = "classifier of all features"

    def __init__(self, widths: Mapping[str, int], classes: int) -> None:
        super().__init__(widths, classes)
        for modality in widths:
            self.blocks[modality].register_parameter("scale", nn.Parameter(torch.zeros(())))

    def reading_layer(self, modality: str) -> None:  # type: ignore[override]
        """None: two layers read the features."""

    def late(
        self,
        features: Mapping[str, Tensor],
        logits: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
    ) -> Tensor:
        """Logits (B, C) of the tempered sum over the modalities that each sample has.

        Args:
            features: {modality: (B, d_m)} of the modalities with at least one present row.
            logits: {modality: (B, C)} of these modalities, or more.
            present: {modality: bool (B,)}.
        """
        late = next(iter(logits.values())).new_zeros(())
        # A modality that no row has stays out of the graph: a gradient of zero would still let
        # momentum and decay move its temperature.
        for modality in features:
            scale: Tensor = self.blocks[modality].scale  # type: ignore[assignment]
            shown = logits[modality].masked_fill(~present[modality].unsqueeze(1), 0.0)
            late = late + scale.exp() * shown
        return late.expand_as(next(iter(logits.values())))

    def fuse(
        self,
        features: Mapping[str, Tensor],
        logits: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
    ) -> tuple[Tensor, None]:
        late = self.late(features, logits, present)
        return mean_probability(late, self.joint(features, present)), None


def mean_probability(first: Tensor, second: Tensor) -> Tensor:
    """Logarithm (B, C) of the mean of the probabilities of two predictions (B, C).

    It is never computed in half precision.
    """
    wide = torch.promote_types(first.dtype, torch.float32)
    pair = [F.log_softmax(logits.to(wide), 1) for logits in (first, second)]
    return torch.logaddexp(*pair) - math.log(2)
