r"""Shared: one linear classifier that reads every modality, the head of MLA.

Zhang, Yoon, Bansal, Yao. Multimodal Representation Learning by Alternating Unimodal Adaptation.
CVPR 2024.

$$v_m = z_m W^\top + b$$

with one $W$ and one $b$ for all modalities, fused sample by sample (Eq. 6-8).
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from equipoise.heads.base import SeparateHead
from equipoise.heads.parts.checks import one_width


class Shared(SeparateHead):
    """One linear classifier for all modalities.

    Args:
        fusion: how the logits of the modalities are fused: "entropy" (MLA), "mean" or "fixed" (its
            ablation without dynamic fusion), "sum", "probability", or "entropy-batch" (the
            published code, whose predictions depend on the batch; for comparison only).
        fusion_weights: {modality: weight} for "fixed"; null for every other rule.

    Raises:
        ConfigError: the encoders' feature widths differ.
    """

    own_classifiers = False

    def __init__(
        self,
        widths: Mapping[str, int],
        classes: int,
        fusion: str = "entropy",
        fusion_weights: dict[str, float] | None = None,
    ) -> None:
        super().__init__(widths, classes, fusion, fusion_weights)
        self.classifier = nn.Linear(one_width("head 'shared'", widths), classes)

    def reading_layer(self, modality: str) -> nn.Linear:
        return self.classifier

    def unimodal(self, modality: str, features: Tensor) -> Tensor:
        logits: Tensor = self.classifier(features)
        return logits
