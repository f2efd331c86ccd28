"""Weight without a scorer: every feature dimension weighs the modalities by their softmax over the
features.

The baseline class of the group that wrote LFM (code of TPAMI-AMSS), named after Yang, Wang, Zhan,
Xiong, Jiang. Comprehensive Semi-Supervised Multi-Modal Learning (CMML). IJCAI 2019, and the
likeliest network behind LFM's row Weight. It is published for two modalities; nothing in it depends
on their number.

    a_m = softmax(z_m) over the features        ω_m = a_m / Σ_j a_j        f = (Σ_m ω_m ⊙ z_m) W_oᵀ + b_o

Absent modalities have a_m = 0: the softmax of a zero feature is 1/d and would keep weight. One
modality alone has ω_m = 1.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from equipoise.heads.base import Head
from equipoise.heads.parts.checks import one_width
from equipoise.heads.parts.presence import stacked


class WeightElementwise(Head):
    """A weighted mean of the features, weights per dimension without parameters, and one linear
    classifier.

    Raises:
        ConfigError: the encoders' feature widths differ.
    """

    def __init__(self, widths: Mapping[str, int], classes: int) -> None:
        super().__init__(widths, classes)
        width = one_width("WeightElementwise", widths)
        self.classifier = nn.Linear(width, classes)

    def reading_layer(self, modality: str) -> nn.Linear:
        return self.classifier

    def unimodal(self, modality: str, features: Tensor) -> Tensor:
        logits: Tensor = self.classifier(features)
        return logits

    def fuse(
        self,
        features: Mapping[str, Tensor],
        logits: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
    ) -> tuple[Tensor, None]:
        zeros = self.classifier.weight.new_zeros(
            len(next(iter(present.values()))), self.classifier.in_features
        )
        values, shown = stacked(
            (features.get(m, zeros) for m in self.modalities), (present[m] for m in self.modalities)
        )
        share = (values.log_softmax(-1)).masked_fill(~shown.unsqueeze(-1), -torch.inf).softmax(0)
        return self.classifier((share * values).sum(0)), None
