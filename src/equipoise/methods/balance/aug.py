"""AUG: sustained boosting, another classifier for the modality that lags behind.

Jiang, Huang, Yang. Rethinking Multimodal Learning from the Perspective of Mitigating Classification
Ability Disproportion. NeurIPS 2025.
Code: github.com/njustkmg/NeurIPS25-AUG

Modality m predicts by n_m classifiers on one encoder, v_m = Σ_t v_mt (head `sustained`). The newest
one, n = n_m, learns what the earlier ones leave, and the sums with and without it learn the label:

    L_m = CE(v_mn, ŷ) + CE(Σ_{t ≤ n} v_mt, y) + CE(Σ_{t < n} v_mt, y),   ŷ = y − λ Σ_{t < n} y ⊙ softmax(v_mt)
    L_m = CE(v_m1, y)  while n = 1;      L = Σ_m L_m

where y is one-hot, so that the first term is (1 − λ Σ_{t<n} softmax(v_mt)[y]) CE(v_mn, y); ŷ is a
constant. From four classifiers on the paper's bracket can fall below 0, and its term be lowered
without end by unlearning the label; here it stops at 0, where nothing is left to learn. Every
`every` epochs the classifiers' ability is compared by s_m, the mean probability of the true class
over the last epoch:

    if s_strong − σ s_weak > τ, the weak modality gets another classifier

Why it is among the newer methods here: loss and assignment were read in the paper as well as in the
code. Where the code departs: the residual takes the softmax of the summed earlier logits
(`residual: sum`), λ = 0.5; the modalities step one after the other through the shared layer (here
together); the check compares the ratio of the summed probabilities with 1 ± 0.01, every tenth of
the training and after the first epoch; the epoch is chosen on the test split. Unverified: the
paper's λ per data set (it tries 0.1 to 1), and whether its s is a sum or a mean; with a mean, τ =
0.01 means one point of probability whatever the size of the data.

More than two modalities: the strongest and the weakest are compared, which for two is the paper's
rule. Cost: as joint training, and small linear layers; at most `most` classifiers per modality (an
option of the head).
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.checks import choice, inside, not_negative, positive, require, whole
from equipoise.errors import ConfigError
from equipoise.heads.sustained import Sustained
from equipoise.methods.parts.idle import warn_of_a_short_run, warn_of_one_modality
from equipoise.methods.parts.losses import cross_entropy, true_probability
from equipoise.training.context import Context
from equipoise.training.method import Method

RESIDUALS = ("each", "sum")


def boosting_losses(
    parts: list[Tensor], label: Tensor, weight: float, residual: str = "each"
) -> Tensor:
    """L_m (B,) of each sample, from the logits (B, C) of the modality's classifiers, oldest first."""
    if len(parts) == 1:
        return cross_entropy(parts[0], label)
    earlier = torch.stack(parts[:-1])
    before = earlier.sum(0)
    known = earlier.softmax(2).sum(0) if residual == "each" else before.softmax(1)
    left = (1 - weight * known.gather(1, label.unsqueeze(1)).squeeze(1).detach()).clamp_min(0)
    losses = [cross_entropy(u, label) for u in (parts[-1], before + parts[-1], before)]
    return left * losses[0] + losses[1] + losses[2]


def lagging(scores: Tensor, factor: float, margin: float) -> int | None:
    """The number of the weakest of the scores (M,), if s_strong − σ s_weak > τ."""
    return int(scores.argmin()) if bool(scores.max() - factor * scores.min() > margin) else None


class AUG(Method):
    """Sustained boosting with adaptive classifier assignment.

    Args:
        residual_weight: λ, in [0, 1].
        residual: "each" as above, or "sum", of which the softmax is taken once.
        every: epochs between two comparisons.
        factor: σ, greater than 0.
        margin: τ, at least 0.
    """

    confidence: Tensor
    full = False  # True once it was told that a modality has all the classifiers there may be

    def __init__(
        self,
        residual_weight: float = 0.5,
        residual: str = "each",
        every: int = 20,
        factor: float = 1.0,
        margin: float = 0.01,
    ) -> None:
        super().__init__()
        require(
            "AUG",
            inside("residual_weight", residual_weight, "[0, 1]"),
            choice("residual", residual, RESIDUALS),
            whole("every", every, 1),
            positive("factor", factor),
            not_negative("margin", margin),
        )
        self.residual_weight = residual_weight
        self.residual = residual
        self.every = every
        self.factor = factor
        self.margin = margin

    def setup(self, ctx: Context) -> None:
        """Allocate the confidences, and warn where there is nothing to compare, or no time to.

        Raises:
            ConfigError: the head cannot take more classifiers.
        """
        if not isinstance(ctx.model.head, Sustained):
            raise ConfigError(
                f"method 'aug' adds classifiers, and {type(ctx.model.head).__name__} cannot take any; "
                "use head 'sustained'"
            )
        if self.factor < 1 or not warn_of_one_modality("method 'aug'", ctx):
            warn_of_a_short_run("aug", self.every, "every", ctx)
        reference = next(ctx.model.parameters())
        self.register_buffer(
            "confidence", reference.new_zeros(2, len(ctx.model.modalities))
        )  # sums and counts

    def on_epoch_start(self, ctx: Context) -> None:
        head = ctx.model.head
        assert isinstance(head, Sustained)
        if ctx.epoch and ctx.epoch % self.every == 0:
            scores = self.confidence[0] / self.confidence[1].clamp_min(1)
            weakest = lagging(scores, self.factor, self.margin)
            if weakest is not None and not head.add(head.modalities[weakest]) and not self.full:
                self.full = True
                name = head.modalities[weakest]
                warnings.warn(
                    f"method 'aug': {name!r} has the head's 'most' classifiers, no more",
                    stacklevel=2,
                )
        self.confidence.zero_()

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        head = ctx.model.head
        assert isinstance(head, Sustained)
        total = output.fused.new_zeros(())
        for modality in ctx.training:
            if batch.counts[modality]:
                parts = list(head.parts(modality, output.features[modality]))
                losses = boosting_losses(parts, batch.label, self.residual_weight, self.residual)
            else:  # still one of the ranks that count the samples
                losses = output.fused.new_zeros(len(batch))
            total = total + ctx.sample_mean(losses, batch.present[modality])
        return total

    @torch.no_grad()
    def edit_gradients(self, output: Output, batch: Batch, ctx: Context) -> None:
        true = torch.stack(
            [true_probability(output.logits[m], batch.label) for m in ctx.model.modalities]
        )
        here = torch.stack([batch.present[m] for m in ctx.model.modalities])
        self.confidence += ctx.sum(torch.stack([(true * here).sum(1), here.sum(1).to(true.dtype)]))
