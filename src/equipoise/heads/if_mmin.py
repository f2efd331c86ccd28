r"""IF-MMIN's head: MMIN's cascade with features that all modalities share fed into every block.

Zuo, Liu, Zhao, Gao, Li. Exploiting Modality-Invariant Feature for Robust Multimodal Emotion
Recognition with Missing Modalities. 2022.

$$I = [S(E_1); \dots; S(E_M)] \qquad \hat E, c = \mathrm{cascade}(E, I) \qquad
\hat E \leftarrow \tau(\hat E) \qquad f = \mathrm{MLP}(c)$$

with one encoder $S$ for all modalities; the rest is as in MMIN. An absent modality has $E_m = 0$,
hence the constant $S(0)$.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from equipoise.heads.parts.checks import one_width
from equipoise.heads.parts.imagining import ImaginingHead
from equipoise.heads.parts.imputing import Restoration


class IFMMIN(ImaginingHead):
    """A cascade of residual autoencoders led by invariant features, and a classifier of its codes.

    `teacher` classifies [E; I] of complete samples, in training only.

    Args:
        blocks: number of autoencoders.
        layers: widths of the encoder of each, the last one that of its code.
        cascade: input of a block: "current" (invariant features and the last correction), "legacy"
            (the joint vector and one more invariant features for each block) or "residual" (as
            MMIN, plus the invariant features); see `Cascade`.
        dropout: between the layers of the classifier; 0.5 as published.

    Raises:
        ConfigError: the encoders' feature widths differ, or an option is out of its range.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        classes: int,
        blocks: int = 5,
        layers: Sequence[int] = (256, 128, 64),
        cascade: str = "current",
        dropout: float = 0.0,
    ) -> None:
        taught = {m: 2 * d for m, d in widths.items()}
        super().__init__(widths, classes, taught, blocks, layers, cascade, dropout)
        each = one_width("IFMMIN", widths)
        self.invariant = nn.Sequential(
            nn.Linear(each, each), nn.LeakyReLU(), nn.Linear(each, each), nn.LeakyReLU()
        )

    def invariants(self, joint: Tensor) -> dict[str, Tensor]:
        """Invariant features S(E_m), {modality: (B, d)}, of every part of a joint vector (B, D)."""
        return {m: self.invariant(part) for m, part in self.split(joint).items()}

    def restore(self, joint: Tensor) -> Restoration:
        estimate, codes = self.cascade(joint, self.joint(self.invariants(joint), len(joint)))
        return Restoration(codes, self.transition(estimate))
