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

    An encoder runs on zeros for one sample only, in evaluation mode, because the result is the same
    for all samples. Cost: two forward and two backward passes per encoder and step.

    Where the fused logits are a sum of one part $v_m$ per modality, as those of `concat` and `sum`
    are, the head reads nothing again: with $v_m^0$ the part for an input of zeros,

    $$o_m = v_m - v_m^0 + \frac{1}{M} \Big(f(\mathrm{all}) - \sum_j (v_j - v_j^0)\Big)$$

    Any other head reads $2^M - 2$ more sets for up to four modalities. For more of them that would
    cost more than all encoders together. Then each sample has one order in which its modalities are
    added to the zeros, $o_m$ is what $m$ adds in it, and the head reads $M$ more sets. The orders
    are the $M$ rotations of one that is drawn for each batch, so that every place in an order is
    equally likely and the responses are right on average.

    A modality that the batches so far have lacked has no running mean. Our choice: when it first
    appears, $s_m$ stands for $\hat s_m$. A mean of 0 would make all others look extremely weak
    ($\kappa = e^{10}$ at the default cap). At the very first step, when no modality has a mean, all
    means are 0 and $\tau_m = 1$, as published.

    In a step in which an entry of the head's gradient leaves $[-1, 1]$, the whole gradient is
    clipped to norm 1 (`clip`), as in the authors' code.

    The $\alpha$ of the paper for each data set is not confirmed; 1 is the default of the code.

Where published code departs:
    published: the smaller subsets run all encoders again
    in evaluation mode                                       not offered: features are read again
    published: caps 10 (CREMA-D), 7 (UR-Funny) and none
    (others)                                                 `cap`
    published: the last layer, of which an entry beyond
    [−1, 1] has the gradient clipped; here the whole head    not offered
    published: all subsets, of up to three modalities        not offered
    published: modulates in epochs 1 to 20, counted
    from 1                                                   `window`, from 0: one epoch more
    BalanceBenchmark: the sign is reversed, so that the
    learning of a leading modality is accelerated            not offered
    BalanceBenchmark: passes with zeros have no graph        not offered
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from equipoise.batch import Batch, Output, map_input
from equipoise.checks import epochs, not_negative, require
from equipoise.evaluating import evaluating
from equipoise.evaluation.shapley import shapley_value, subsets
from equipoise.methods.baselines.joint import Joint
from equipoise.methods.parts.features import features_here
from equipoise.methods.parts.idle import warn_of_one_modality, warn_of_scaling
from equipoise.methods.parts.losses import mean_loss, true_probability
from equipoise.model import Model
from equipoise.training.context import Context

MOST_EXACT = 4
"""The most modalities of which a head is read for every set."""


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


def separate_responses(
    logits: Sequence[Tensor], blank: Sequence[Tensor], present: Sequence[Tensor], fused: Tensor
) -> Tensor:
    """o (M, B, C), where the fused logits are a sum over modalities.

    Args:
        logits: v_m (B, C) of each modality.
        blank: v_m of an input of zeros, (1, C).
        present: bool (B,), the samples that have the modality.
        fused: f(all) (B, C).
    """
    gains = torch.stack(
        [
            torch.where(there.unsqueeze(1), v - v0, 0.0)
            for v, v0, there in zip(logits, blank, present, strict=True)
        ]
    )
    return gains + (fused - gains.sum(0)) / len(gains)


def rotated(order: Tensor, index: Tensor) -> Tensor:
    """The place (M, B) of each modality in the order of each sample, from a drawn order (M,).

    The order is rotated by the row of a sample, so that neighbours differ, every modality has each
    place equally often, and nothing depends on the rank that has the sample.
    """
    return (order.unsqueeze(1) + index) % len(order)


def ordered_responses(levels: Tensor, place: Tensor) -> Tensor:
    """o (M, B, C) from one order of the modalities for each sample.

    Args:
        levels: logits (M + 1, B, C) with the first 0, 1, … M modalities of the order of a sample.
        place: int64 (M, B), from 0, the place of each modality in the order of each sample.
    """
    rows = torch.arange(levels.shape[1], device=levels.device)
    added = levels[place + 1, rows] - levels[place, rows]
    return added + levels[0] / len(place)


def fused_of(
    inside: Mapping[str, Tensor],
    blank: Mapping[str, Tensor],
    output: Output,
    batch: Batch,
    model: Model,
) -> Tensor:
    """f(S) (B, C), where a modality outside S has the feature of an input of zeros.

    Args:
        inside: {modality: bool (B,)}, the samples in whose set S it is; left out for none.
        blank: {modality: feature (1, d_m)} of an input of zeros.
        output: of the model on the batch.
        batch: the samples.
        model: reads the features.
    """
    features = {}
    for m, z in features_here(output, batch).items():
        zero = blank[m] * batch.present[m].unsqueeze(1)
        features[m] = torch.where(inside[m].unsqueeze(1), z, zero) if m in inside else zero
    return model.read(features, batch.present).fused


