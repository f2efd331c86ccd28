"""CCA: canonical correlation analysis, and a linear classifier on the projections.

Hotelling. Relations between two sets of variates. Biometrika 1936. For classification with
modalities missing as in GCNet's baselines: github.com/zeroQiaoba/GCNet

Absent modalities are imputed by the mean of the training rows that have them; then the directions
are sought in which the modalities correlate most. For a pair i, j of centred, imputed features,

    Σ_ii = X_iᵀX_i/(N − 1) + rI,  Σ_ij = X_iᵀX_j/(N − 1),  T = Σ_ii^−½ Σ_ij Σ_jj^−½ = U S Vᵀ
    W_i = Σ_ii^−½ U_{:,1..k},     W_j = Σ_jj^−½ V_{:,1..k},  correlations S_1 ≥ … ≥ S_k

A sample is represented by x_i W_i and x_j W_j of all pairs, M(M − 1)k numbers, on which a linear
classifier is trained. A modality at its mean projects to zero, and so an absent one adds nothing to
the logits. With more than two modalities the head's `multi: mcca` seeks the directions of all at
once instead of pair by pair.

The analysis wants features, so there are two stages: in the share `pretrain` of the epochs each
encoder learns with a linear classifier of its own; then encoders are frozen, the projections are
fitted to the training table in closed form, and the classifier learns in the epochs that are left.
Encoders without parameters to train leave the first stage out; with pretrained frozen ones the
method is the published one. Labels have no part in the projections. Validation looks at projections
that have not been fitted until then: give `patience` more epochs.

GCNet imputes the mean of all splits and scales each split for itself, which looks at the test
samples; here all statistics are those of training rows that have the modality. It trains a linear
SVM with C = 0.01; here `loss: svm` is the same squared hinge loss, one class against the rest, by
the run's optimiser, whose weight decay takes the part of C. That classifier is to converge in the
second stage: with few epochs Adam needs a rate of 1e-2, not 1e-3. As the encoders learn in a part
of the epochs only, a short run trails joint training. Any number of modalities from two on.
Cost: one forward pass, a backward pass in the first stage.
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

LOSSES = ("logistic", "svm")


def hinge_loss(logits: Tensor, label: Tensor) -> Tensor:
    """Σ_c max(0, 1 − t_c f_c)² (B,), t_c = 1 for the sample's class and −1 for the others."""
    sign = 2 * F.one_hot(label, logits.shape[1]).to(logits.dtype) - 1
    return (1 - sign * logits).clamp_min(0).square().sum(1)


class CCA(FrozenEncoders[CorrelatedHead]):
    """Canonical correlation analysis.

    Args:
        ridge: r on the covariances.
        loss: of the classifier, "logistic" (cross-entropy) or "svm" (squared hinge, one class
            against the rest).
        pretrain: share of the epochs that train the encoders, before they are frozen.
    """

    name = "cca"
    kind: type[CorrelatedHead] = Head

    def __init__(self, ridge: float = 1e-4, loss: str = "logistic", pretrain: float = 0.5) -> None:
        super().__init__(pretrain)
        require(type(self).__name__, positive("ridge", ridge), choice("loss", loss, LOSSES))
        self.ridge = ridge
        self.classifier = loss

    def setup(self, ctx: Context) -> None:
        """Look for modalities that no training sample has together.

        Raises:
            ConfigError: another head.
        """
        super().setup(ctx)
        here = ctx.train.table.present
        self.apart = [
            (i, j) for i, j in combinations(sorted(here), 2) if not (here[i] & here[j]).any()
        ]
        if self.apart:
            pairs = ", ".join(f"{i!r} and {j!r}" for i, j in self.apart)
            warnings.warn(
                f"{self.name}: no training sample has both {pairs}: what they have in common cannot be learned",
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
        """Learn representations before projections of them are fitted: features represent
        themselves.

        Not called where no two modalities ever meet: weight decay alone would shrink a network to
        nothing.
        """

    def encoder_loss(self, features: Mapping[str, Tensor], batch: Batch, ctx: Context) -> Tensor:
        output = self.head(ctx.model).pretraining(features, batch.present)
        return torch.stack([unimodal_loss(m, output, batch, ctx) for m in ctx.training]).sum()

    def fit(self, features: Mapping[str, Tensor], batch: Batch, ctx: Context) -> None:
        head = self.head(ctx.model)
        with torch.no_grad():  # the representations stand, as the projections were fitted to them
            projected = {m: head.branch(m).project(z) for m, z in features.items()}
        logits = head.classify(projected, batch.present)
        if self.classifier == "svm":
            losses = hinge_loss(logits, batch.label)
        else:
            losses = cross_entropy(logits, batch.label)
        ctx.backward(ctx.sample_mean(losses))
        ctx.update()
