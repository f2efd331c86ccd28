r"""DCCA: deep canonical correlation analysis, and a linear classifier on the projections.

Andrew, Arora, Bilmes, Livescu. Deep Canonical Correlation Analysis. ICML 2013.
Code of others: GCNet's baselines (github.com/zeroQiaoba/GCNet), github.com/Michaelvll/DeepCCA

Idea:
    As CCA, with a network $g_m$ for each modality between features and projections. The networks
    learn the outputs that correlate most. The linear classifier is trained on these outputs, each
    number of them centred and scaled to unit variance (the loss does not depend on their scale), or
    on a linear CCA of them (head option `multi: pairwise` or `multi: mcca`). Labels are used only
    to pretrain the encoders and to train the classifier.

    In a sample that is not much larger than $k$, correlations are 1 by chance. The networks are
    therefore not trained on the run's minibatches. When the encoders are frozen, the features of
    the whole training table are read, and the networks see them `passes` times in parts of about
    `samples` rows, by Adam with a weight decay of 1e-4 (as in GCNet; SGD with the learning rate of
    a classifier is unstable here). That is done before the first epoch of the classifier. It costs
    seconds, but no pass of an encoder.

    Two modalities or more. Cost: as CCA, and the training of the networks.

Equations:
    With the singular values $s_c$ of $T = \Sigma_{ii}^{-1/2} \, \Sigma_{ij} \, \Sigma_{jj}^{-1/2}$
    of the outputs $H_m = g_m(z_m)$:

    $$L = -\sum_{i<j} \sum_c \sqrt{s_c^2 + r}$$

    with $r$ added to the diagonals of the covariances too.

    Whitening takes Cholesky factors instead of eigenvectors: the singular values are the same, and
    the gradient stays finite where eigenvalues coincide.

Where published code departs:
    an absent modality is the output for the mean
    features; here it is imputed by the mean of the
    outputs, so that a sample without it adds nothing
    to the correlation                                   not offered
    the networks have batch normalisation                not offered
    the third modality passes the second one's network   not offered
    with all singular values, it takes the root of
    every entry of TᵀT                                   not offered
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Mapping
from itertools import combinations
from typing import ClassVar

import torch
from torch import Tensor, nn

from equipoise.checks import integer, positive, require
from equipoise.heads.cca import CorrelatedHead
from equipoise.heads.dcca import DCCA as Head
from equipoise.methods.missing.cca import CCA
from equipoise.methods.parts.table_values import FeatureTable
from equipoise.model import Model
from equipoise.registry import POSITIVE, Effect
from equipoise.settings import OptimiserSettings
from equipoise.training.context import Context
from equipoise.training.trial import fork


def whitened(outputs: Tensor, present: Tensor, ridge: float) -> Tensor:
    """Centre and impute the outputs of one modality, then whiten them.

    The product of one modality's result with the transpose of another's is T.

    Args:
        outputs: (B, k).
        present: bool (B,); absent rows get the mean of the present ones.
        ridge: r.

    Returns:
        float64 (k, B).
    """
    here = present.unsqueeze(1).double()
    mean = (outputs * here).sum(0) / here.sum().clamp_min(1)
    centred = (outputs - mean) * here / math.sqrt(max(len(outputs) - 1, 1))
    unit = torch.eye(outputs.shape[1], dtype=here.dtype, device=here.device)
    root = torch.linalg.cholesky(centred.T @ centred + ridge * unit)
    white: Tensor = torch.linalg.solve_triangular(root, centred.T, upper=False)
    return white


def correlation_loss(
    outputs: Mapping[str, Tensor], present: Mapping[str, Tensor], ridge: float
) -> Tensor:
    """−Σ_{i<j} Σ_c √(s_c² + r), a scalar that is differentiable everywhere.

    Args:
        outputs: {modality: (B, k_m)}.
        present: {modality: bool (B,)}.
        ridge: r.
    """
    white = [whitened(h, present[m], ridge) for m, h in outputs.items()]
    values = [torch.linalg.svdvals(a @ b.T) for a, b in combinations(white, 2)]
    return -torch.stack([(s.square() + ridge).sqrt().sum() for s in values]).sum()


class DCCA(CCA):
    """Deep canonical correlation analysis.

    Args:
        ridge: r of the linear CCA at the end, added to the diagonals of its covariances.
        deep_ridge: r of the networks' loss.
        passes: number of times that the networks see the training table.
        samples: rows that the networks see at a time, at least 2.
        lr: learning rate of the networks' Adam.
        loss: of the classifier, "logistic" (cross-entropy) or "svm" (squared hinge, one class
            against the rest).
        pretrain: fraction of the epochs that train the encoders, before they are frozen.
    """

    effect: ClassVar[Effect] = {
        "deep_ridge": ("passes", POSITIVE),
        "lr": ("passes", POSITIVE),
    }

    name = "dcca"
    kind = Head

    def __init__(
        self,
        ridge: float = 1e-4,
        deep_ridge: float = 1e-3,
        passes: int = 100,
        samples: int = 1024,
        lr: float = 1e-3,
        loss: str = "logistic",
        pretrain: float = 0.5,
    ) -> None:
        super().__init__(ridge, loss, pretrain)
        require(
            type(self).__name__,
            positive("deep_ridge", deep_ridge),
            integer("passes", passes, 0),
            integer("samples", samples, 2),
            positive("lr", lr),
        )
        self.deep_ridge = deep_ridge
        self.passes = passes
        self.samples = samples
        self.optimiser = OptimiserSettings(
            name="adam", lr=lr, weight_decay=1e-4, warmup=0.0, schedule="none", clip=0.0
        )

    def setup(self, ctx: Context) -> None:
        """Warn where the samples are too few for the number of correlations.

        Raises:
            ConfigError: the head is another one.
        """
        super().setup(ctx)
        rows = min(self.samples, len(ctx.train.table))
        components = self.head(ctx.model).components
        if rows < 4 * components:
            warnings.warn(
                f"{type(self).__name__}: {rows} samples correlate in {components} directions by "
                "chance; raise 'samples' or lower the head's 'components'",
                stacklevel=2,
            )

    def learn(self, table: FeatureTable, ctx: Context) -> None:
        # A copy is trained, so that an interrupt during these passes leaves the run as it was.
        head = copy.deepcopy(self.head(ctx.model))
        encoders = {m: nn.Identity() for m in head.modalities}
        training = fork(ctx, Model(encoders, head), self.optimiser)
        parts = max(1, round(len(table) / self.samples))
        for _ in range(self.passes):
            order = torch.randperm(len(table), generator=ctx.rng)
            for rows in order.tensor_split(parts):
                part = table.rows(rows.to(ctx.runtime.device))
                training.backward(self.objective(head, part))
                training.update()
                training.observer.after_step()
        training.require_finite()
        self.head(ctx.model).load_state_dict(head.state_dict())

    def objective(self, head: CorrelatedHead, part: FeatureTable) -> Tensor:
        """Loss of the networks on some rows."""
        outputs = {m: head.represent(m, x) for m, x in part.features.items()}
        return correlation_loss(outputs, part.present, self.deep_ridge)
