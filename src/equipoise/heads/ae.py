r"""AE's head: an autoencoder restores the joint vector, and a classifier reads its output.

The multimodal form of GCNet's baseline (github.com/zeroQiaoba/GCNet). With the joint vector $J$:

$$\hat J = \mathrm{ReLU}(\mathrm{decoder}(\mathrm{encoder}(J))) \qquad f = \mathrm{MLP}(\hat J)
\qquad \hat x_m = \mathrm{MLP}_m(\hat J)$$

There is a LeakyReLU between the layers of the autoencoder. The published MLPs have two hidden
layers of 128 units, and so have these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from equipoise.checks import inside, integer_list, require
from equipoise.heads.parts.feedforward import feedforward, xavier
from equipoise.heads.parts.imputing import ImputingHead, Restoration


class AE(ImputingHead):
    """An autoencoder of the joint vector, a classifier of its output, and a decoder per modality.

    Args:
        layers: widths of the autoencoder's layers, the last one that of its code.
        dropout: between the layers of classifier and decoders; 0.5 as published, with which results
            depend on the number of processes.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        classes: int,
        layers: Sequence[int] = (256, 128),
        dropout: float = 0.0,
    ) -> None:
        super().__init__(widths, classes)
        require("AE", integer_list("layers", layers), inside("dropout", dropout, "[0, 1)"))
        width = sum(widths.values())
        sizes = [width, *layers]
        self.autoencoder = nn.Sequential(
            feedforward([*sizes, *sizes[-2::-1]], nn.LeakyReLU),
            nn.ReLU(),
        )
        self.classifier = feedforward([width, 128, 128, classes], dropout=dropout)
        self.decoders = nn.ModuleDict(
            {m: feedforward([width, 128, 128, d], dropout=dropout) for m, d in widths.items()}
        )
        xavier(self.autoencoder)
        xavier(self.classifier)

    def restore(self, joint: Tensor) -> Restoration:
        restored = self.autoencoder(joint)
        return Restoration(restored, restored)

    def estimates(self, joint: Tensor) -> dict[str, Tensor]:
        return {m: decoder(joint) for m, decoder in self.decoders.items()}
