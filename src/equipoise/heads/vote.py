"""A classifier per modality whose logits are summed for the prediction, and a Concat classifier for training only."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from equipoise.heads.auxiliary import Auxiliary
from equipoise.heads.concat import Concat


class Vote(Auxiliary):
    """Fused: Σ_m v_m over the modalities present, v_m = z_m V_mᵀ + c_m.

    Beside it `joint` is the prediction [z_1; …; z_M] Wᵀ + b of a Concat head, for methods that
    train it as well. It never takes part in the fused prediction.
    """

    decomposable = True
    fused_only = ""

    def reading_layer(self, modality: str) -> nn.Linear:
        own: nn.Linear = self.blocks[modality].own  # type: ignore[assignment]
        return own

    def own_only(self, modality: str) -> None:
        """None: the own classifiers are what is fused."""

    def joint(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        """Logits (B, C) of the Concat classifier."""
        return Concat.fuse(self, features, {}, present)[0]

    def fuse(
        self,
        features: Mapping[str, Tensor],
        logits: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
    ) -> tuple[Tensor, None]:
        fused = next(iter(logits.values())).new_zeros(())
        for modality in self.modalities:
            fused = fused + logits[modality].masked_fill(~present[modality].unsqueeze(1), 0.0)
        return fused, None
