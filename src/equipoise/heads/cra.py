r"""CRA's head: a cascade of residual autoencoders restores the joint vector, which is classified.

Tran, Liu, Zhou, Jin. Missing Modalities Imputation via Cascaded Residual Autoencoder. CVPR 2017.

$$x_{k+1} = x_k + g_k(x_k) \qquad \hat x = x_B \qquad f = \mathrm{MLP}(\hat x)$$

$x_0$ is the joint vector. The MLP has two hidden layers of 128 units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from equipoise.checks import flag, inside, require
from equipoise.heads.parts import cascade
from equipoise.heads.parts.feedforward import feedforward
from equipoise.heads.parts.imputing import ImputingHead, Restoration


class CRA(ImputingHead):
    """A cascade of residual autoencoders, and a multilayer classifier.

    Args:
        blocks: number of autoencoders.
        layers: widths of the encoder of each, the last one that of its code.
        transition: close the cascade with Linear – ReLU – Linear, as GCNet does.
        dropout: between the layers of the classifier; 0.5 in GCNet.
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
        self.cascade = cascade.Cascade("CRA", width, blocks, layers)
        self.transition = cascade.transition(width) if transition else nn.Identity()
        self.classifier = feedforward([width, 128, 128, classes], dropout=dropout)

    def restore(self, joint: Tensor) -> Restoration:
        restored = self.transition(self.cascade(joint)[0])
        return Restoration(restored, restored)
