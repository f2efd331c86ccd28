"""Heads of one linear classifier per modality: Sum and Late."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from equipoise.checks import choice, require
from equipoise.heads.base import SeparateHead


class Sum(SeparateHead):
    """fused = Σ_m v_m with v_m = z_m W_mᵀ + b_m.

    Args:
        reduction: "sum", or "mean" for the average of the logits (LFM's published code).
    """

    def __init__(self, widths: Mapping[str, int], classes: int, reduction: str = "sum") -> None:
        require("Sum", choice("reduction", reduction, ("sum", "mean")))
        super().__init__(widths, classes, reduction)
        for modality, width in widths.items():
            self.blocks[modality] = nn.Linear(width, classes)


class Late(SeparateHead):
    """Independent classifiers whose probabilities are averaged (late fusion, Gunes and Piccardi
    2005).

    Args:
        fusion: "probability" (mean of the softmax outputs), "mean" (of the logits), "entropy" or
            "fixed".
        fusion_weights: {modality: weight} for "fixed".
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        classes: int,
        fusion: str = "probability",
        fusion_weights: dict[str, float] | None = None,
    ) -> None:
        super().__init__(widths, classes, fusion, fusion_weights)
        for modality, width in widths.items():
            self.blocks[modality] = nn.Linear(width, classes)
