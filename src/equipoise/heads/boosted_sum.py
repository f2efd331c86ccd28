r"""Boosted sum: one classifier for all modalities, its outputs added up, the head of ReconBoost.

Hua, Xu, Bao, Yang, Huang. ReconBoost: Boosting Can Achieve Modality Reconcilement. ICML 2024.
Code: github.com/huacong/ReconBoost

$$v_m = g(z_m) \qquad f = \beta \sum_m v_m$$

with one $g$ = Linear – ReLU – Linear for all modalities and a learned number $\beta$. While
$\beta$ is positive it does not change the predicted class; it calibrates the probabilities.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from equipoise.checks import integer, positive, require
from equipoise.heads.base import SeparateHead
from equipoise.heads.parts.checks import one_width


class BoostedSum(SeparateHead):
    """Scaled sum of the outputs of one classifier that all modalities share.

    Args:
        hidden: width of the hidden layer of the classifier; 0 for a single linear layer (as
            published for MOSEI).
        rate: initial scale of the sum, positive.

    Raises:
        ConfigError: the encoders' feature widths differ, or an option is out of range.
    """

    own_classifiers = False
    fused_only = "scale"

    def __init__(
        self, widths: Mapping[str, int], classes: int, hidden: int = 256, rate: float = 1.0
    ) -> None:
        super().__init__(widths, classes, "sum")
        require("BoostedSum", integer("hidden", hidden, 0), positive("rate", rate))
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
