r"""Sum and Late: one linear classifier for each modality.

$$v_m = z_m W_m^\top + b_m$$

Sum adds the logits, $f = \sum_m v_m$. Late averages the probabilities of independent classifiers
(Gunes, Piccardi. Affect recognition from face and body: early vs. late fusion. IEEE SMC 2005).
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from equipoise.checks import choice, require
from equipoise.heads.base import SeparateHead


class Sum(SeparateHead):
    """Sum of one linear classifier per modality.

    Args:
        reduction: of the logits, "sum", or "mean" (LFM's published code).
    """

    def __init__(self, widths: Mapping[str, int], classes: int, reduction: str = "sum") -> None:
        require("Sum", choice("reduction", reduction, ("sum", "mean")))
        super().__init__(widths, classes, reduction)
        for modality, width in widths.items():
            self.blocks[modality] = nn.Linear(width, classes)


class Late(SeparateHead):
    """Mean of the probabilities of one linear classifier per modality.

    Args:
        fusion: how the logits of the modalities are fused: "probability" (mean of the softmax
            outputs), "mean" or "sum" (of the logits), "entropy" (mean of the logits, the surer
            modality counts more), "entropy-batch" or "fixed".
        fusion_weights: {modality: weight} for "fixed"; null for every other rule.
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
