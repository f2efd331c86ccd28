r"""Channel: modalities recalibrate each other's channels (MMTM), on the encoders' final features.

Vaezi Joze, Shaban, Iuzzolino, Koishida. MMTM: Multimodal Transfer Module for CNN Fusion. CVPR 2020;
the baseline Channel of the LFM paper.

$$Z = \mathrm{ReLU}\Big(\sum_m s_m W_m^\top + b\Big) \qquad E_m = Z V_m^\top + c_m$$

$$\hat z_m = \kappa \, \sigma(E_m) \odot z_m \qquad f = \mathrm{mean}_m \, v_m(\hat z_m)$$

$s_m$ is the mean of $z_m$ over its positions. In the paper, modules stand between the stages of
convolutional networks. Here one module stands after the encoders, whose features have no positions,
so that $s_m = z_m$. This works with any encoder, and is an extension: the LFM paper has no Channel
row for image and text.

Where modality $j$ is absent, or left out to read another one alone, $s_j$ is the mean stored in
`mean_<j>` (zeros until a mean is stored; the method `channel` stores one), and $f$ is the mean of
the branches of the others. The logits of one modality alone therefore do not depend on the other
modalities. The branch scores of the full pass would depend on them through the gates.

Published code: $\kappa = 1$ and a bottleneck of half the sum of the channels; the paper has
$\kappa = 2$, which makes $E = 0$ the identity, and a quarter. The defaults are the paper's $\kappa$
and the code's bottleneck.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from equipoise.checks import choice, require
from equipoise.heads.base import Head
from equipoise.heads.parts import fusion
from equipoise.heads.parts.block_linear import BlockLinear
from equipoise.heads.parts.presence import only, stacked

BOTTLENECKS = {"code": 2, "paper": 4}  # Σ_m d_m divided by this is the width of Z


class Channel(Head):
    """Squeeze-and-excitation across modalities, a linear classifier per modality, and the mean of
    their logits.

    Args:
        gate_scale: κ, 2 (paper) or 1 (published code).
        bottleneck: width of Z, "code" for half the sum of the feature widths or "paper" for a
            quarter.

    Attributes:
        mean_<modality>: (d_m,), replaces the squeeze of a modality that is absent.
    """

    own_classifiers = True

    def __init__(
        self, widths: Mapping[str, int], classes: int, gate_scale: int = 2, bottleneck: str = "code"
    ) -> None:
        super().__init__(widths, classes)
        require(
            "Channel",
            choice("gate_scale", gate_scale, (1, 2)),
            choice("bottleneck", bottleneck, BOTTLENECKS),
        )
        self.gate_scale = gate_scale
        joint = max(1, sum(widths.values()) // BOTTLENECKS[bottleneck])
        self.squeeze = BlockLinear(widths, joint)
        for modality, width in widths.items():
            parts = {"excitation": nn.Linear(joint, width), "classifier": nn.Linear(width, classes)}
            self.blocks[modality] = nn.ModuleDict(parts)
            self.register_buffer(f"mean_{modality}", torch.zeros(width))

    def unimodal(self, modality: str, features: Tensor) -> Tensor:
        present = only(modality, self.modalities, features)
        return self.branches({modality: features}, present)[modality]

    def fuse(
        self,
        features: Mapping[str, Tensor],
        logits: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
    ) -> tuple[Tensor, Tensor]:
        mixed = {**logits, **self.branches(features, present)}
        values, shown = stacked(
            (mixed[m] for m in self.modalities), (present[m] for m in self.modalities)
        )
        return fusion.weigh(values, fusion.mean_weights(values, shown))

    def branches(
        self, features: Mapping[str, Tensor], present: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Logits {modality: v_m (B, C)} of the modalities in `features`, behind their gates."""
        return self.classify(features, self.gates(features, present))

    def gates(
        self, features: Mapping[str, Tensor], present: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Gates {modality: κ σ(E_m) (B, d_m)} of the modalities in `features`."""
        squeezes = {m: self._squeezed(m, features.get(m), present[m]) for m in self.modalities}
        joint = self.squeeze(squeezes).relu()
        excited = {m: self.blocks[m]["excitation"](joint) for m in features}  # type: ignore[index]
        return {m: self.gate_scale * e.sigmoid() for m, e in excited.items()}

    def classify(
        self, features: Mapping[str, Tensor], gates: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Logits {modality: v_m (B, C)} of features {modality: (B, d_m)} behind these gates."""
        return {m: self.blocks[m]["classifier"](gates[m] * z) for m, z in features.items()}  # type: ignore[index]

    def _squeezed(self, modality: str, features: Tensor | None, present: Tensor) -> Tensor:
        mean: Tensor = self.get_buffer(f"mean_{modality}").expand(len(present), -1)
        return mean if features is None else torch.where(present.unsqueeze(-1), features, mean)
