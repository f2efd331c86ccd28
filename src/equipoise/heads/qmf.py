"""QMF's head: logits of each modality, weighed per sample by an energy-based confidence.

Zhang, Wu, Zhang, Hu, Fu, Zhou, Peng. Provable Dynamic Fusion for Low-Quality Multimodal Data. ICML
2023.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from equipoise.checks import flag, positive, require
from equipoise.heads.base import Head
from equipoise.heads.parts.fusion import mean_weights, weigh
from equipoise.heads.parts.presence import stacked


def confidence(logits: Tensor, scale: float = 0.1) -> Tensor:
    """c (…) of logits v (…, C): the negative energy log Σ_k exp(v_k), times a scale, never in half
    precision.

    Not normalised, possibly negative, and not indifferent to a shift: c(v + a) = c(v) + scale · a.
    """
    return scale * logits.to(torch.promote_types(logits.dtype, torch.float32)).logsumexp(-1)


class QMF(Head):
    """f = Σ_m c_m v_m over the modalities present, with v_m = z_m W_mᵀ + b_m and c_m its
    confidence.

    In evaluation mode the plain mean takes the place of a total confidence that is not positive,
    which would turn the prediction upside down.

    Args:
        detach_confidence: the loss of f does not train the confidences (published for images and
            texts); False lets it (published for colour and depth images).
        confidence_scale: factor between negative energy and confidence.
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
        weights = torch.where(shown, confidence(values, self.confidence_scale), 0.0)
        if self.detach_confidence:
            weights = weights.detach()
        if not self.training:
            enough = weights.sum(0) > torch.finfo(weights.dtype).eps
            weights = torch.where(enough, weights, mean_weights(weights, shown))
        return weigh(values, weights)
