"""ReconBoost's head: one classifier for all modalities, whose outputs are boosted together."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from equipoise.checks import positive, require, whole
from equipoise.heads.base import SeparateHead
from equipoise.heads.parts.checks import one_width


class BoostedSum(SeparateHead):
    """fused = b Σ_m v_m with v_m = g(z_m), one g = Linear – ReLU – Linear for all modalities and a
    learned number b.

    Hua, Xu, Bao, Yang, Huang. ReconBoost: Boosting Can Achieve Modality Reconcilement. ICML 2024.
    Code: github.com/huacong/ReconBoost. b leaves the predicted class alone and calibrates the
        probabilities.

    Args:
        hidden: width of the hidden layer of g; 0 for a single linear layer (as published for
            MOSEI).
        rate: initial b, positive.

    Raises:
        ConfigError: the encoders' feature widths differ, or an option is out of range.
    """

    own_classifiers = False
    fused_only = "scale"

    def __init__(
        self, widths: Mapping[str, int], classes: int, hidden: int = 256, rate: float = 1.0
    ) -> None:
        super().__init__(widths, classes, "sum")
        require("BoostedSum", whole("hidden", hidden, 0), positive("rate", rate))
        self.decomposable = False
        width = one_width("head 'boosted-sum'", widths)
        self.classifier: nn.Module = nn.Linear(width, classes)
        if hidden:
            self.classifier = nn.Sequential(
                nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, classes)
            )
        self.rate = nn.Parameter(torch.tensor(float(rate)))

    def reading_layer(self, modality: str) -> nn.Linear:
        return next(layer for layer in self.classifier.modules() if isinstance(layer, nn.Linear))

    def unimodal(self, modality: str, features: Tensor) -> Tensor:
        logits: Tensor = self.classifier(features)
        return logits

    def fuse(
        self,
        features: Mapping[str, Tensor],
        logits: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
    ) -> tuple[Tensor, Tensor | None]:
        total, weights = super().fuse(features, logits, present)
        return self.rate * total, weights
