"""Heads that classify canonical projections of learned representations: DCCA's, and DCCAE's with decoders."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from equipoise.checks import choice, require, whole
from equipoise.heads.cca import CorrelatedHead
from equipoise.heads.parts.feedforward import feedforward


class DCCA(CorrelatedHead):
    """Projections of g_m(z_m), where g_m has four linear layers d_m → hidden → hidden → hidden → k
    and ReLU between.

    Args:
        components: width k of the representations.
        hidden: width of the layers between. GCNet tries 256 to 1024, on features of 512 to 1024
            numbers; 128 is made for encoders of the usual 128.
        multi: "none" classifies the representations, each number scaled to unit variance;
            "pairwise" or "mcca" fits a linear CCA of them at the end.
    """

    decodes = False

    def __init__(
        self,
        widths: Mapping[str, int],
        classes: int,
        components: int = 10,
        hidden: int = 128,
        multi: str = "none",
    ) -> None:
        owner = type(self).__name__
        require(
            owner,
            whole("components", components, 1),
            whole("hidden", hidden, 1),
            choice("multi", multi, ("pairwise", "mcca", "none")),
        )
        networks = {
            m: feedforward([width, hidden, hidden, hidden, components])
            for m, width in widths.items()
        }
        super().__init__(
            widths, classes, networks, dict.fromkeys(widths, components), components, multi
        )
        if self.decodes:
            for m, width in widths.items():
                self.branch(m).add_module(
                    "decoder", feedforward([components, hidden, hidden, hidden, width])
                )


class DCCAE(DCCA):
    """DCCA's head with a decoder k → hidden → hidden → hidden → d_m for each modality, for training only."""

    decodes = True

    def decode(self, modality: str, representation: Tensor) -> Tensor:
        """Features (B, d_m) of a representation (B, k)."""
        decoder = self.branch(modality).get_submodule("decoder")
        assert isinstance(decoder, nn.Sequential)
        features: Tensor = decoder(representation)
        return features
