"""The loss of a single sample: cross-entropy, or one of its relatives for unequal classes."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Criterion:
    """A loss of logits and a label.

    With p the softmax of the logits, y the label and C classes, it is

        (1 − p_y)^γ · [(1 − s) · (−log p_y) + s / C · Σ_c −log p_c]

    Lin, Goyal, Girshick, He, Dollár. Focal Loss for Dense Object Detection. ICCV 2017, Eq. 4 (γ).
    Szegedy, Vanhoucke, Ioffe, Shlens, Wojna. Rethinking the Inception Architecture for Computer
    Vision. CVPR 2016, Section 7 (s).

    Attributes:
        focal_gamma: γ ≥ 0; samples that are predicted well count less the larger it is.
        label_smoothing: s in [0, 1].
    """

    focal_gamma: float = 0.0
    label_smoothing: float = 0.0

    @property
    def is_cross_entropy(self) -> bool:
        """True for the plain cross-entropy."""
        return not self.focal_gamma and not self.label_smoothing

    def __call__(self, logits: Tensor, label: Tensor) -> Tensor:
        """The loss (B,) of each sample, from logits (B, C) and labels (B,)."""
        losses = F.cross_entropy(
            logits, label, reduction="none", label_smoothing=self.label_smoothing
        )
        if not self.focal_gamma:
            return losses
        true = F.log_softmax(logits, 1).gather(1, label.unsqueeze(1)).squeeze(1)
        # expm1 keeps 1 − p exact, and the smallest number the gradient of its power finite, where
        # p is nearly 1.
        wrong = (-true.expm1()).clamp_min(1e-12)
        focal: Tensor = wrong**self.focal_gamma * losses
        return focal
