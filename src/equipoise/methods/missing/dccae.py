r"""DCCAE: deep canonically correlated autoencoders, and a linear classifier on the projections.

Wang, Arora, Livescu, Bilmes. On Deep Multi-View Representation Learning. ICML 2015.
Code of others: GCNet's baselines (github.com/zeroQiaoba/GCNet)

Idea:
    DCCA whose networks must also keep the content of the features: a decoder for each modality
    reads the features back from the outputs. All else is as in DCCA: the networks see the features
    of the whole training table, apart from the run's minibatches.

    Two modalities or more. Cost: as DCCA, with twice the networks.

Equations:
    With the mean over the rows that have modality $m$:

    $$L = L_{\mathrm{DCCA}}
        + \lambda \sum_m \mathrm{mean}_n \, \lVert \mathrm{dec}_m(g_m(z_{nm})) - z_{nm} \rVert^2
        / d_m$$

    $\lambda = 0$ is DCCA.

Where published code departs:
    imputed features are reconstructed too; here absent
    rows have nothing to reconstruct                     not offered
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from equipoise.checks import not_negative, require
from equipoise.heads.cca import CorrelatedHead
from equipoise.heads.dcca import DCCAE as Head
from equipoise.methods.missing.dcca import DCCA, correlation_loss
from equipoise.methods.parts.table_values import FeatureTable
from equipoise.registry import POSITIVE, Effect


def reconstruction_loss(decoded: Tensor, features: Tensor, present: Tensor) -> Tensor:
    """Mean squared error over the present rows, a scalar; 0 if there are none.

    Args:
        decoded: (B, d).
        features: (B, d).
        present: bool (B,).
    """
    errors = (decoded - features).square().mean(1)
    return (errors * present).sum() / present.sum().clamp_min(1)


class DCCAE(DCCA):
    """DCCA with autoencoders.

    Args:
        ridge: r of the linear CCA at the end, added to the diagonals of its covariances.
        deep_ridge: r of the networks' loss.
        weight: λ, the weight of the reconstruction; 0 is DCCA.
        passes: number of times that the networks see the training table.
        samples: rows that the networks see at a time, at least 2.
        lr: learning rate of the networks' Adam.
        loss: of the classifier, "logistic" (cross-entropy) or "svm" (squared hinge, one class
            against the rest).
        pretrain: fraction of the epochs that train the encoders, before they are frozen.
    """

    effect: ClassVar[Effect] = {**DCCA.effect, "weight": ("passes", POSITIVE)}

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
            decoded = head.decode(m, outputs[m])
            loss = loss + self.weight * reconstruction_loss(decoded, x, part.present[m])
        return loss
