"""A sum of classifiers, seen once more by a linear layer over the classes."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from equipoise.heads.base import SeparateHead


class MixedSum(SeparateHead):
    """fused = L(Σ_m v_m) with v_m = z_m W_mᵀ + b_m and L a linear layer from the classes to the
    classes (AMCo).

    Zhou, Liang, Zheng, Xuan, Kumada. Adaptive Mask Co-optimization for Modal Dependence in
    Multimodal Learning. ICASSP 2023; the layer as in BalanceBenchmark's re-implementation.
    """

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
