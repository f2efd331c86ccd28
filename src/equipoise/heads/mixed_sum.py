r"""Mixed sum: a sum of linear classifiers, then a linear layer over the classes, the head of AMCo.

Zhou, Liang, Zheng, Xuan, Kumada. Adaptive Mask Co-optimization for Modal Dependence in Multimodal
Learning. ICASSP 2023; the layer as in BalanceBenchmark's re-implementation.

$$v_m = z_m W_m^\top + b_m \qquad f = A \sum_m v_m + a$$
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from equipoise.heads.base import SeparateHead


class MixedSum(SeparateHead):
    """Sum of one linear classifier per modality, and a linear layer from classes to classes."""

    fused_only = "layer over the classes"

    def __init__(self, widths: Mapping[str, int], classes: int) -> None:
        super().__init__(widths, classes, "sum")
        self.decomposable = False
        for modality, width in widths.items():
            self.blocks[modality] = nn.Linear(width, classes)
        self.mix = nn.Linear(classes, classes)

    def fuse(
        self,
        features: Mapping[str, Tensor],
        logits: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
    ) -> tuple[Tensor, Tensor | None]:
        total, weights = super().fuse(features, logits, present)
        mixed: Tensor = self.mix(total)
        return mixed, weights
