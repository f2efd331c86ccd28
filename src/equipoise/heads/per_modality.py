"""Per-modality: a small multilayer classifier for each modality, the head of MIE.

Jiang, Chi, Yang. Multimodal Classification via Modal-Aware Interactive Enhancement. 2024,
section 4: Linear(d, 256) – ReLU – Linear(256, 64) – Linear(64, C).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from torch import nn

from equipoise.checks import integer_list, require
from equipoise.heads.base import SeparateHead


class PerModality(SeparateHead):
    """A multilayer classifier per modality.

    Args:
        hidden: widths of the hidden layers; only the first is followed by a ReLU, as published.
        fusion: how the logits of the modalities are fused: "probability" (mean of the softmax
            outputs), "mean" or "sum" (of the logits), "entropy" (mean of the logits, the surer
            modality counts more), "entropy-batch" or "fixed".
        fusion_weights: {modality: weight} for "fixed"; null for every other rule.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        classes: int,
        hidden: Sequence[int] = (256, 64),
        fusion: str = "probability",
        fusion_weights: dict[str, float] | None = None,
    ) -> None:
        super().__init__(widths, classes, fusion, fusion_weights)
        require("PerModality", integer_list("hidden", hidden))
        for modality, width in widths.items():
            sizes = [width, *hidden, classes]
            layers: list[nn.Module] = [nn.Linear(a, b) for a, b in pairwise(sizes)]
            layers.insert(1, nn.ReLU())
            self.blocks[modality] = nn.Sequential(*layers)

    def reading_layer(self, modality: str) -> nn.Linear:
        first: nn.Linear = self.blocks[modality][0]  # type: ignore[index]
        return first
