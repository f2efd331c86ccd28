"""CRA's head: a cascade of residual autoencoders fills the joint vector in, a classifier reads the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from equipoise.checks import flag, inside, require
from equipoise.heads.parts.cascade import Cascade, transition
from equipoise.heads.parts.feedforward import feedforward
from equipoise.heads.parts.imputing import ImputingHead, Restoration


class CRA(ImputingHead):
    """x̂ = x + Σ_k g_k(x_k), logits MLP(x̂) with two hidden layers of 128 units.

    Args:
        blocks: number of autoencoders.
        layers: widths of each down to its code.
        transition: close the cascade by Linear – ReLU – Linear, as GCNet's version does.
        dropout: between the layers of the classifier; 0.5 in GCNet's version.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        classes: int,
        blocks: int = 3,
        layers: Sequence[int] = (256, 128),
        transition: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(widths, classes)
        require("CRA", flag("transition", transition), inside("dropout", dropout, "[0, 1)"))
        width = sum(widths.values())
        self.cascade = Cascade("CRA", width, blocks, layers)
        self.transition = _close(width) if transition else nn.Identity()
        self.classifier = feedforward([width, 128, 128, classes], dropout=dropout)

    def restore(self, joint: Tensor) -> Restoration:
        restored = self.transition(self.cascade(joint)[0])
        return Restoration(restored, restored)


_close = transition  # inside the class the name is that of the option
