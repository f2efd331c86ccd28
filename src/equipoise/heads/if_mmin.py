"""IF-MMIN's head: MMIN's cascade, with features that all modalities share fed into every block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from equipoise.heads.parts.checks import one_width
from equipoise.heads.parts.imagining import ImaginingHead
from equipoise.heads.parts.imputing import Restoration


class IFMMIN(ImaginingHead):
    """I = [S(E_1); …; S(E_M)] with one encoder S for all modalities; Ê = τ(cascade(E, I)), logits
    from the codes.

    An absent modality has E_m = 0, hence the constant S(0). `teacher` classifies [E; I] of complete
    samples, in training only.

    Args:
        cascade: how a block's input is made: "current", "legacy" or "residual", see `Cascade`.
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
        super().__init__(
            widths, classes, {m: 2 * d for m, d in widths.items()}, blocks, layers, cascade, dropout
        )
        each = one_width("IFMMIN", widths)
        self.invariant = nn.Sequential(
            nn.Linear(each, each), nn.LeakyReLU(), nn.Linear(each, each), nn.LeakyReLU()
        )

    def invariants(self, joint: Tensor) -> dict[str, Tensor]:
        """{modality: (B, d)}, S of every part of a joint vector."""
        return {m: self.invariant(part) for m, part in self.split(joint).items()}

    def restore(self, joint: Tensor) -> Restoration:
        estimate, codes = self.cascade(joint, self.joint(self.invariants(joint), len(joint)))
        return Restoration(codes, self.transition(estimate))
