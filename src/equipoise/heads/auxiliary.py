r"""Auxiliary: a Concat head with an own classifier for each modality, for auxiliary losses.

$$f = [z_1; \dots; z_M] W^\top + b \qquad v_m = z_m V_m^\top + c_m$$
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from equipoise.heads.concat import Concat


class Auxiliary(Concat):
    """A linear classifier on the concatenated features, and one for each modality.

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
