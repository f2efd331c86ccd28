"""Base of the heads of MMIN and IF-MMIN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from equipoise.checks import inside, require
from equipoise.heads.concat import Concat
from equipoise.heads.parts.cascade import Cascade, transition
from equipoise.heads.parts.feedforward import feedforward, xavier
from equipoise.heads.parts.imputing import ImputingHead


class ImaginingHead(ImputingHead):
    """A cascade imagines the absent features, and its codes are classified.

    Two more layers τ close the cascade. The classifier has two hidden layers of 128 units and reads
    the codes of all blocks side by side.

    Args:
        widths: {modality: feature width d_m}.
        classes: number of classes C.
        taught: {modality: width of the input of `teacher`}.
        blocks: number B of autoencoders.
        layers: widths of the encoder of each block, the last one that of its code.
        form: of the cascade, see `Cascade`.
        dropout: between the layers of the classifier; 0.5 as published.

    Attributes:
        teacher: classifies complete samples; used in training only.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        classes: int,
        taught: Mapping[str, int],
        blocks: int,
        layers: Sequence[int],
        form: str,
        dropout: float,
    ) -> None:
        super().__init__(widths, classes)
        owner = type(self).__name__
        width = sum(widths.values())
        require(owner, inside("dropout", dropout, "[0, 1)"))
        self.teacher = Concat(taught, classes)
        self.cascade = Cascade(owner, width, blocks, layers, form)
        self.transition = transition(width)
        self.classifier = feedforward([blocks * layers[-1], 128, 128, classes], dropout=dropout)
        xavier(self.classifier)
