r"""DI-MML: own classifiers and a classifier of all features, each as weighty as it is sure.

Fan, Xu, Wang, Liu, Guo. Detached and Interactive Multimodal Learning. ACM Multimedia 2024.

$$v_m = z_m V_m^\top + c_m \qquad v_0 = [z_1; \dots; z_M] W^\top + b$$

$$f = \sum_k w_k v_k \qquad w = \mathrm{softmax}_k (\max \mathrm{softmax}(v_k) / T)$$

over $v_0$ and the modalities that a sample has. One more classifier, which reads any modality,
serves the training only.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from equipoise.checks import positive, require
from equipoise.heads.auxiliary import Auxiliary
from equipoise.heads.concat import Concat
from equipoise.heads.parts.checks import one_width


class DIMML(Auxiliary):
    """Predictions of each modality and of all features, weighed by their confidence.

    `common` is a classifier that reads any modality. It has no part in the fused prediction.

    Args:
        temperature: T; a larger one brings the weights together.

    Raises:
        ConfigError: the encoders' feature widths differ.
    """

    def __init__(self, widths: Mapping[str, int], classes: int, temperature: float = 1.0) -> None:
        require("DIMML", positive("temperature", temperature))
        width = one_width("head 'di-mml'", widths)
        super().__init__(widths, classes)
        self.temperature = temperature
        self.common = nn.Linear(width, classes)

    def own_only(self, modality: str) -> None:
        """None: the own classifiers are part of what is fused."""

    def reading_layer(self, modality: str) -> None:
        """None: two layers read the features."""

    def joint(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        """v_0 (B, C), the logits of the classifier of all features."""
        return Concat.fuse(self, features, {}, present)[0]

    def fuse(
        self,
        features: Mapping[str, Tensor],
        logits: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
    ) -> tuple[Tensor, Tensor]:
        joint = self.joint(features, present)
        values = torch.stack([joint, *(logits[m] for m in self.modalities)])
        always = torch.ones_like(next(iter(present.values())))
        shown = torch.stack([always, *(present[m] for m in self.modalities)])
        confidence = values.softmax(-1).amax(-1) / self.temperature
        weights = torch.where(shown, confidence, -torch.inf).softmax(0)
        fused = (weights.unsqueeze(-1) * torch.where(shown.unsqueeze(-1), values, 0.0)).sum(0)
        return fused, weights[1:].T
