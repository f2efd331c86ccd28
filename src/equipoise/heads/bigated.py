"""BiGated: one modality opens and closes the hidden units of the others.

Kiela, Grave, Joulin, Mikolov. Efficient Large-Scale Multi-Modal Classification. AAAI 2018, in the
element-wise form of the MLA paper (appendix A.2) and of the code of OGM-GE and MLA; no outer
product is formed, whatever the name says.

    h_m = z_m W_mᵀ + b_m        h̃_t = σ(h_c) ⊙ h_t for t ≠ c        f = [h̃_t]_{t ≠ c} W_oᵀ + b_o

There is no activation on h_t. With more than two modalities all others pass the same gate and are
concatenated, or, with `gate: others`, each passes the gate of the mean of the others, h̃_t =
σ(mean_{j ≠ t} h_j) ⊙ h_t (both our generalisations).

A modality that is absent, or left out to read another one alone, has zero features, hence h_m =
b_m; it does not learn from such rows.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from equipoise.checks import choice, require, whole
from equipoise.heads.parts.block_linear import BlockLinear
from equipoise.heads.parts.checks import leading
from equipoise.heads.parts.joint import JointHead


class BiGated(JointHead):
    """Element-wise gating of hidden features, and a linear classifier on them.

    Args:
        gate: the modality that gates; null for the first one declared; "others" for a gate on every
            modality.
        combine: several targets are put side by side ("concat") or added up ("sum").
        width: of the hidden features.

    Raises:
        ConfigError: fewer than two modalities, no such gate, or a bad width.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        classes: int,
        gate: str | None = None,
        combine: str = "concat",
        width: int = 512,
    ) -> None:
        super().__init__(widths, classes)
        require("BiGated", choice("combine", combine, ("concat", "sum")), whole("width", width, 1))
        symmetric = gate == "others" and "others" not in widths
        first = leading("BiGated", "gate", None if symmetric else gate, widths)
        self.gate = None if symmetric else first
        for modality, size in widths.items():
            self.blocks[modality] = nn.Linear(size, width)
        targets = dict.fromkeys((m for m in widths if m != self.gate), width)
        self.classifier = (
            BlockLinear(targets, classes) if combine == "concat" else nn.Linear(width, classes)
        )

    def read(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        hidden = {m: self._hidden(m, features.get(m), present[m]) for m in self.modalities}
        gated = {
            m: self._opening(m, hidden).sigmoid() * h for m, h in hidden.items() if m != self.gate
        }
        logits: Tensor = self.classifier(
            gated
            if isinstance(self.classifier, BlockLinear)
            else torch.stack(list(gated.values())).sum(0)
        )
        return logits

    def _hidden(self, modality: str, features: Tensor | None, present: Tensor) -> Tensor:
        """h_m, and where the modality is absent its bias, which does not learn from that row."""
        block = self.blocks[modality]
        blank = block.bias.detach().expand(len(present), -1)  # type: ignore[operator]
        return (
            blank
            if features is None
            else torch.where(present.unsqueeze(-1), block(features), blank)
        )

    def _opening(self, target: str, hidden: Mapping[str, Tensor]) -> Tensor:
        if self.gate is not None:
            return hidden[self.gate]
        return torch.stack([h for m, h in hidden.items() if m != target]).mean(0)
