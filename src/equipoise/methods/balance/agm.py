r"""AGM: adaptive gradient modulation.

Li, Li, Hu, Lei, Li, Zhou. Boosting Multi-modal Model Performance with Adaptive Gradient Modulation.
ICCV 2023.
Code: github.com/lihong2303/AGM_ICCV2023

Idea:
    The response of each modality alone is computed as a Shapley value from fused logits for inputs
    of which some are zeros. Its cross-entropy says how strong the modality is. The gradient that
    enters the response is scaled by how the lead of the modality compares with the lead that it has
    had so far. This works with any head, and any number of modalities $M$, of which those that a
    batch lacks do not count.

Equations:
    With $f(S)$ the fused logits when the inputs of all modalities outside $S$ are zeros, the
    response of a modality is

    $$o_m = \sum_{S \not\ni m} \frac{|S|! \, (M - |S| - 1)!}{M!} \left(f(S \cup m) - f(S)\right)
    + \frac{f(\emptyset)}{M}, \qquad \sum_m o_m = f(\mathrm{all})$$

    The terms in $f(\emptyset)$ cancel. For two modalities it is
    $\frac{1}{2} \left(f(a, v) - f(v) + f(a)\right)$. With $s_m$ its cross-entropy (lower is
    stronger) and $\bar s$ the mean over the modalities,

    $$r_m = \exp\left(\frac{M}{M - 1} (\bar s - s_m)\right)$$

    and $\tau_m$ is the same of the running means $\hat s$ over all steps before. The loss is

    $$L = \mathrm{CE}\left(\sum_m o_m, \, y\right)$$

    where the gradient that enters $o_m$ is multiplied by

    $$\kappa_m = \exp\left(\alpha \min(\tau_m - r_m, \mathrm{cap})\right)$$

    The gradient into $f(S)$ is hence multiplied by the sum over $m$ of $\kappa_m$ times the
    coefficient of $f(S)$ in $o_m$. The passes with zeros keep their graph; without it every encoder
    would be scaled by the same factor.

    The head reads $2^M - 1$ subsets. An encoder runs on zeros for one sample only, in evaluation
    mode, because the result is the same for all samples. Cost: two forward and two backward passes
    per encoder and step.

    A modality that the batches so far have lacked has no running mean. Our choice: when it first
    appears, $s_m$ stands for $\hat s_m$. A mean of 0 would make all others look extremely weak
    ($\kappa = e^{10}$ at the default cap). At the very first step, when no modality has a mean, all
    means are 0 and $\tau_m = 1$, as published.

    The $\alpha$ of the paper for each data set is not confirmed; 1 is the default of the code.

Where published code departs:
    published: the smaller subsets run all encoders again
    in evaluation mode                                       not offered: features are read again
    published: caps 10 (CREMA-D), 7 (UR-Funny) and none
    (others)                                                 `cap`
    published: the gradient is clipped to norm 1 where an
    entry of the last layer's exceeds 1                      setting `optimiser.clip`
    published: modulates in epochs 1 to 20, counted
    from 1                                                   `window`, from 0: one epoch more
    BalanceBenchmark: the sign is reversed, so that the
    learning of a leading modality is accelerated            not offered
    BalanceBenchmark: passes with zeros have no graph        not offered
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from equipoise.batch import Batch, Output, map_input
from equipoise.checks import epochs, not_negative, require
from equipoise.evaluating import evaluating
from equipoise.evaluation.shapley import Subset, coefficient, shapley_value, subsets
from equipoise.methods.baselines.joint import Joint
from equipoise.methods.parts.features import features_here
from equipoise.methods.parts.idle import warn_of_one_modality, warn_of_scaling
from equipoise.methods.parts.losses import mean_loss, true_probability
from equipoise.training.context import Context


def relative(scores: Tensor) -> Tensor:
    """r (M,) of the scores (M,), or τ (M,) of their running means; the product over M is 1."""
    count = len(scores)
    return torch.exp(count / (count - 1) * (scores.mean() - scores))


def response_factors(scores: Tensor, means: Tensor, alpha: float, cap: float) -> Tensor:
    """κ (M,), the factors on the gradients into the responses.

    Args:
        scores: s (M,).
        means: ŝ (M,), the running means of the scores.
        alpha: α.
        cap: largest value of τ − r.
    """
    return torch.exp(alpha * (relative(means) - relative(scores)).clamp_max(cap))


def one_zero(tensor: Tensor) -> Tensor:
    """A row of zeros (1, …), on the CPU, for a tensor (B, …)."""
    return tensor.new_zeros((1, *tensor.shape[1:]), device="cpu")


class AGM(Joint):
    """Adaptive gradient modulation.

    Args:
        alpha: α, the strength of the modulation; 0 modulates nothing.
        cap: largest value of τ − r; `.inf` for no limit.
        window: [first, last] epoch of the modulation, from 0, both included.

    Attributes:
        mean_score: ŝ (M,).
        steps: number of steps in which each modality had a score, int64 (M,).
    """

    mean_score: Tensor
    steps: Tensor

    def __init__(
        self, alpha: float = 1.0, cap: float = 10.0, window: Sequence[int] = (0, 20)
    ) -> None:
        super().__init__()
        require(
            "AGM",
            not_negative("alpha", alpha),
            not_negative("cap", cap, infinite=True),
            epochs("window", window),
        )
        self.alpha = alpha
        self.cap = cap
        self.window = (window[0], window[1])
        self._zeros: Batch | None = None

    def setup(self, ctx: Context) -> None:
        """Start the running means at 0.

        Warns where the method has nothing to do, or the optimiser undoes what it does.
        """
        count = len(ctx.model.modalities)
        dtype = next(ctx.model.parameters()).dtype
        self.register_buffer("mean_score", torch.zeros(count, dtype=dtype))
        self.register_buffer("steps", torch.zeros(count, dtype=torch.int64))
        if self.alpha:
            warn_of_scaling("method 'agm'", ctx)
            warn_of_one_modality("method 'agm'", ctx)

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        """Cross-entropy of the fused logits, whose gradient reaches f(S) with the weight of S."""
        shown = ctx.present_in(batch)
        inside = self.window[0] <= ctx.epoch <= self.window[1]
        if not self.alpha or len(shown) < 2 or not inside:
            return super().loss(output, batch, ctx)
        fused = self.fused_of_subsets(shown, output, batch, ctx)
        factors = self.factors(shown, self.scores(shown, fused, batch, ctx), ctx)
        pairs = list(zip(shown, factors, strict=True))
        terms = [
            sum(k * coefficient(m, s, len(shown)) for m, k in pairs) * f for s, f in fused.items()
        ]
        mixed = torch.stack(terms).sum(0)
        # The value is that of f(all), the gradient that of the weighted sum.
        logits = fused[tuple(shown)].detach() + (mixed - mixed.detach())
        return mean_loss(logits, batch, ctx)

    def fused_of_subsets(
        self, shown: Sequence[str], output: Output, batch: Batch, ctx: Context
    ) -> dict[Subset, Tensor]:
        """f(S) (B, C) of every subset but the empty one.

        A modality outside S has the feature that its encoder computes from zeros.
        """
        given = features_here(output, batch)
        blank = self.blank_features(shown, batch, ctx)
        found = {}
        for subset in subsets(shown):
            features = {
                m: z if m in subset else blank[m] * batch.present[m].unsqueeze(1)
                for m, z in given.items()
            }
            found[subset] = ctx.model.read(features, batch.present).fused
        return found

    def blank_features(self, shown: Sequence[str], batch: Batch, ctx: Context) -> dict[str, Tensor]:
        """Features {modality: (1, d_m)} of an input of zeros, with their graph."""
        if self._zeros is None:
            zeros = {m: map_input(x, one_zero) for m, x in batch.inputs.items()}
            everything = {m: torch.ones(1, dtype=torch.bool) for m in zeros}
            row = torch.zeros(1, dtype=torch.int64)
            self._zeros = Batch(zeros, everything, row, row).to(ctx.runtime.device)
        with evaluating(ctx.model):
            return dict(ctx.model(self._zeros, only=shown).features)

    @torch.no_grad()
    def scores(
        self, shown: Sequence[str], fused: Mapping[Subset, Tensor], batch: Batch, ctx: Context
    ) -> Tensor:
        """s (M,), the cross-entropy of each response over the samples of all ranks that have it."""
        found = []
        for modality in shown:
            response = shapley_value(modality, fused, len(shown))
            losses = -true_probability(response, batch.label).clamp_min(1e-8).log()
            found.append(ctx.sample_mean(losses, batch.present[modality]))
        return ctx.mean(torch.stack(found))

    def factors(self, shown: Sequence[str], scores: Tensor, ctx: Context) -> Tensor:
        """κ (M,) of the scores (M,); adds the scores to the running means."""
        numbers = torch.tensor([ctx.model.modalities.index(m) for m in shown], device=scores.device)
        fresh = self.steps[numbers] == 0
        means = torch.where(fresh & ~fresh.all(), scores, self.mean_score[numbers])
        kappa = response_factors(scores, means, self.alpha, self.cap)
        self.steps[numbers] += 1
        self.mean_score[numbers] += (scores - self.mean_score[numbers]) / self.steps[numbers]
        ctx.log(**{f"coefficient/{m}": k for m, k in zip(shown, kappa, strict=True)})
        return kappa