class AGM(Joint):
    """Adaptive gradient modulation.

    Args:
        alpha: α, the strength of the modulation; 0 modulates nothing.
        cap: largest value of τ − r; `.inf` for no limit.
        window: [first, last] epoch of the modulation, from 0, both included.
        clip: norm to which the gradient is clipped in a step in which an entry of the head's
            gradient is beyond 1 or −1; 0 for never.

    Attributes:
        mean_score: ŝ (M,).
        steps: number of steps in which each modality had a score, int64 (M,).
    """

    mean_score: Tensor
    steps: Tensor

    def __init__(
        self,
        alpha: float = 1.0,
        cap: float = 10.0,
        window: Sequence[int] = (0, 20),
        clip: float = 1.0,
    ) -> None:
        super().__init__()
        require(
            "AGM",
            not_negative("alpha", alpha),
            not_negative("cap", cap, infinite=True),
            epochs("window", window),
            not_negative("clip", clip),
        )
        self.alpha = alpha
        self.cap = cap
        self.window = (window[0], window[1])
        self.clip = clip
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
            if count > MOST_EXACT and not ctx.model.head.decomposable:
                warnings.warn(
                    f"method 'agm': head {type(ctx.model.head).__name__} would be read for "
                    f"{2**count - 1} sets of {count} modalities, so their responses are estimated "
                    "from one order for each sample; with head 'concat' or 'sum' they are exact",
                    stacklevel=2,
                )

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        """Cross-entropy of the fused logits, whose gradient reaches f(S) with the weight of S."""
        shown = ctx.present_in(batch)
        inside = self.window[0] <= ctx.epoch <= self.window[1]
        if not self.alpha or len(shown) < 2 or not inside:
            return super().loss(output, batch, ctx)
        responses = self.responses(shown, output, batch, ctx)
        factors = self.factors(shown, self.scores(shown, responses, batch, ctx), ctx)
        mixed = (factors.view(-1, 1, 1) * responses).sum(0)
        # The value is that of f(all), the gradient that of the responses, each times its factor.
        logits = output.fused.detach() + (mixed - mixed.detach())
        return mean_loss(logits, batch, ctx)

    @torch.no_grad()
    def edit_gradients(self, output: Output, batch: Batch, ctx: Context) -> None:
        """Clip the gradient if that of the head has a large entry."""
        if not self.clip:
            return
        of_head = [p.grad for p in ctx.model.head.parameters() if p.grad is not None]
        everything = [p.grad for p in ctx.model.parameters() if p.grad is not None]
        if not of_head:
            return
        largest = torch.stack(torch._foreach_norm(of_head, math.inf)).max()
        norm = torch.stack(torch._foreach_norm(everything)).norm()
        factor = torch.where(largest > 1, (self.clip / norm).clamp_max(1.0), 1.0)
        torch._foreach_mul_(everything, factor)
        ctx.log(clipped=(factor < 1).to(norm.dtype))

    def responses(self, shown: Sequence[str], output: Output, batch: Batch, ctx: Context) -> Tensor:
        """o (M, B, C) of the modalities that some sample of the batch has."""
        model = ctx.model
        count = len(shown)
        features, logits = self.blank(shown, batch, ctx)
        if model.head.decomposable:
            own = [output.logits[m] for m in shown]
            present = [batch.present[m] for m in shown]
            return separate_responses(own, [logits[m] for m in shown], present, output.fused)
        if count > MOST_EXACT:
            order = torch.randperm(count, generator=ctx.rng).to(batch.index.device)
            place = rotated(order, batch.index)
            levels = [
                fused_of(dict(zip(shown, place < k, strict=True)), features, output, batch, model)
                for k in range(count)
            ]
            return ordered_responses(torch.stack([*levels, output.fused]), place)
        everywhere = torch.ones_like(batch.index, dtype=torch.bool)
        fused = {
            s: fused_of(dict.fromkeys(s, everywhere), features, output, batch, model)
            for s in subsets(shown)[:-1]
        }
        fused[tuple(shown)] = output.fused
        return torch.stack([shapley_value(m, fused, count) for m in shown])

    def blank(
        self, shown: Sequence[str], batch: Batch, ctx: Context
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Features (1, d_m) of each modality for an input of zeros, and logits (1, C) if needed."""
        if self._zeros is None:
            zeros = {m: map_input(x, one_zero) for m, x in batch.inputs.items()}
            everything = {m: torch.ones(1, dtype=torch.bool) for m in zeros}
            row = torch.zeros(1, dtype=torch.int64)
            self._zeros = Batch(zeros, everything, row, row).to(ctx.runtime.device)
        with evaluating(ctx.model):
            output = ctx.model(self._zeros, only=shown)
            # Read here, as logits are computed when they are asked for.
            logits = {m: output.logits[m] for m in shown} if ctx.model.head.decomposable else {}
            return dict(output.features), logits

    @torch.no_grad()
    def scores(self, shown: Sequence[str], responses: Tensor, batch: Batch, ctx: Context) -> Tensor:
        """s (M,), the cross-entropy of each response over the samples of all ranks that have it."""
        found = []
        for modality, response in zip(shown, responses, strict=True):
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
