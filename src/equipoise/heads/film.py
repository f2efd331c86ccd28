r"""FiLM: one modality scales and shifts the features of the others (Affine in the tables of LFM).

Perez, Strub, de Vries, Dumoulin, Courville. FiLM: Visual Reasoning with a General Conditioning
Layer. AAAI 2018, as a fusion of features in the MLA paper (appendix A.2).

$$[\gamma; \beta] = z_c W_g^\top + b_g \qquad \hat z_t = \gamma \odot z_t + \beta
\quad (t \ne c) \qquad f = [\hat z_t]_{t \ne c} W_o^\top + b_o$$

The conditioner $c$ reaches the classifier only through $\gamma$ and $\beta$. With more than one
target, all share $\gamma$ and $\beta$ where their widths agree, and otherwise each has its own; the
modulated targets are concatenated (our generalisation).

One modality alone: the features of the others are zeros (MLA). The conditioner then acts through
the shift only. A target meets the constant modulation $b_\gamma, b_\beta$, so that its prediction
is close to chance; these biases do not learn from it. In a row that lacks the conditioner there is
no modulation ($\gamma = 1, \beta = 0$). An absent target is zeros, hence $\beta$.

Published code: none of the multimodal ports adds 1 to $\gamma$ as the original network does
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
from equipoise.heads.parts.checks import AUTO, leading_modality, one_width


class FiLM(Head):
    """Feature-wise linear modulation of all modalities but one, and a linear classifier on them.

    Args:
        conditioner: modality that scales and shifts the others; "auto" for the first one declared.
        combine: how several targets are combined: side by side ("concat") or added up ("sum", whose
            widths must agree).
        residual_gamma: let the generator predict γ − 1, as in the original network.

    Raises:
        ConfigError: fewer than two modalities, no such conditioner, or a sum of targets of unequal
            width.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        classes: int,
        conditioner: str = AUTO,
        combine: str = "concat",
        residual_gamma: bool = False,
    ) -> None:
        super().__init__(widths, classes)
        require(
            "FiLM",
            choice("combine", combine, ("concat", "sum")),
            flag("residual_gamma", residual_gamma),
        )
        self.conditioner = leading_modality("FiLM", "conditioner", conditioner, widths)
        self.residual_gamma = residual_gamma
        self.targets = {m: w for m, w in widths.items() if m != self.conditioner}
        self._alike = len(set(self.targets.values())) == 1
        scales = next(iter(self.targets.values())) if self._alike else sum(self.targets.values())
        self.blocks[self.conditioner] = nn.Linear(widths[self.conditioner], 2 * scales)
        self.classifier: nn.Module
        if combine == "sum":
            width = one_width("FiLM with combine 'sum'", self.targets, "use combine 'concat'")
            self.classifier = nn.Linear(width, classes)
        else:
            self.classifier = BlockLinear(self.targets, classes)

    def unimodal(self, modality: str, features: Tensor) -> Tensor:
        generator = self.blocks[self.conditioner]
        # Detached: otherwise the biases would learn to replace the conditioner.
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
            made = self.blocks[self.conditioner](features[self.conditioner])
            modulated = self._modulated(shown, made)
            shown = {m: torch.where(conditioned, modulated[m], z) for m, z in shown.items()}
        return self._classify(shown), None

    def _modulated(self, shown: Mapping[str, Tensor], made: Tensor) -> dict[str, Tensor]:
        """γ ⊙ z_t + β of each target, with γ and β from the output of the generator."""
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
        concat = isinstance(self.classifier, BlockLinear)
        logits: Tensor = self.classifier(modulated if concat else sum(modulated.values()))
        return logits
