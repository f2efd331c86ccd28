"""Channel: modalities recalibrate each other's channels (MMTM), on the encoders' final features.

Vaezi Joze, Shaban, Iuzzolino, Koishida. MMTM: Multimodal Transfer Module for CNN Fusion. CVPR 2020;
the baseline Channel of the LFM paper.

    Z = ReLU(Σ_m s_m W_mᵀ + b)        E_m = Z V_mᵀ + c_m        ẑ_m = κ σ(E_m) ⊙ z_m        f = mean_m v_m(ẑ_m)

s_m is the mean of z_m over its positions. Published, modules stand between the stages of
convolutional networks; here one module stands after the encoders, whose features are maps without
positions, so that s_m = z_m. This works with any encoder, and is an extension: the LFM paper has no
Channel row for image and text.

Where modality j is absent, or left out to read another one alone, s_j is the mean stored in
`mean_<j>` (zeros until somebody stores one; the method `channel` does), and f is the mean of the
others' branches. The branch scores of the full pass would have seen the other modalities through
the gates; the logits of one modality here have not.

Published code: κ = 1 and a bottleneck of ΣC/2; the paper has κ = 2, which makes E = 0 the identity,
and ΣC/4. The defaults are the paper's κ and the code's bottleneck.
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

SHARES = {"code": 2, "paper": 4}  # the bottleneck is ΣC divided by it


class Channel(Head):
    """Squeeze-and-excitation across modalities, a linear classifier per modality, and the mean of
    their logits.

    Args:
        gate_scale: κ, 2 (paper) or 1 (published code).
        bottleneck: width of Z, "code" for ΣC/2 or "paper" for ΣC/4.

    Attributes:
        mean_<modality>: (d_m,), what stands for the squeeze of a modality that is not there.
    """

    own_classifiers = True

    def __init__(
        self, widths: Mapping[str, int], classes: int, gate_scale: int = 2, bottleneck: str = "code"
    ) -> None:
        super().__init__(widths, classes)
        require(
            "Channel",
            choice("gate_scale", gate_scale, (1, 2)),
            choice("bottleneck", bottleneck, SHARES),
        )
        self.gate_scale = gate_scale
        joint = max(1, sum(widths.values()) // SHARES[bottleneck])
        self.squeeze = BlockLinear(widths, joint)
        for modality, width in widths.items():
            parts = {"excitation": nn.Linear(joint, width), "classifier": nn.Linear(width, classes)}
            self.blocks[modality] = nn.ModuleDict(parts)
            self.register_buffer(f"mean_{modality}", torch.zeros(width))

    def unimodal(self, modality: str, features: Tensor) -> Tensor:
        return self.branches({modality: features}, only(modality, self.modalities, features))[
            modality
        ]

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
        """{modality: v_m (B, C)} of the modalities in `features`, each having seen the others through its gate."""
        return self.classify(features, self.gates(features, present))

    def gates(
        self, features: Mapping[str, Tensor], present: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """{modality: κ σ(E_m) (B, d_m)} of the modalities in `features`."""
        squeezes = {m: self._squeezed(m, features.get(m), present[m]) for m in self.modalities}
        joint = self.squeeze(squeezes).relu()
        excited = {m: self.blocks[m]["excitation"](joint) for m in features}  # type: ignore[index]
        return {m: self.gate_scale * e.sigmoid() for m, e in excited.items()}

    def classify(
        self, features: Mapping[str, Tensor], gates: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """{modality: v_m (B, C)} of the features behind these gates."""
        return {m: self.blocks[m]["classifier"](gates[m] * z) for m, z in features.items()}  # type: ignore[index]

    def _squeezed(self, modality: str, features: Tensor | None, present: Tensor) -> Tensor:
        mean: Tensor = self.get_buffer(f"mean_{modality}").expand(len(present), -1)
        return mean if features is None else torch.where(present.unsqueeze(-1), features, mean)
