r"""Heads of DCCA and DCCAE: a linear classifier on projections of learned representations.

Andrew, Arora, Bilmes, Livescu. Deep Canonical Correlation Analysis. ICML 2013.
Wang, Arora, Livescu, Bilmes. On Deep Multi-View Representation Learning. ICML 2015 (DCCAE).

$$p_m = (g_m(z_m) - \mu_m) B_m \qquad f = \sum_m p_m W_m^\top + b$$

as in CCA's head, where $g_m$ has four linear layers with ReLU between. DCCAE adds decoders back to
the features.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from equipoise.checks import choice, integer, require
from equipoise.heads.cca import CorrelatedHead
from equipoise.heads.parts.feedforward import feedforward


class DCCA(CorrelatedHead):
    """Canonical projections of representations that a network per modality learns.

    Args:
        components: width k of the representations.
        hidden: width of the hidden layers of the networks. GCNet tries 256 to 1024, on features of
            512 to 1024 numbers; 128 suits encoders of the usual width of 128.
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
            integer("components", components, 1),
            integer("hidden", hidden, 1),
            choice("multi", multi, ("pairwise", "mcca", "none")),
        )
        networks = {
            m: feedforward([width, hidden, hidden, hidden, components])
            for m, width in widths.items()
        }
        sizes = dict.fromkeys(widths, components)
        super().__init__(widths, classes, networks, sizes, components, multi)
        if self.decodes:
            for m, width in widths.items():
                decoder = feedforward([components, hidden, hidden, hidden, width])
                self.branch(m).add_module("decoder", decoder)


class DCCAE(DCCA):
    """DCCA's head with a decoder for each modality, for training only.

    Args:
        components: width k of the representations.
        hidden: width of the hidden layers of networks and decoders. GCNet tries 256 to 1024, on
            features of 512 to 1024 numbers; 128 suits encoders of the usual width of 128.
        multi: "none" classifies the representations, each number scaled to unit variance;
            "pairwise" or "mcca" fits a linear CCA of them at the end.
    """

    decodes = True

    def decode(self, modality: str, representation: Tensor) -> Tensor:
        """Decode a representation (B, k) into features (B, d_m)."""
        decoder = self.branch(modality).get_submodule("decoder")
        assert isinstance(decoder, nn.Sequential)
        features: Tensor = decoder(representation)
        return features
