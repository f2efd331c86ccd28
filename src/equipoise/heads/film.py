"""FiLM: one modality scales and shifts the features of the others. LFM's tables call the same
module Affine.

Perez, Strub, de Vries, Dumoulin, Courville. FiLM: Visual Reasoning with a General Conditioning
Layer. AAAI 2018, as a fusion of features in the MLA paper (appendix A.2).

    [γ; β] = z_c W_gᵀ + b_g        ẑ_t = γ ⊙ z_t + β for t ≠ c        f = [ẑ_t]_{t ≠ c} W_oᵀ + b_o

The conditioner c reaches the classifier through γ and β only. With more than one target all share γ
and β where their widths agree, otherwise each has its own; the modulated targets are concatenated
(our generalisation).

One modality alone: the other features are zeros (MLA). The conditioner then speaks through the
shift, a target meets the constant modulation b_γ, b_β, so that it is close to chance; the biases do
not learn from it. In a *row that lacks the conditioner* the modulation is left out (γ = 1, β = 0),
and an absent target is zeros, hence β.

Published code: none of the multimodal ports adds the 1 to γ that the original network has
(`residual_gamma`); the ports split the generator's output at the width of its *input*, which fails
for unequal widths.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from equipoise.checks import choice, flag, require
from equipoise.heads.base import Head
from equipoise.heads.parts.block_linear import BlockLinear
from equipoise.heads.parts.checks import leading, one_width


class FiLM(Head):
    """Feature-wise linear modulation of all modalities but one, and a linear classifier on them.

    Args:
        conditioner: the modality that scales and shifts; null for the first one declared.
        combine: several targets are put side by side ("concat") or added up ("sum", widths must
            agree).
        residual_gamma: the generator predicts γ − 1, as in the original network.

    Raises:
        ConfigError: fewer than two modalities, no such conditioner, or a sum of targets of unequal
            width.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        classes: int,
        conditioner: str | None = None,
        combine: str = "concat",
        residual_gamma: bool = False,
    ) -> None:
        super().__init__(widths, classes)
        require(
            "FiLM",
            choice("combine", combine, ("concat", "sum")),
            flag("residual_gamma", residual_gamma),
        )
        self.conditioner = leading("FiLM", "conditioner", conditioner, widths)
        self.residual_gamma = residual_gamma
        self.targets = {m: w for m, w in widths.items() if m != self.conditioner}
        self._alike = len(set(self.targets.values())) == 1
        scales = next(iter(self.targets.values())) if self._alike else sum(self.targets.values())
        self.blocks[self.conditioner] = nn.Linear(widths[self.conditioner], 2 * scales)
        self.classifier: nn.Module
        if combine == "sum":
            self.classifier = nn.Linear(
                one_width("FiLM with combine 'sum'", self.targets, "use combine 'concat'"), classes
            )
        else:
            self.classifier = BlockLinear(self.targets, classes)

    def unimodal(self, modality: str, features: Tensor) -> Tensor:
        generator = self.blocks[self.conditioner]
        made = generator(features) if modality == self.conditioner else generator.bias.detach()  # type: ignore[operator]
        shown = {
            m: features if m == modality else features.new_zeros(len(features), w)
            for m, w in self.targets.items()
        }
        return self._classify(self._modulated(shown, made))

    def fuse(
        self,
        features: Mapping[str, Tensor],
        logits: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
    ) -> tuple[Tensor, None]:
        like = next(self.classifier.parameters())
        shown = {
            m: features[m] * present[m].unsqueeze(-1)
            if m in features
            else like.new_zeros(len(present[m]), w)
            for m, w in self.targets.items()
        }
        if self.conditioner in features:
            conditioned = present[self.conditioner].unsqueeze(-1)
            modulated = self._modulated(
                shown, self.blocks[self.conditioner](features[self.conditioner])
            )
            shown = {m: torch.where(conditioned, modulated[m], z) for m, z in shown.items()}
        return self._classify(shown), None

    def _modulated(self, shown: Mapping[str, Tensor], made: Tensor) -> dict[str, Tensor]:
        """γ ⊙ z_t + β, with γ and β made by the generator."""
        gamma, beta = made.chunk(2, dim=-1)
        if self.residual_gamma:
            gamma = 1 + gamma
        if self._alike:
            return {m: gamma * z + beta for m, z in shown.items()}
        parts = list(self.targets.values())
        pairs = zip(torch.split(gamma, parts, -1), torch.split(beta, parts, -1), strict=True)
        return {
            m: scale * shown[m] + shift
            for m, (scale, shift) in zip(self.targets, pairs, strict=True)
        }

    def _classify(self, modulated: Mapping[str, Tensor]) -> Tensor:
        together = (
            modulated if isinstance(self.classifier, BlockLinear) else sum(modulated.values())
        )
        logits: Tensor = self.classifier(together)
        return logits
