"""A Concat head with a classifier of its own for each modality beside it, for auxiliary losses."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from equipoise.heads.concat import Concat


class Auxiliary(Concat):
    """fused = [z_1; …; z_M] Wᵀ + b as `Concat`; one modality alone reads v_m = z_m V_mᵀ + c_m.

    The fused prediction never uses the own classifiers V_m, and their losses never reach W.
    `blocks[m]` is the column block W_m and holds V_m as `own`.
    """

    decomposable = False
    own_classifiers = True
    fused_only = "classifier of all features"

    def __init__(self, widths: Mapping[str, int], classes: int) -> None:
        super().__init__(widths, classes)
        for modality, width in widths.items():
            self.blocks[modality].add_module("own", nn.Linear(width, classes))

    def own_only(self, modality: str) -> nn.Module | None:
        own: nn.Module = self.blocks[modality].own  # type: ignore[assignment]
        return own

    def unimodal(self, modality: str, features: Tensor) -> Tensor:
        logits: Tensor = self.blocks[modality].own(features)  # type: ignore[operator]
        return logits
