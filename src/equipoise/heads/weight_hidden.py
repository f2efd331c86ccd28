r"""Weight-hidden: each sample weighs the hidden features of the modalities, the form of CMML.

Yang, Wang, Zhan, Xiong, Jiang. Comprehensive Semi-Supervised Multi-Modal Learning (CMML). IJCAI
2019; its supervised part.

$$h_m = z_m P_m^\top + p_m \qquad w = \mathrm{softmax}_m(a(h_m))$$

$$f = \Big(\sum_m w_m h_m\Big) W_o^\top + b_o \qquad v_m = h_m W_m^\top + b_m$$

Published code: the fused predictor $W_o$ is missing from the optimiser's list and stays at its
initialisation; PaddleMM swaps the two weights. Here both are as the paper means them.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from equipoise.heads.base import Head
from equipoise.heads.parts.presence import stacked
from equipoise.heads.parts.scorer import HIDDEN, Scorer, log_weights


class WeightHidden(Head):
    """128 hidden units per modality, averaged with learned weights before one linear classifier.

    One modality alone reads its own linear classifier on its hidden units.
    """

    own_classifiers = True
    fused_only = "scorer and fused predictor"

    def __init__(self, widths: Mapping[str, int], classes: int) -> None:
        super().__init__(widths, classes)
        for modality, width in widths.items():
            parts = {
                "projection": nn.Linear(width, HIDDEN),
                "classifier": nn.Linear(HIDDEN, classes),
            }
            self.blocks[modality] = nn.ModuleDict(parts)
        self.scorer = Scorer()
        self.classifier = nn.Linear(HIDDEN, classes)

    def reading_layer(self, modality: str) -> nn.Linear:
        projection: nn.Linear = self.blocks[modality]["projection"]  # type: ignore[index]
        return projection

    def own_only(self, modality: str) -> nn.Module:
        classifier: nn.Module = self.blocks[modality]["classifier"]  # type: ignore[index]
        return classifier

    def unimodal(self, modality: str, features: Tensor) -> Tensor:
        logits: Tensor = self.blocks[modality]["classifier"](self._hidden(modality, features))  # type: ignore[index]
        return logits

    def fuse(
        self,
        features: Mapping[str, Tensor],
        logits: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
    ) -> tuple[Tensor, Tensor]:
        rows = len(next(iter(present.values())))
        nothing = self.classifier.weight.new_zeros(rows, HIDDEN)
        hidden, shown = stacked(
            (self._hidden(m, features[m]) if m in features else nothing for m in self.modalities),
            (present[m] for m in self.modalities),
        )
        weights = log_weights(self.scorer(hidden), shown).exp()
        return self.classifier((weights.unsqueeze(-1) * hidden).sum(0)), weights.T

    def _hidden(self, modality: str, features: Tensor) -> Tensor:
        hidden: Tensor = self.blocks[modality]["projection"](features)  # type: ignore[index]
        return hidden
