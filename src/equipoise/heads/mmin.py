r"""MMIN's head: a cascade of residual autoencoders imagines features; its codes are classified.

Zhao, Li, Jin. Missing Modality Imagination Network for Emotion Recognition with Uncertain Missing
Modalities. ACL-IJCNLP 2021.

$$\hat E, c = \mathrm{cascade}(E) \qquad \hat E \leftarrow \tau(\hat E) \qquad f = \mathrm{MLP}(c)$$

$E$ is the joint vector, $\tau$ the two layers that close the cascade, and $c$ holds the codes of
all blocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from equipoise.checks import flag, require
from equipoise.heads.parts.cascade import Cascade, transition
from equipoise.heads.parts.imagining import ImaginingHead
from equipoise.heads.parts.imputing import Restoration


class MMIN(ImaginingHead):
    """A cascade of residual autoencoders, and a classifier of its codes.

    `teacher` classifies the features of complete samples, and `backward_cascade` imagines E from Ê.
    Both are used in training only.

    Args:
        blocks: number of autoencoders.
        layers: widths of the encoder of each, the last one that of its code.
        share_weight: imagine the input back with the same cascade instead of a second one.
        dropout: between the layers of the classifier; 0.5 as published.
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
        """E' (B, D), the joint vector of the student imagined from Ê (B, D)."""
        if self.share_weight:
            return self.restore(imagined).joint
        back: Tensor = self.backward_transition(self.backward_cascade(imagined)[0])
        return back
