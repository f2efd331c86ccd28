r"""QMF: logits of each modality, weighed sample by sample by an energy-based confidence.

Zhang, Wu, Zhang, Hu, Fu, Zhou, Peng. Provable Dynamic Fusion for Low-Quality Multimodal Data. ICML
2023.

$$v_m = z_m W_m^\top + b_m \qquad c_m = s \log \sum_k \exp v_{mk} \qquad f = \sum_m c_m v_m$$
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from equipoise.checks import flag, positive, require
from equipoise.heads.base import Head
from equipoise.heads.parts.fusion import mean_weights, weigh
from equipoise.heads.parts.presence import stacked


def energy_confidence(logits: Tensor, scale: float = 0.1) -> Tensor:
    """Confidence c (…) of logits v (…, C): the negative energy log Σ_k exp(v_k), times a scale.

    It is not normalised, may be negative, and grows with a shift: c(v + a) = c(v) + scale · a. It
    is never computed in half precision.
    """
    return scale * logits.to(torch.promote_types(logits.dtype, torch.float32)).logsumexp(-1)


class QMF(Head):
    """Logits of the present modalities, weighed by their confidence.

    Args:
        detach_confidence: keep the fused loss from training the confidences (published for images
            and texts); false lets it (published for colour and depth images).
        confidence_scale: s, factor between negative energy and confidence.
    """

    own_classifiers = True

    def __init__(
        self,
        widths: Mapping[str, int],
        classes: int,
        detach_confidence: bool = True,
        confidence_scale: float = 0.1,
    ) -> None:
        require(
            "QMF",
            flag("detach_confidence", detach_confidence),
            positive("confidence_scale", confidence_scale),
        )
        super().__init__(widths, classes)
        self.detach_confidence = detach_confidence
        self.confidence_scale = confidence_scale
        for modality, width in widths.items():
            self.blocks[modality] = nn.Linear(width, classes)

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
        weights = torch.where(shown, energy_confidence(values, self.confidence_scale), 0.0)
        if self.detach_confidence:
            weights = weights.detach()
        # Weights whose sum is not positive would reverse the prediction: evaluation takes the mean.
        if not self.training:
            enough = weights.sum(0) > torch.finfo(weights.dtype).eps
            weights = torch.where(enough, weights, mean_weights(weights, shown))
        return weigh(values, weights)
