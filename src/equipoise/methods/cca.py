"""CCA: canonical correlation analysis, and a linear classifier on the projections.

Hotelling. Relations between two sets of variates. Biometrika 1936. For classification with modalities missing as in
GCNet's baselines: github.com/zeroQiaoba/GCNet

Absent modalities are imputed by the mean of the training rows that have them; then the directions are sought in which
the modalities correlate most. For a pair i, j of centred, imputed features,

    Σ_ii = X_iᵀX_i/(N − 1) + rI,  Σ_ij = X_iᵀX_j/(N − 1),  T = Σ_ii^−½ Σ_ij Σ_jj^−½ = U S Vᵀ
    W_i = Σ_ii^−½ U_{:,1..k},     W_j = Σ_jj^−½ V_{:,1..k},  correlations S_1 ≥ … ≥ S_k

A sample is represented by x_i W_i and x_j W_j of all pairs, M(M − 1)k numbers, on which a linear classifier is
trained. A modality at its mean projects to zero, and so an absent one adds nothing to the logits. With more than two
modalities the head's `multi: mcca` seeks the directions of all at once instead of pair by pair.

The analysis wants features, so there are two stages: in the share `pretrain` of the epochs each encoder learns with a
linear classifier of its own; then encoders are frozen, the projections are fitted to the training table in closed
form, and the classifier learns in the epochs that are left. Encoders without parameters to train leave the first
stage out; with pretrained frozen ones the method is the published one. Labels have no part in the projections.
Validation looks at projections that have not been fitted until then: give `patience` more epochs.

GCNet imputes the mean of all splits and scales each split for itself, which looks at the test samples; here all
statistics are those of training rows that have the modality. It trains a linear SVM with C = 0.01; here `loss: svm`
is the same squared hinge loss, one class against the rest, by the run's optimiser, whose weight decay takes the part
of C. Any number of modalities from two on. Cost: one forward pass, a backward pass in the first stage.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from equipoise.batch import Batch
from equipoise.errors import ConfigError, invalid
from equipoise.heads.cca import CCA as Head
from equipoise.heads.cca import CorrelatedHead
from equipoise.methods import canonical
from equipoise.methods.base import Method, Phase
from equipoise.methods.feature_table import FeatureTable, read_features
from equipoise.methods.losses import unimodal_loss
from equipoise.methods.reconstruction import encoded

if TYPE_CHECKING:
    from equipoise.training.context import Context

LOSSES = ("logistic", "svm")


def hinge_loss(logits: Tensor, label: Tensor) -> Tensor:
    """Σ_c max(0, 1 − t_c f_c)² (B,), t_c = 1 for the sample's class and −1 for the others."""
    sign = 2 * F.one_hot(label, logits.shape[1]).to(logits.dtype) - 1
    return (1 - sign * logits).clamp_min(0).square().sum(1)


@torch.no_grad()
def fit_projections(head: CorrelatedHead, table: FeatureTable, ridge: float) -> Tensor:
    """Fit means and directions of a head to the training features, or scales where it has no directions.

    Args:
        head: whose buffers are filled.
        table: the training features.
        ridge: r.

    Returns:
        The correlations, decreasing along each row; (0,) if the head has no directions to fit.
    """
    names = sorted(head.modalities)
    values = {m: head.represent(m, table.features[m]) for m in names}
    means, whole = canonical.covariances(values, table.present)
    for m in names:
        head.branch(m).mean.copy_(means[m])
    if head.multi == "none":
        deviations = torch.split((whole.diagonal() + ridge).sqrt(), [len(means[m]) for m in names])
        for m, deviation in zip(names, deviations, strict=True):
            head.branch(m).basis.copy_(deviation.reciprocal().diag())
        return whole.new_zeros(0)
    places = dict(zip(names, torch.split(torch.arange(len(whole)), [len(means[m]) for m in names]), strict=True))
    whole = whole + ridge * torch.eye(len(whole), dtype=whole.dtype, device=whole.device)
    blocks = {
        (i, j): whole[places[i]][:, places[j]] for i, j in combinations_with_replacement(names, 2)
    }  # off the diagonal the ridge adds nothing
    kind = canonical.pairwise if head.multi == "pairwise" else canonical.mcca
    directions, correlations = kind(blocks, head.components)
    for m in names:
        head.branch(m).basis.copy_(directions[m])
    return correlations


class CCA(Method):
    """Canonical correlation analysis.

    Args:
        ridge: r on the covariances.
        loss: of the classifier, "logistic" (cross-entropy) or "svm" (squared hinge, one class against the rest).
        pretrain: share of the epochs in which the encoders are trained, before they are frozen.
    """

    kind: type[CorrelatedHead] = Head

    def __init__(self, ridge: float = 1e-4, loss: str = "logistic", pretrain: float = 0.5) -> None:
        super().__init__()
        owner = type(self).__name__
        if not ridge > 0:
            raise invalid(owner, "ridge", "positive", ridge)
        if loss not in LOSSES:
            raise invalid(owner, "loss", "one of " + ", ".join(LOSSES), loss)
        if not 0 <= pretrain < 1:
            raise invalid(owner, "pretrain", "in [0, 1)", pretrain)
        self.ridge, self.classifier, self.pretrain = ridge, loss, pretrain
        self.trains_encoders = True

    def setup(self, ctx: Context) -> None:
        """See whether there is anything to pretrain.

        Raises:
            ConfigError: another head.
        """
        self.head(ctx)
        self.trains_encoders = any(p.requires_grad for p in ctx.model.encoders.parameters())

    def head(self, ctx: Context) -> CorrelatedHead:
        """The head, whose projections are fitted."""
        head = ctx.model.head
        if not isinstance(head, self.kind):
            raise ConfigError(
                f"method {type(self).__name__.lower()!r} fits the projections of its own head, and "
                f"{type(head).__name__} is another; use head {self.kind.__name__.lower()!r}"
            )
        return head

    def phases(self, epochs: int) -> Iterator[Phase]:
        first = min(round(self.pretrain * epochs), epochs - 1) if self.trains_encoders else 0
        yield Phase(first)
        yield Phase(epochs - first)

    def on_phase_start(self, ctx: Context) -> None:
        if ctx.position.phase == 1:
            table = read_features(ctx)
            self.learn(table, ctx)
            correlations = fit_projections(self.head(ctx), table, self.ridge)
            if correlations.numel():
                ctx.log(correlation=correlations.mean())

    def learn(self, table: FeatureTable, ctx: Context) -> None:
        """Learn representations before projections of them are fitted: features represent themselves."""

    def step(self, batch: Batch, ctx: Context) -> None:
        if ctx.position.phase == 0:
            self.train_encoders(batch, ctx)
        else:
            self.train_classifier(batch, ctx)

    def train_encoders(self, batch: Batch, ctx: Context) -> None:
        output = self.head(ctx).pretraining(encoded(ctx.model, batch), batch.present)
        losses = [unimodal_loss(m, output, batch, ctx) for m in ctx.training]
        ctx.backward(torch.stack(losses).sum())
        ctx.update()

    def train_classifier(self, batch: Batch, ctx: Context) -> None:
        head = self.head(ctx)
        ctx.model.encoders.eval()  # frozen: without dropout, and statistics as they are
        with torch.no_grad():
            projected = {m: head.branch(m).project(z) for m, z in encoded(ctx.model, batch).items()}
        logits = head.classify(projected, batch.present)
        if self.classifier == "svm":
            losses = hinge_loss(logits, batch.label)
        else:
            losses = F.cross_entropy(logits, batch.label, reduction="none")
        ctx.backward(ctx.sample_mean(losses))
        ctx.update()
