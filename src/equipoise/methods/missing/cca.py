r"""CCA: canonical correlation analysis, and a linear classifier on the projections.

Hotelling. Relations between two sets of variates. Biometrika 1936. For classification with missing
modalities as in the baselines of GCNet.
Code: github.com/zeroQiaoba/GCNet

Idea:
    Absent modalities are imputed by the mean of the training rows that have them. Then the
    directions are found in which the modalities correlate most, and a linear classifier is trained
    on the projections. A modality at its mean projects to zero, so an absent one adds nothing to
    the logits. With more than two modalities the head option `multi: mcca` finds the directions of
    all modalities at once instead of pair by pair. Labels have no part in the projections.

    The analysis needs features, so there are two stages. In the fraction `pretrain` of the epochs
    each encoder learns with a linear classifier of its own. Then the encoders are frozen, the
    projections are fitted to the training table in closed form, and the classifier learns in the
    remaining epochs. Encoders without parameters to train skip the first stage; with frozen
    pretrained encoders the method is the published one.

    Validation sees unfitted projections until the second stage: give `patience` more epochs. The
    classifier has to converge in the second stage: with few epochs Adam needs a rate of 1e-2, not
    1e-3. As the encoders learn in a part of the epochs only, a short run trails joint training.

    Two modalities or more. Cost: one forward pass, and a backward pass in the first stage.

Equations:
    For a pair $i, j$ of centred, imputed features $X_i, X_j$ of $N$ rows:

    $$\Sigma_{ii} = X_i^\top X_i / (N - 1) + r I, \qquad \Sigma_{ij} = X_i^\top X_j / (N - 1)$$

    $$T = \Sigma_{ii}^{-1/2} \, \Sigma_{ij} \, \Sigma_{jj}^{-1/2} = U S V^\top$$

    $$W_i = \Sigma_{ii}^{-1/2} \, U_{:,1..k}, \qquad W_j = \Sigma_{jj}^{-1/2} \, V_{:,1..k}$$

    with the correlations $S_1 \ge \dots \ge S_k$. A sample is represented by $x_i W_i$ and
    $x_j W_j$ of all pairs, $M (M - 1) k$ numbers in all.

Where published code departs:
    it imputes the mean of all splits and scales each
    split by itself, which looks at test samples; here
    all statistics are those of training rows that
    have the modality                                    not offered
    the classifier is a linear SVM with C = 0.01; here
    the same squared hinge loss, one class against the
    rest, is minimised by the run's optimiser, whose
    weight decay takes the place of C                    `loss: svm`
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional as F

from equipoise.batch import Batch
from equipoise.checks import choice, positive, require
from equipoise.heads.cca import CCA as Head
from equipoise.heads.cca import CorrelatedHead
from equipoise.methods.parts.canonical import fit_projections
from equipoise.methods.parts.frozen_encoders import FrozenEncoders
from equipoise.methods.parts.losses import cross_entropy, unimodal_loss
from equipoise.methods.parts.table_values import FeatureTable, read_features
from equipoise.training.context import Context

CLASSIFIER_LOSSES = ("logistic", "svm")


def hinge_loss(logits: Tensor, label: Tensor) -> Tensor:
    """Squared hinge loss Σ_c max(0, 1 − t_c f_c)² (B,) of logits f (B, C).

    t_c is 1 for the class of the sample, by `label` int64 (B,), and −1 for the others.
    """
    sign = 2 * F.one_hot(label, logits.shape[1]).to(logits.dtype) - 1
    return (1 - sign * logits).clamp_min(0).square().sum(1)


class CCA(FrozenEncoders[CorrelatedHead]):
    """Canonical correlation analysis.

    Args:
        ridge: r, added to the diagonals of the covariances.
        loss: of the classifier, "logistic" (cross-entropy) or "svm" (squared hinge, one class
            against the rest).
        pretrain: fraction of the epochs that train the encoders, before they are frozen.
    """

    name = "cca"
    kind: type[CorrelatedHead] = Head

    def __init__(self, ridge: float = 1e-4, loss: str = "logistic", pretrain: float = 0.5) -> None:
        super().__init__(pretrain)
        require(
            type(self).__name__, positive("ridge", ridge), choice("loss", loss, CLASSIFIER_LOSSES)
        )
        self.ridge = ridge
        self.classifier = loss

    def setup(self, ctx: Context) -> None:
        """Warn of two modalities that no training sample has together.

        Raises:
            ConfigError: another head.
        """
        super().setup(ctx)
        here = ctx.train.table.present
        pairs = combinations(sorted(here), 2)
        self.apart = [(i, j) for i, j in pairs if not (here[i] & here[j]).any()]
        if self.apart:
            apart = ", ".join(f"{i!r} and {j!r}" for i, j in self.apart)
            warnings.warn(
                f"{self.name}: no training sample has both {apart}: what they have in common "
                "cannot be learned",
                stacklevel=2,
            )

    def on_phase_start(self, ctx: Context) -> None:
        if ctx.position.phase == 1:
            table = read_features(ctx)
            if len(self.apart) < math.comb(len(table.present), 2):
                self.learn(table, ctx)
            correlations = fit_projections(self.head(ctx.model), table, self.ridge)
            if correlations.numel():
                ctx.log(correlation=correlations.mean())

    def learn(self, table: FeatureTable, ctx: Context) -> None:
        """Learn representations of the features, before projections of them are fitted.

        CCA has nothing to learn here: it projects the features themselves. This is not called where
        no two modalities are ever present together, since weight decay alone would shrink a network
        to nothing.
        """

    def encoder_loss(self, features: Mapping[str, Tensor], batch: Batch, ctx: Context) -> Tensor:
        output = self.head(ctx.model).pretraining(features, batch.present)
        return torch.stack([unimodal_loss(m, output, batch, ctx) for m in ctx.training]).sum()

    def fit(self, features: Mapping[str, Tensor], batch: Batch, ctx: Context) -> None:
        head = self.head(ctx.model)
        # No gradient: the projections were fitted to these representations, which must not move.
        with torch.no_grad():
            projected = {m: head.branch(m).project(z) for m, z in features.items()}
        logits = head.classify(projected, batch.present)
        if self.classifier == "svm":
            losses = hinge_loss(logits, batch.label)
        else:
            losses = cross_entropy(logits, batch.label)
        ctx.backward(ctx.sample_mean(losses))
        ctx.update()
