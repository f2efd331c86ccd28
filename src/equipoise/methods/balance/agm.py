"""AGM: adaptive gradient modulation.

Li, Li, Hu, Lei, Li, Zhou. Boosting Multi-modal Model Performance with Adaptive Gradient Modulation.
ICCV 2023.
Code: github.com/lihong2303/AGM_ICCV2023

With f(S) the fused logits when the inputs of all modalities outside S are zeros, each modality's
own response is

    o_m = Σ_{S ∌ m} |S|! (M − |S| − 1)!/M! (f(S ∪ m) − f(S)) + f(∅)/M,    Σ_m o_m = f(all)

(the terms in f(∅) cancel), for two modalities ½ (f(a, v) − f(v) + f(a)). Its cross-entropy s_m says
how strong it is (lower is stronger), and its gradient is scaled by how its lead compares with the
lead it has had so far:

    r_m = exp(M/(M−1) (s̄ − s_m)),    τ_m the same of the running means ŝ over all steps before
    κ_m = exp(α min(τ_m − r_m, cap))
    L = CE(Σ_m o_m, y), with the gradient that enters o_m multiplied by κ_m

so that the gradient into f(S) is multiplied by the sum over m of κ_m times the coefficient of f(S)
in o_m. The passes with zeros keep their graph; without it every encoder would be scaled alike.

Any head; any number of modalities M, of which a batch's absent ones do not count; the head reads
2^M − 1 subsets. An encoder runs on zeros for one sample only, in eval mode, for all samples share
the result: two forward and two backward passes per encoder and step. Where codes depart:
  published: the smaller subsets run all encoders again in eval mode    not offered: their features are read again
  published: caps 10 (CREMA-D), 7 (UR-Funny), none (others)            `cap`
  published: the gradient is clipped to norm 1 where an entry of the
  last layer's exceeds 1                                               the optimiser's `clip`
  published: modulates in epochs 1 to 20, counted from 1               `window`, from 0; one epoch more by default
  BalanceBenchmark: sign reversed, so that a leading modality is
  hurried on, passes with zeros without a graph                        not offered
The paper's α for each data set is not confirmed; 1 is the code's default.

Our choice: a modality that the batches so far have lacked has no running mean. When it first
appears ŝ_m = s_m stands for it, as a mean of 0 would make all others look weak beyond measure (κ =
e^10 at the default cap). At the very first step, when no modality has a mean, all are 0 and τ_m =
1, as published.
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
from equipoise.methods.parts.idle import warn_of_one_modality, warn_of_scaling
from equipoise.methods.parts.losses import cross_entropy, true_probability
from equipoise.training.context import Context


def relative(scores: Tensor) -> Tensor:
    """r (M,) of the scores (M,), or τ of their running means; their product is 1."""
    count = len(scores)
    return torch.exp(count / (count - 1) * (scores.mean() - scores))


def coefficients(scores: Tensor, means: Tensor, alpha: float, cap: float) -> Tensor:
    """κ (M,)."""
    return torch.exp(alpha * (relative(means) - relative(scores)).clamp_max(cap))


def one_zero(tensor: Tensor) -> Tensor:
    """A row of zeros (1, …), on the CPU, for a tensor (B, …)."""
    return tensor.new_zeros((1, *tensor.shape[1:]), device="cpu")


class AGM(Joint):
    """Adaptive gradient modulation.

    Args:
        alpha: α; 0 modulates nothing.
        cap: the largest τ − r; `.inf` for none.
        window: first and last epoch of the modulation, from 0, both included.
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
        """Start the running means at 0, and warn where the method has nothing to do, or the optimiser undoes it."""
        count = len(ctx.model.modalities)
        self.register_buffer(
            "mean_score", torch.zeros(count, dtype=next(ctx.model.parameters()).dtype)
        )
        self.register_buffer("steps", torch.zeros(count, dtype=torch.int64))
        if self.alpha:
            warn_of_scaling("method 'agm'", ctx)
            warn_of_one_modality("method 'agm'", ctx)

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        """CE of the fused logits, whose gradient reaches f(S) with the weight of S."""
        shown = ctx.present_in(batch)
        if not self.alpha or len(shown) < 2 or not self.window[0] <= ctx.epoch <= self.window[1]:
            return super().loss(output, batch, ctx)
        fused = self.fused_of_subsets(shown, output, batch, ctx)
        factors = self.factors(shown, self.scores(shown, fused, batch, ctx), ctx)
        pairs = list(zip(shown, factors, strict=True))
        terms = [
            sum(k * coefficient(m, s, len(shown)) for m, k in pairs) * f for s, f in fused.items()
        ]
        mixed = torch.stack(terms).sum(0)
        logits = fused[tuple(shown)].detach() + (mixed - mixed.detach())
        return ctx.sample_mean(cross_entropy(logits, batch.label))

    def fused_of_subsets(
        self, shown: Sequence[str], output: Output, batch: Batch, ctx: Context
    ) -> dict[Subset, Tensor]:
        """{S: f(S)}; the modalities outside S have the feature their encoder makes of zeros."""
        blank = self.blank_features(shown, batch, ctx)
        found = {}
        for subset in subsets(shown):
            features = {
                m: output.features[m] if m in subset else blank[m] * batch.present[m].unsqueeze(1)
                for m in shown
                if batch.counts[m]
            }
            found[subset] = ctx.model.read(features, batch.present).fused
        return found

    def blank_features(self, shown: Sequence[str], batch: Batch, ctx: Context) -> dict[str, Tensor]:
        """{modality: feature (1, d_m) of an input of zeros}, with its graph."""
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
        """s (M,): cross-entropy of the responses, over the samples of all ranks that have the modality."""
        found = []
        for modality in shown:
            response = shapley_value(modality, fused, len(shown))
            losses = -true_probability(response, batch.label).clamp_min(1e-8).log()
            found.append(ctx.sample_mean(losses, batch.present[modality]))
        return ctx.mean(torch.stack(found))

    def factors(self, shown: Sequence[str], scores: Tensor, ctx: Context) -> Tensor:
        """κ (M,), and the running means one step on."""
        numbers = torch.tensor([ctx.model.modalities.index(m) for m in shown], device=scores.device)
        fresh = self.steps[numbers] == 0
        means = torch.where(fresh & ~fresh.all(), scores, self.mean_score[numbers])
        kappa = coefficients(scores, means, self.alpha, self.cap)
        self.steps[numbers] += 1
        self.mean_score[numbers] += (scores - self.mean_score[numbers]) / self.steps[numbers]
        ctx.log(**{f"coefficient/{m}": k for m, k in zip(shown, kappa, strict=True)})
        return kappa
