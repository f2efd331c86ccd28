"""MMIN's head: a cascade of residual autoencoders imagines what is absent, and its codes are classified."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from equipoise.checks import flag, require
from equipoise.heads.parts.cascade import Cascade, transition
from equipoise.heads.parts.imagining import ImaginingHead
from equipoise.heads.parts.imputing import Restoration


class MMIN(ImaginingHead):
    """Ê = τ(cascade(E)); logits from the codes of all blocks.

    `teacher` classifies the features of complete samples and `backward_cascade` imagines E again
    from Ê; both serve training only.

    Args:
        share_weight: imagine back with the same cascade.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        classes: int,
        blocks: int = 5,
        layers: Sequence[int] = (256, 128, 64),
        share_weight: bool = False,
        dropout: float = 0.0,
    ) -> None:
        require("MMIN", flag("share_weight", share_weight))
        super().__init__(widths, classes, widths, blocks, layers, "residual", dropout)
        width = sum(widths.values())
        self.share_weight = share_weight
        if not share_weight:
            self.backward_cascade = Cascade("MMIN", width, blocks, layers)
            self.backward_transition = transition(width)

    def restore(self, joint: Tensor) -> Restoration:
        estimate, codes = self.cascade(joint)
        return Restoration(codes, self.transition(estimate))

    def imagine_back(self, imagined: Tensor) -> Tensor:
        """E' (B, D), the student's joint vector as imagined from Ê."""
        if self.share_weight:
            return self.restore(imagined).joint
        back: Tensor = self.backward_transition(self.backward_cascade(imagined)[0])
        return back
