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

    Validation sees unfitted projections until the second stage, so no epoch of the first stage is
    chosen, and `patience` counts none. The classifier has to converge in the second stage: with few
    epochs Adam needs a rate of 1e-2, not 1e-3. As the encoders learn in a part of the epochs only,
    a short run trails joint training.

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
from itertools import combinations, combinations_with_replacement

import torch
from torch import Tensor
from torch.nn import functional as F

from equipoise.batch import Batch
from equipoise.checks import choice, positive, require
from equipoise.heads.cca import CCA as Head
from equipoise.heads.cca import CorrelatedHead
from equipoise.methods.parts.frozen_encoders import FrozenEncoders
from equipoise.methods.parts.losses import unimodal_loss
from equipoise.methods.parts.table_values import FeatureTable, read_features
from equipoise.training.context import Context

CLASSIFIER_LOSSES = ("logistic", "svm")

FLOOR = 1e-9
"""Eigenvalues of a covariance below this are dropped."""

ROWS_AT_A_TIME = 8192
"""Rows that are converted to float64 at a time; the analysis is in float64 throughout."""


def covariances(
    values: Mapping[str, Tensor], present: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], Tensor]:
    """Means of the present rows, and the covariance after imputing these means.

    A row that lacks one of two modalities adds nothing to their common block.

    Args:
        values: {modality: (N, d_m)}.
        present: {modality: bool (N,)}.

    Returns:
        {modality: (d_m,)}, and the covariance (D, D) of all modalities side by side, its sums
        divided by N − 1.
    """
    rows = len(next(iter(values.values())))
    sums = {m: (x * present[m].unsqueeze(1)).sum(0, dtype=torch.float64) for m, x in values.items()}
    means = {m: total / present[m].sum().clamp_min(1) for m, total in sums.items()}
    width = sum(len(mean) for mean in means.values())
    device = next(iter(values.values())).device
    found = torch.zeros(width, width, dtype=torch.float64, device=device)
    for start in range(0, rows, ROWS_AT_A_TIME):
        part = slice(start, start + ROWS_AT_A_TIME)
        centred = torch.cat(
            [(x[part] - means[m]) * present[m][part].unsqueeze(1) for m, x in values.items()], 1
        )
        found += centred.T @ centred
    return means, found / max(rows - 1, 1)


def inverse_root(matrix: Tensor) -> Tensor:
    """The symmetric inverse square root of a covariance."""
    values, vectors = torch.linalg.eigh(matrix)
    roots = torch.where(values > FLOOR, values.clamp_min(FLOOR).rsqrt(), 0.0)
    root: Tensor = (vectors * roots) @ vectors.T
    return root


def _signs(columns: Tensor) -> Tensor:
    """(k,) ±1 that make the largest entry of each column positive.

    A decomposition leaves the signs open, and they may differ between machines.
    """
    largest = columns.gather(0, columns.abs().argmax(0, keepdim=True)).squeeze(0)
    return torch.where(largest < 0, -1.0, 1.0).to(columns.dtype)


