"""DCCAE: deep canonically correlated autoencoders, and a linear classifier on the projections.

Wang, Arora, Livescu, Bilmes. On Deep Multi-View Representation Learning. ICML 2015. Code of others:
GCNet's baselines (github.com/zeroQiaoba/GCNet)

DCCA whose networks must also keep what the features hold: a decoder per modality reads them back,

    L = L_DCCA + λ Σ_m mean over the rows that have m of ‖dec_m(g_m(z_m)) − z_m‖²/d_m

λ = 0 is DCCA. The published code reconstructs imputed features too; here absent rows have nothing
to reconstruct. All else is as in DCCA: the networks see the features of the whole training table,
apart from the run's minibatches. Any number of modalities from two on. Cost: as DCCA, with twice
the networks.
"""

from __future__ import annotations

from torch import Tensor

from equipoise.checks import not_negative, require
from equipoise.heads.cca import CorrelatedHead
from equipoise.heads.dcca import DCCAE as Head
from equipoise.methods.missing.dcca import DCCA, correlation_loss
from equipoise.methods.parts.table_values import FeatureTable


def reconstruction_loss(decoded: Tensor, features: Tensor, present: Tensor) -> Tensor:
    """Mean squared error (B, d) over the present rows; 0 without any."""
    errors = (decoded - features).square().mean(1)
    return (errors * present).sum() / present.sum().clamp_min(1)


class DCCAE(DCCA):
    """DCCA with autoencoders.

    Args:
        weight: λ of the reconstruction; all other options are those of DCCA.
    """

    name = "dccae"
    kind = Head

    def __init__(
        self,
        ridge: float = 1e-4,
        deep_ridge: float = 1e-3,
        weight: float = 1e-3,
        passes: int = 100,
        samples: int = 1024,
        lr: float = 1e-3,
        loss: str = "logistic",
        pretrain: float = 0.5,
    ) -> None:
        super().__init__(ridge, deep_ridge, passes, samples, lr, loss, pretrain)
        require("DCCAE", not_negative("weight", weight))
        self.weight = weight

    def objective(self, head: CorrelatedHead, part: FeatureTable) -> Tensor:
        if self.weight == 0:
            return super().objective(head, part)
        assert isinstance(head, Head)
        outputs = {m: head.represent(m, x) for m, x in part.features.items()}
        loss = correlation_loss(outputs, part.present, self.deep_ridge)
        for m, x in part.features.items():
            loss = loss + self.weight * reconstruction_loss(
                head.decode(m, outputs[m]), x, part.present[m]
            )
        return loss
