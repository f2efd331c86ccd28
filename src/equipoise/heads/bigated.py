r"""BiGated: one modality opens and closes the hidden units of the others.

Kiela, Grave, Joulin, Mikolov. Efficient Large-Scale Multi-Modal Classification. AAAI 2018, in the
element-wise form of the MLA paper (appendix A.2) and of the code of OGM-GE and MLA. In spite of the
name, no outer product is formed.

$$h_m = z_m W_m^\top + b_m \qquad \tilde h_t = \sigma(h_c) \odot h_t \quad (t \ne c) \qquad
f = [\tilde h_t]_{t \ne c} W_o^\top + b_o$$

There is no activation on $h_t$. With more than two modalities all others pass the same gate and are
concatenated. With `gate: others` each modality passes the gate of the mean of the others,
$\tilde h_t = \sigma(\mathrm{mean}_{j \ne t} h_j) \odot h_t$ (both are our generalisations).

A modality that is absent, or left out to read another one alone, has zero features, hence
$h_m = b_m$; $b_m$ does not learn from such rows.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from equipoise.checks import choice, integer, require
from equipoise.heads.parts.block_linear import BlockLinear
from equipoise.heads.parts.checks import AUTO, leading_modality
from equipoise.heads.parts.joint import JointHead


class BiGated(JointHead):
    """Element-wise gating of hidden features, and a linear classifier on them.

    Args:
        gate: modality that gates the others; "auto" for the first one declared; "others" for a gate
            on every modality.
        combine: how several targets are combined: side by side ("concat") or added up ("sum").
        width: of the hidden features.

    Raises:
        ConfigError: fewer than two modalities, no such gate, or a bad width.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        classes: int,
        gate: str = AUTO,
        combine: str = "concat",
        width: int = 512,
    ) -> None:
        super().__init__(widths, classes)
        require(
            "BiGated", choice("combine", combine, ("concat", "sum")), integer("width", width, 1)
        )
        symmetric = gate == "others" and "others" not in widths
        # Also where every modality is gated: a single modality has no others, and is refused.
        leader = leading_modality("BiGated", "gate", AUTO if symmetric else gate, widths)
        self.gate = None if symmetric else leader
        for modality, size in widths.items():
            self.blocks[modality] = nn.Linear(size, width)
        self.classifier: nn.Module
        if combine == "sum":
            self.classifier = nn.Linear(width, classes)
        else:
            targets = dict.fromkeys((m for m in widths if m != self.gate), width)
            self.classifier = BlockLinear(targets, classes)

    def read(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        hidden = {m: self._hidden(m, features.get(m), present[m]) for m in self.modalities}
        gated = {
            m: self._opening(m, hidden).sigmoid() * h for m, h in hidden.items() if m != self.gate
        }
        concat = isinstance(self.classifier, BlockLinear)
        logits: Tensor = self.classifier(
            gated if concat else torch.stack(list(gated.values())).sum(0)
        )
        return logits

    def _hidden(self, modality: str, features: Tensor | None, present: Tensor) -> Tensor:
        """h_m (B, width); where the modality is absent, its bias, which does not learn from it."""
        block = self.blocks[modality]
        blank = block.bias.detach().expand(len(present), -1)  # type: ignore[operator]
        if features is None:
            return blank
        return torch.where(present.unsqueeze(-1), block(features), blank)

    def _opening(self, target: str, hidden: Mapping[str, Tensor]) -> Tensor:
        """Logits (B, width) of the gate of a target."""
        if self.gate is not None:
            return hidden[self.gate]
        return torch.stack([h for m, h in hidden.items() if m != target]).mean(0)
