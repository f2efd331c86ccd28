r"""Weight-elementwise: every dimension weighs the modalities by the softmax of the features.

The baseline class of the group that wrote LFM (code of TPAMI-AMSS), named after Yang, Wang, Zhan,
Xiong, Jiang. Comprehensive Semi-Supervised Multi-Modal Learning (CMML). IJCAI 2019, and the
likeliest network behind LFM's row Weight. It is published for two modalities; nothing in it depends
on their number.

$$a_m = \mathrm{softmax}(z_m) \qquad \omega_m = a_m \,/ \sum_j a_j \qquad
f = \Big(\sum_m \omega_m \odot z_m\Big) W_o^\top + b_o$$

The softmax is over the features. Absent modalities have $a_m = 0$: the softmax of a zero feature is
$1/d$ and would keep weight. One modality alone has $\omega_m = 1$.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from equipoise.heads.base import Head
from equipoise.heads.parts.checks import one_width
from equipoise.heads.parts.presence import stacked


class WeightElementwise(Head):
    """A mean of the features with weights per dimension, and one linear classifier.

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
        rows = len(next(iter(present.values())))
        zeros = self.classifier.weight.new_zeros(rows, self.classifier.in_features)
        values, shown = stacked(
            (features.get(m, zeros) for m in self.modalities), (present[m] for m in self.modalities)
        )
        log_a = values.log_softmax(-1).masked_fill(~shown.unsqueeze(-1), -torch.inf)
        return self.classifier((log_a.softmax(0) * values).sum(0)), None
