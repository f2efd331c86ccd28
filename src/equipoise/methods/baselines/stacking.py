r"""Stacking: independent networks, fused by weights that are fitted on held-out samples.

Wolpert. Stacked Generalization. Neural Networks 1992.

Idea:
    Each modality trains its own encoder and classifier, as in late fusion. How much each counts in
    the fused prediction is not set by hand, nor left to how sure it is of itself: one number for
    each modality is fitted on samples that were held out of the training.

    Networks that were trained apart often beat joint training, but lose where one modality is far
    weaker than the others. That is what fitted weights repair. A weight also corrects a classifier
    that is too sure or not sure enough.

    The weights are fitted after the last step of every epoch, so that validation sees the fused
    prediction as it will be used. The fit has few numbers and one minimum, and takes a pass over
    the held-out samples. Any number of modalities.

Equations:
    Training is that of late fusion, $L = \sum_m \mathrm{CE}(v_m, y)$. With $S_i$ the modalities
    that sample $i$ has, the fused logits are the log-linear pool

    $$f_i = \sum_{m \in S_i} w_m \log \mathrm{softmax}(v_{im})$$

    and the weights minimise over the held-out samples

    $$\min_{w \geq 0} \ \mathrm{mean}_i \, \mathrm{CE}(f_i, y_i)
    + \frac{\mu}{2} \sum_m (w_m - 1)^2$$

    which is convex. With a large $\mu$ all weights are 1, and the fused prediction is the product
    of the modalities' probabilities. Wolpert's stacking learns any function of the predictions;
    this is the form with one weight for each modality.

Where published code departs:
    Stacking is a baseline without a published code of its own.
"""

from __future__ import annotations

import torch
from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.checks import positive, require
from equipoise.errors import ConfigError
from equipoise.heads.stacked import Stacked
from equipoise.methods.baselines.late import Late
from equipoise.methods.parts.table_values import table_values
from equipoise.training.context import Context

STEPS = 100
"""Newton steps at most; a fit takes about ten."""


def fit_weights(log_probability: Tensor, label: Tensor, prior: float) -> Tensor:
    """The weights w (M,) ≥ 0 with the smallest loss, by Newton's method with projection.

    Args:
        log_probability: of the classes (N, M, C) in float64; 0 where the modality is absent.
        label: y (N,).
        prior: μ.
    """
    count = log_probability.shape[1]
    true = log_probability[torch.arange(len(label)), :, label]  # (N, M)

    def objective(w: Tensor) -> Tensor:
        fused = torch.einsum("m,nmc->nc", w, log_probability)
        return (fused.logsumexp(1) - true @ w).mean() + prior / 2 * (w - 1).square().sum()

    weights = log_probability.new_ones(count)
    for _ in range(STEPS):
        p = torch.einsum("m,nmc->nc", weights, log_probability).softmax(1)
        mean = torch.einsum("nc,nmc->nm", p, log_probability)
        gradient = (mean - true).mean(0) + prior * (weights - 1)
        second = torch.einsum("nc,nmc,nkc->mk", p, log_probability, log_probability)
        curvature = (second - mean.T @ mean) / len(label) + prior * torch.eye(count).to(mean)
        # A weight that lies at 0 and would go below it takes no part in the step.
        free = ((weights > 0) | (gradient < 0)).nonzero().squeeze(1)
        if not len(free) or gradient[free].abs().max() < 1e-12:
            break
        step = torch.zeros_like(weights)
        step[free] = -torch.linalg.solve(curvature[free][:, free], gradient[free])
        length = 1.0
        while length > 1e-10:
            moved = (weights + length * step).clamp_min(0)
            if objective(moved) <= objective(weights) + 1e-4 * gradient @ (moved - weights):
                break
            length /= 2
        else:
            break
        weights = moved
    return weights


class Stacking(Late):
    """Late fusion with fitted weights.

    Args:
        prior: μ, the strength of the pull of all weights towards 1.
    """

    needs_holdout = True

    def __init__(self, prior: float = 0.01) -> None:
        super().__init__()
        require("Stacking", positive("prior", prior))
        self.prior = prior

    def setup(self, ctx: Context) -> None:
        """Check that there are weights to fit, and samples to fit them on.

        Raises:
            ConfigError: the head has no such weights, or nothing was held out.
        """
        self.head(ctx)
        if ctx.holdout is None:
            raise ConfigError(
                "method 'stacking' fits weights on held-out samples and there are none; set "
                "'data.holdout'"
            )

    def head(self, ctx: Context) -> Stacked:
        """The model's head.

        Raises:
            ConfigError: it has no weights to fit.
        """
        head = ctx.model.head
        if not isinstance(head, Stacked):
            raise ConfigError(
                f"method 'stacking' fits the weights of its head, and {type(head).__name__} has "
                "none; use head 'stacked'"
            )
        return head

    def step(self, batch: Batch, ctx: Context) -> None:
        super().step(batch, ctx)
        if ctx.position.batch == ctx.steps_per_epoch - 1:
            self.fit(ctx)

    @torch.no_grad()
    def fit(self, ctx: Context) -> None:
        """Fit the weights on the held-out samples, with the network as it is."""
        assert ctx.holdout is not None, "setup has asked for it"
        head = self.head(ctx)

        def values(output: Output, batch: Batch) -> Tensor:
            columns = [
                logits.double().log_softmax(1).masked_fill(~batch.present[m].unsqueeze(1), 0.0)
                for m, logits in output.logits.items()
            ]
            return torch.cat([*columns, batch.label.double().unsqueeze(1)], 1)

        found = table_values(ctx, ctx.holdout, values).cpu()
        log_probability = found[:, :-1].reshape(len(found), len(head.modalities), head.classes)
        weights = fit_weights(log_probability, found[:, -1].long(), self.prior)
        head.set_fusion_weights(weights)
        ctx.log(**{f"weight/{m}": w for m, w in zip(head.modalities, weights, strict=True)})
