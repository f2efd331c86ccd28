r"""OPM: on-the-fly prediction modulation.

Wei, Hu, Du, Wen. On-the-fly Modulation for Balanced Multimodal Learning. IEEE TPAMI 2024.
Code: github.com/GeWu-Lab/BML_TPAMI2024

Idea:
    In joint training the features of the leading modality are dropped at random, the more often the
    further it leads, so that the others have to make up for it. Prediction drops and rescales
    nothing.

    In a fraction $1 - p$ of the batches, and in the first epochs, nothing is dropped. The weakest
    modality of a batch is never dropped, so that only samples which lack it can lose everything
    they have. With more than two modalities all that do better than the mean of the others are
    dropped, each by its own lead. The cost is that of joint training; the head runs twice.

Equations:
    $s_m$ is the mean probability of the true class in $u_m$, the part of modality $m$ in the fused
    logits, taken without gradient. The ratio is the paper's $s_m / s_{m'}$ for two modalities:

    $$\rho_m = s_m \,/\, \mathrm{mean}_{j \neq m} \, s_j$$

    The drop rate is 0 unless $\rho_m > 1$, and then

    $$q_m = \mathrm{clip}(q \, (1 + \lambda \tanh(\rho_m - 1)), \, 0, \, 1)$$

    Over the modalities of a sample, of widths $d_m$, the fraction of feature dimensions that it is
    expected to lose is

    $$\theta = \sum_m d_m q_m \,/\, \sum_m d_m$$

    For each sample, with probability $1 - q_m$

    $$z_m \leftarrow z_m \,/\, (1 - \theta)$$

    and otherwise the modality counts as absent from it. The loss $L = \mathrm{CE}(f, y)$ is over
    the samples that keep a modality.

Where published code departs:
    BalanceBenchmark divides the scores in place, so that the second ratio is
    taken against an already divided score                                      not offered
    BalanceBenchmark compares with the sum of the other modalities              not offered
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.checks import inside, not_negative, require
from equipoise.methods.baselines.joint import Joint
from equipoise.methods.parts.auxiliary import require_decomposable
from equipoise.methods.parts.draws import sample_uniform
from equipoise.methods.parts.idle import warn_of_a_short_run, warn_of_one_modality
from equipoise.methods.parts.losses import fused_loss, mean_loss
from equipoise.methods.parts.scores import ratios, true_class_scores
from equipoise.training.context import Context


def drop_rates(ratio: Tensor, base: float, lead: float) -> Tensor:
    """q (M,): clip(base (1 + lead tanh(ρ − 1)), 0, 1) where ρ exceeds 1, else exactly 0."""
    rates = (base * (1 + lead * torch.tanh(ratio - 1))).clamp(0, 1)
    return torch.where(ratio > 1, rates, torch.zeros_like(rates))


@dataclass(frozen=True)
class Dropped:
    """Features with the drop applied.

    Attributes:
        features: {modality: (B, d_m)}, multiplied by 1 / (1 − θ), with θ of each sample.
        present: {modality: bool (B,)}, which modalities each sample still has.
    """

    features: dict[str, Tensor]
    present: dict[str, Tensor]


def lost_fraction(rates: dict[str, Tensor], output: Output, batch: Batch) -> Tensor:
    """θ (B,), the fraction of its feature dimensions that each sample is expected to lose.

    Args:
        rates: {modality: q_m (), a scalar}.
        output: gives the widths of the features.
        batch: tells which modalities a sample has.
    """
    widths = torch.stack([output.features[m].shape[1] * batch.present[m] for m in rates])  # (M, B)
    stacked = torch.stack(list(rates.values()))
    lost = stacked @ widths.to(stacked.dtype) / widths.sum(0).clamp_min(1)
    # Below 1, as it is divided by 1 − θ. A sample sure to lose everything has no loss anyway.
    return lost.clamp_max(1 - torch.finfo(lost.dtype).eps)


def drop(rates: dict[str, Tensor], output: Output, batch: Batch, ctx: Context) -> Dropped:
    """Drop each modality of each sample with its rate, and scale up the features that are left.

    Args:
        rates: {modality: q_m (), a scalar}.
        output: of the model on this batch.
        batch: the samples.
        ctx: draws.
    """
    drawn = sample_uniform(rates, batch, ctx)
    lost = lost_fraction(rates, output, batch)
    kept = {m: batch.present[m] & (drawn[m] >= rates[m]) for m in rates}
    features = {m: output.features[m] / (1 - lost).unsqueeze(1) for m in rates if batch.counts[m]}
    return Dropped(features, {**batch.present, **kept})


class OPM(Joint):
    """On-the-fly prediction modulation.

    Args:
        base: q, the drop rate of a modality that barely leads.
        lead: λ, the growth of the drop rate with the lead.
        probability: p, the fraction of the batches in which anything is dropped; 0 is joint
            training.
        warm_up: fraction of the epochs, of joint training, before anything is dropped.
    """

    def __init__(
        self, base: float = 0.5, lead: float = 0.5, probability: float = 0.7, warm_up: float = 0.05
    ) -> None:
        super().__init__()
        require(
            "OPM",
            inside("base", base, "[0, 1]"),
            not_negative("lead", lead),
            inside("probability", probability, "[0, 1]"),
            inside("warm_up", warm_up, "[0, 1]"),
        )
        self.base = base
        self.lead = lead
        self.probability = probability
        self.warm_up = warm_up

    def setup(self, ctx: Context) -> None:
        """Warn where there is nothing to drop, or the training ends within the warm-up.

        Raises:
            ConfigError: the fused logits are not a sum of one part per modality.
        """
        require_decomposable("method 'opm' compares", ctx.model.head)
        if self.probability and self.base and not warn_of_one_modality("method 'opm'", ctx):
            warn_of_a_short_run("opm", self.first(ctx), "warm_up", ctx)

    def first(self, ctx: Context) -> int:
        """Number of the first epoch in which features are dropped."""
        return round(self.warm_up * ctx.epochs)

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        shown = ctx.present_in(batch)
        # Drawn in every step, so that the stream of numbers does not depend on the batches.
        spared = float(torch.rand((), generator=ctx.rng)) >= self.probability
        if spared or ctx.epoch < self.first(ctx) or len(shown) < 2:
            return fused_loss(output, batch, ctx)
        ratio = ratios(true_class_scores(shown, output, batch, ctx))
        rates = drop_rates(ratio, self.base, self.lead)
        ctx.log(**{f"drop/{m}": rate for m, rate in zip(shown, rates, strict=True)})
        left = drop(dict(zip(shown, rates, strict=True)), output, batch, ctx)
        logits = ctx.model.read(left.features, left.present).fused
        return mean_loss(logits, batch, ctx, torch.stack([left.present[m] for m in shown]).any(0))
