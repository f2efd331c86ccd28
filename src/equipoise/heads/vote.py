r"""Vote: a sum of own classifiers, beside a Concat classifier that only trains, the head of BSS.

Guan, Jiang, Yang. Balance-aware Sequence Sampling Makes Multi-modal Learning Better. IJCAI 2025.

$$v_m = z_m V_m^\top + c_m \qquad f = \sum_m v_m \qquad
\mathrm{joint} = [z_1; \dots; z_M] W^\top + b$$
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from equipoise.heads.auxiliary import Auxiliary
from equipoise.heads.concat import Concat


class Vote(Auxiliary):
    """Sum of one linear classifier per present modality.

    `joint` is the prediction of a Concat classifier, for methods that train it as well. It has no
    part in the fused prediction.
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
