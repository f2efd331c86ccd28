r"""G2D: unimodal teachers, and an order of modalities by their confidence.

Rakib, Bagavathi. G2D: Boosting Multimodal Learning with Gradient-Guided Distillation. ICCV 2025.
Code: github.com/rAIson-Lab/G2D

Idea:
    A teacher is trained on each modality alone. The network then learns from the labels, from the
    teachers' predictions and from their features. In the first half of the training the modalities
    take turns, the weakest first: only one of them trains, and the strongest, by the confidence of
    its teacher, waits. Afterwards all train together.

    A modality that waits leaves the step: its encoder runs in evaluation mode, and neither the
    encoder nor its part of the head gets a gradient, so that momentum, weight decay and statistics
    do not change them. A gradient of zero, as published, would still move them under Adam.

    Any number of modalities: the turns share the first half equally, as for two the published 150
    of 300 epochs. A teacher teaches the samples that have its modality. The teachers are trained as
    those of `umt`, before the first epoch, and take as long as joint training does.

Equations:
    With $t_m$ and $z'_m$ the logits and the features of the teachers, and $d_m$ the width,

    $$L = \mathrm{CE}(f, y) + \sum_m \left[ \beta \tau^2 \, \mathrm{KL} \left(
    \mathrm{softmax}(t_m / \tau) \,\|\, \mathrm{softmax}(f / \tau) \right)
    + \alpha \, \lVert z_m - z'_m \rVert^2 / d_m \right]$$

    and all weights and $\tau$ are 1. The order of the modalities is that of

    $$\rho_m = \mathrm{mean}_i \, \mathrm{softmax}(t_m)_y$$

    over the training samples. With $\alpha = \beta = 0$ and no turns it is joint training.

    The head is `sum`. The authors average the logits instead: `head.reduction` mean. On CREMA-D
    they report 85.89, and 78.63 without turns, where the best epoch was chosen on the test split.

Where published code departs:
    gradients of convolutions are multiplied by 0, and all else
    of a waiting modality trains on                                not offered
    the order is found anew in every batch, from its samples       not offered
    the paper's feature term is a sum over the width               `feature_weight`
    two modalities of equal confidence are an error                not offered
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from equipoise.batch import Batch, Output
from equipoise.checks import inside, integer, not_negative, positive, require
from equipoise.evaluating import evaluating
from equipoise.methods.baselines.joint import Joint
from equipoise.methods.parts.losses import true_probability
from equipoise.methods.parts.stages import cycle_lengths
from equipoise.methods.parts.table_values import table_means
from equipoise.methods.parts.unimodal_teachers import ask, make_teachers, train_teachers
from equipoise.training.context import Context


def divergence(teacher: Tensor, student: Tensor, temperature: float) -> Tensor:
    """τ² KL(softmax(t / τ) ‖ softmax(f / τ)) (B,) of logits t and f (B, C)."""
    t = (teacher / temperature).log_softmax(1)
    f = (student / temperature).log_softmax(1)
    return temperature**2 * F.kl_div(f, t, reduction="none", log_target=True).sum(1)


def turn(epoch: int, epochs: int, count: int, fraction: float) -> int | None:
    """The number of the turn in an epoch, 0 for that of the weakest modality; None afterwards.

    Args:
        epoch: from 0.
        epochs: of the training.
        count: number of modalities M; there are M − 1 turns.
        fraction: of the epochs that all turns take.
    """
    for number, length in enumerate(cycle_lengths(round(fraction * epochs), max(count - 1, 1))):
        if epoch < length:
            return number if count > 1 else None
        epoch -= length
    return None


class G2D(Joint):
    """Gradient-guided distillation.

    Args:
        weight: β, the weight of the teachers' predictions; 0 for none.
        feature_weight: α, the weight of the distance from the teachers' features; 0 for none.
        temperature: τ of the predictions.
        turns: fraction of the epochs in which the weaker modalities train one by one; 0 for no
            turns.
        teacher_epochs: number of epochs for which the teachers train; "auto" for as many as the
            network.

    Attributes:
        confidence: ρ (M,) of the teachers.
    """

    confidence: Tensor

    def __init__(
        self,
        weight: float = 1.0,
        feature_weight: float = 1.0,
        temperature: float = 1.0,
        turns: float = 0.5,
        teacher_epochs: int | str = "auto",
    ) -> None:
        super().__init__()
        require(
            "G2D",
            not_negative("weight", weight),
            not_negative("feature_weight", feature_weight),
            positive("temperature", temperature),
            inside("turns", turns, "[0, 1]"),
        )
        if teacher_epochs != "auto":
            require("G2D", integer("teacher_epochs", teacher_epochs, 1))
        self.weight = weight
        self.feature_weight = feature_weight
        self.temperature = temperature
        self.turns = turns
        self.teacher_epochs = teacher_epochs
        self.teaches = bool(weight or feature_weight or turns)

    def setup(self, ctx: Context) -> None:
        """Allocate the teachers, which train when the phase starts."""
        like = next(ctx.model.parameters())
        self.register_buffer("confidence", like.new_zeros(len(ctx.model.modalities)))
        if self.teaches:
            self.teachers = make_teachers(ctx)

    def on_phase_start(self, ctx: Context) -> None:
        """Train the teachers, and compare them on the training table."""
        if not self.teaches:
            return
        epochs = ctx.epochs if isinstance(self.teacher_epochs, str) else self.teacher_epochs
        train_teachers(self.teachers, epochs, ctx)

        def values(output: Output, batch: Batch) -> Tensor:
            logits = ask(self.teachers, batch).logits
            columns = [
                true_probability(logits[m], batch.label).masked_fill(~batch.present[m], torch.nan)
                for m in ctx.model.modalities
            ]
            return torch.stack(columns, 1)

        self.confidence.copy_(table_means(ctx, ctx.train, values).nan_to_num(0.0))
        pairs = zip(ctx.model.modalities, self.confidence, strict=True)
        ctx.log(**{f"confidence/{m}": value for m, value in pairs})

    def waiting(self, ctx: Context) -> tuple[str, ...]:
        """The modalities that wait in this epoch."""
        modalities = ctx.model.modalities
        number = turn(ctx.epoch, ctx.epochs, len(modalities), self.turns)
        if number is None:
            return ()
        chosen = modalities[int(self.confidence.argsort()[number])]
        return tuple(m for m in modalities if m != chosen)

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        loss = super().loss(output, batch, ctx)
        if not (self.weight or self.feature_weight):
            return loss
        taught = ask(self.teachers, batch)
        for modality in ctx.training:
            here = batch.present[modality]
            if self.weight:
                apart = divergence(taught.logits[modality], output.fused, self.temperature)
                loss = loss + self.weight * ctx.sample_mean(apart, here)
            if self.feature_weight:
                moved = output.features[modality] - taught.features[modality]
                loss = loss + self.feature_weight * ctx.sample_mean(moved.square().mean(1), here)
        return loss

    def step(self, batch: Batch, ctx: Context) -> None:
        waiting = self.waiting(ctx)
        active = [m for m in ctx.model.modalities if m not in waiting]
        encoders = [ctx.model.encoders[m] for m in waiting]
        with evaluating(*encoders), torch.no_grad():
            still = ctx.model.encode(batch, waiting)
        features = {**still, **ctx.model.encode(batch, active)}
        ordered = {m: features[m] for m in ctx.model.modalities if m in features}
        ctx.backward(self.loss(ctx.model.read(ordered, batch.present), batch, ctx))
        for modality in waiting:
            # Left alone, these gradients would be added to those of the step in which it moves.
            for parameter in ctx.model.group(modality).head:
                parameter.grad = None
        ctx.update(active)
