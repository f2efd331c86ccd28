"""DCCA: deep canonical correlation analysis, and a linear classifier on the projections.

Andrew, Arora, Bilmes, Livescu. Deep Canonical Correlation Analysis. ICML 2013. Code of others:
GCNet's baselines (github.com/zeroQiaoba/GCNet), github.com/Michaelvll/DeepCCA

As CCA, with a network g_m per modality between features and projections. The networks learn what
correlates most,

    L = −Σ_{i<j} Σ_c √(s_c² + r),   s_c the singular values of T = Σ_ii^−½ Σ_ij Σ_jj^−½

of the outputs H_m = g_m(z_m), with r on the covariances too. The linear classifier is trained on
the outputs, each number of them centred and scaled to unit variance (they may have any scale: the
loss does not see it), or on a linear CCA of them: the head's `multi: pairwise` or `mcca`. Labels
have no part in any of it but the encoders' pretraining and the classifier.

Correlations of a sample that is not much larger than k are 1 by chance. The networks are therefore
not trained on the run's minibatches: when the encoders are frozen, the features of the whole
training table are read, and the networks see them `passes` times in parts of about `samples` rows,
by Adam with a weight decay of 1e-4 (as in GCNet; SGD with the learning rate of a classifier is
unstable here). That is done before the epoch in which the classifier starts, and counts in seconds,
not in passes.

Whitening takes Cholesky factors instead of eigenvectors: the singular values are the same, and the
gradient stays finite where eigenvalues coincide. An absent modality is imputed by the mean of the
outputs, where the published code passes the mean features through the network: so a sample without
it adds nothing to the correlation. Networks have no batch normalisation. The published code sends
the third modality through the second one's network, and its branch for all singular values takes
the root of every entry of TᵀT, neither of which is done here. Any number of modalities from two on.
Cost: as CCA, and the networks' training.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Mapping
from itertools import combinations

import torch
from torch import Tensor, nn

from equipoise.checks import positive, require, whole
from equipoise.heads.cca import CorrelatedHead
from equipoise.heads.dcca import DCCA as Head
from equipoise.methods.missing.cca import CCA
from equipoise.methods.parts.table_values import FeatureTable
from equipoise.model import Model
from equipoise.settings import OptimiserSettings
from equipoise.training.context import Context
from equipoise.training.trial import fork


def whitened(outputs: Tensor, present: Tensor, ridge: float) -> Tensor:
    """(k, B) in float64: outputs (B, k), centred and imputed by the mean of the present rows, then
    whitened.

    Its products with another modality's are T.
    """
    here = present.unsqueeze(1).double()
    mean = (outputs * here).sum(0) / here.sum().clamp_min(1)
    centred = (outputs - mean) * here / math.sqrt(max(len(outputs) - 1, 1))
    covariance = centred.T @ centred + ridge * torch.eye(
        outputs.shape[1], dtype=here.dtype, device=here.device
    )
    white: Tensor = torch.linalg.solve_triangular(
        torch.linalg.cholesky(covariance), centred.T, upper=False
    )
    return white


def correlation_loss(
    outputs: Mapping[str, Tensor], present: Mapping[str, Tensor], ridge: float
) -> Tensor:
    """−Σ_{i<j} Σ_c √(s_c² + r), differentiable everywhere.

    Args:
        outputs: {modality: (B, k_m)}.
        present: {modality: bool (B,)}.
        ridge: r.
    """
    white = [whitened(h, present[m], ridge) for m, h in outputs.items()]
    products = [a @ b.T for a, b in combinations(white, 2)]
    return -torch.stack(
        [(torch.linalg.svdvals(t).square() + ridge).sqrt().sum() for t in products]
    ).sum()


class DCCA(CCA):
    """Deep canonical correlation analysis.

    Args:
        ridge: r of the linear CCA at the end.
        deep_ridge: r of the networks' loss.
        passes: how often the networks see the training table.
        samples: rows they see at a time.
        lr: learning rate of the networks' Adam.
        loss: of the classifier, as for CCA.
        pretrain: share of the epochs that train the encoders, before they are frozen.
    """

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
            whole("passes", passes, 0),
            whole("samples", samples, 2),
            positive("lr", lr),
        )
        self.deep_ridge = deep_ridge
        self.passes = passes
        self.samples = samples
        self.optimiser = OptimiserSettings(name="adam", lr=lr, weight_decay=1e-4)

    def setup(self, ctx: Context) -> None:
        """Compare the number of samples with that of the correlations.

        Raises:
            ConfigError: another head.
        """
        super().setup(ctx)
        rows = min(self.samples, len(ctx.train.table))
        components = self.head(ctx.model).components
        if rows < 4 * components:
            warnings.warn(
                f"{type(self).__name__}: {rows} samples correlate in {components} directions by chance; raise "
                "'samples' or lower the head's 'components'",
                stacklevel=2,
            )

    def learn(self, table: FeatureTable, ctx: Context) -> None:
        head = copy.deepcopy(self.head(ctx.model))  # so that a signal finds the training as it was
        training = fork(
            ctx, Model({m: nn.Identity() for m in head.modalities}, head), self.optimiser
        )
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
        """What the networks minimise on some rows."""
        outputs = {m: head.represent(m, x) for m, x in part.features.items()}
        return correlation_loss(outputs, part.present, self.deep_ridge)