def pair(
    first: Tensor, cross: Tensor, second: Tensor, components: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The directions in which two modalities correlate most.

    T = Σ_ii^−½ Σ_ij Σ_jj^−½ = U S Vᵀ, W_i = Σ_ii^−½ U, W_j = Σ_jj^−½ V.

    Args:
        first: Σ_ii (d_i, d_i) with its ridge.
        cross: Σ_ij (d_i, d_j).
        second: Σ_jj (d_j, d_j) with its ridge.
        components: k, at most both widths.

    Returns:
        W_i (d_i, k), W_j (d_j, k) and the correlations (k,), decreasing.
    """
    left = inverse_root(first)
    right = inverse_root(second)
    u, s, vh = torch.linalg.svd(left @ cross @ right, full_matrices=False)
    sign = _signs(u)
    return left @ (u * sign)[:, :components], right @ (vh.T * sign)[:, :components], s[:components]


def pairwise(
    blocks: Mapping[tuple[str, str], Tensor], components: int
) -> tuple[dict[str, Tensor], Tensor]:
    """The directions of every pair by itself.

    Args:
        blocks: {(i, j): Σ_ij} for i ≤ j, the diagonal ones with their ridge.
        components: k.

    Returns:
        {modality: (d_m, (M − 1)k)}, a modality's partners in the order of the blocks; correlations
        (M(M − 1)/2, k).
    """
    names = [i for i, j in blocks if i == j]
    found: dict[str, list[Tensor]] = {m: [] for m in names}
    correlations = []
    for i, j in combinations(names, 2):
        first, second, correlation = pair(blocks[i, i], blocks[i, j], blocks[j, j], components)
        found[i].append(first)
        found[j].append(second)
        correlations.append(correlation)
    return {m: torch.cat(parts, 1) for m, parts in found.items()}, torch.stack(correlations)


def mcca(
    blocks: Mapping[tuple[str, str], Tensor], components: int
) -> tuple[dict[str, Tensor], Tensor]:
    """The directions of all modalities at once.

    They belong to the largest eigenvalues λ of Σ w = λ D w, with D the diagonal blocks of Σ. Except
    for the lengths of the columns they are those of generalised CCA too, which looks for the G with
    the least Σ_m ‖G − X_m W_m‖². Two modalities get the directions of their pair.

    Args:
        blocks: {(i, j): Σ_ij} for i ≤ j, the diagonal ones with their ridge.
        components: k.

    Returns:
        {modality: (d_m, k)}, scaled to unit variance in the mean over the modalities; correlations
        (1, k), the mean over the pairs (λ − 1)/(M − 1).
    """
    names = [i for i, j in blocks if i == j]
    roots = {m: inverse_root(blocks[m, m]) for m in names}
    whitened = {(i, j): roots[i] @ block @ roots[j] for (i, j), block in blocks.items()}
    rows = [
        torch.cat([whitened[i, j] if (i, j) in whitened else whitened[j, i].T for j in names], 1)
        for i in names
    ]
    values, vectors = torch.linalg.eigh(torch.cat(rows))
    vectors = vectors.flip(1)[:, :components]
    vectors = vectors * _signs(vectors) * len(names) ** 0.5
    parts = vectors.split([len(roots[m]) for m in names])
    correlations = (values.flip(0)[:components] - 1) / (len(names) - 1)
    return {
        m: roots[m] @ part for m, part in zip(names, parts, strict=True)
    }, correlations.unsqueeze(0)


@torch.no_grad()
def fit_projections(head: CorrelatedHead, table: FeatureTable, ridge: float) -> Tensor:
    """Fit means and directions of a head to the training features.

    A head without directions gets scales instead.

    Args:
        head: gets the results into its buffers.
        table: the training features.
        ridge: r.

    Returns:
        The correlations, decreasing along each row; (0,) if the head has no directions to fit.
    """
    names = sorted(head.modalities)
    values = {m: head.represent(m, table.features[m]) for m in names}
    means, whole = covariances(values, table.present)
    for m in names:
        head.branch(m).mean.copy_(means[m])
    sizes = [len(means[m]) for m in names]
    if head.multi == "none":
        deviations = torch.split((whole.diagonal() + ridge).sqrt(), sizes)
        for m, deviation in zip(names, deviations, strict=True):
            head.branch(m).basis.copy_(deviation.reciprocal().diag())
        return whole.new_zeros(0)
    places = dict(zip(names, torch.split(torch.arange(len(whole)), sizes), strict=True))
    whole = whole + ridge * torch.eye(len(whole), dtype=whole.dtype, device=whole.device)
    # Off the diagonal the ridge adds nothing.
    blocks = {
        (i, j): whole[places[i]][:, places[j]] for i, j in combinations_with_replacement(names, 2)
    }
    solve = pairwise if head.multi == "pairwise" else mcca
    directions, correlations = solve(blocks, head.components)
    for m in names:
        head.branch(m).basis.copy_(directions[m])
    return correlations


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
        self.takes_loss = loss == "logistic"

    def setup(self, ctx: Context) -> None:
        """Warn of two modalities that no training sample has together.

        Raises:
            ConfigError: the head is another one.
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
            losses = ctx.sample_loss(logits, batch.label)
        ctx.backward(ctx.sample_mean(losses, weight=batch.weight))
        ctx.update()
