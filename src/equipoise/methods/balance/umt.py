r"""UMT: uni-modal teachers.

Du, Li, Liu, Wen, Hua, Wang, Zhao. Improving Multi-Modal Learning with Uni-Modal Teachers. 2021
(arXiv 2106.11059).
Du, Teng, Li, Liu, Yuan, Wang, Yuan, Zhao. On Uni-Modal Feature Learning in Supervised Multi-Modal
Learning. ICML 2023.
Re-implementation: github.com/GeWu-Lab/BalanceBenchmark

Idea:
    Joint training leaves encoders worse than training each alone does. So the encoders are first
    trained one by one, each with a linear classifier of its own. These teachers are then frozen,
    and the network, which starts where they started, is trained to agree with their features where
    a modality is present.

    The teachers are trained by the same optimiser and schedule (over their own number of epochs),
    before the first epoch, and are part of the checkpoints; a run that is stopped meanwhile trains
    them again. They take as long as joint training does, and then a forward pass per encoder and
    step, without gradient. Any head and any number of modalities can be used. The companion UME,
    the mean of the teachers' predictions, is method `late`.

Equations:
    With $z'_m$ the features of the teacher, and a mean over samples and dimensions,

    $$L = \mathrm{CE}(f, y) + \lambda \sum_m \mathrm{mean} \, (z_m - z'_m)^2$$

    No code of the authors is known, and the papers' $\lambda$ (one per data set) could not be
    consulted. The default of 1 is ours: the encoders here may be any, and under large features a
    larger weight drives the step too far.

Where published code departs:
    BalanceBenchmark has λ = 10, which wants features of a bounded
    size                                                             `weight: 10`
    BalanceBenchmark looks its teachers up in other runs' folders    not offered
    BalanceBenchmark distils up to epoch 80                          not offered
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from equipoise.batch import Batch, Output
from equipoise.checks import integer, not_negative, require
from equipoise.heads.linear import Late as LateHead
from equipoise.methods.baselines.joint import Joint
from equipoise.methods.baselines.late import Late
from equipoise.methods.parts.idle import warn_of_frozen_encoders
from equipoise.model import Model
from equipoise.training.context import Context
from equipoise.training.phase import Phase
from equipoise.training.trial import fork, try_out


class UMT(Joint):
    """Distillation from unimodal teachers.

    Args:
        weight: λ, the weight of the distance from the teachers' features; 0 for joint training,
            without teachers.
        teacher_epochs: number of epochs for which the teachers train; "auto" for as many as the
            network.
    """

    def __init__(self, weight: float = 1.0, teacher_epochs: int | str = "auto") -> None:
        super().__init__()
        require("UMT", not_negative("weight", weight))
        if teacher_epochs != "auto":
            require("UMT", integer("teacher_epochs", teacher_epochs, 1))
        self.weight = weight
        self.teacher_epochs = teacher_epochs
        self.teaches = weight > 0

    def setup(self, ctx: Context) -> None:
        """Allocate the teachers, which train when the phase starts.

        Where no encoder trains there is nothing to teach: it warns, and there are no teachers.
        """
        self.teaches = self.weight > 0 and not warn_of_frozen_encoders("method 'umt'", ctx)
        if not self.teaches:
            return
        # Copied without their counters: the passes of the teachers are counted once, below.
        with ctx.passes.detached():
            encoders = copy.deepcopy(ctx.model.encoders)
        head = ctx.model.head
        classifiers = LateHead(head.widths, head.classes)
        self.teachers = Model(dict(encoders.items()), classifiers, ctx.model.precision)
        self.teachers.to(next(ctx.model.parameters()))
        ctx.passes.attach(self.teachers)

    def on_phase_start(self, ctx: Context) -> None:
        """Train the teachers, from the encoders' own start and classifiers of zeros."""
        if not self.teaches:
            return
        self.teachers.encoders.load_state_dict(ctx.model.encoders.state_dict())
        for parameter in self.teachers.head.parameters():
            nn.init.zeros_(parameter)
        epochs = ctx.epochs if isinstance(self.teacher_epochs, str) else self.teacher_epochs
        try_out(fork(ctx, self.teachers, epochs=epochs), Late(), Phase(epochs))

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        loss = super().loss(output, batch, ctx)
        for modality, taught in self.taught(batch).items():
            distance = (output.features[modality] - taught).square().mean(1)
            loss = loss + self.weight * ctx.sample_mean(distance, batch.present[modality])
        return loss

    @torch.no_grad()
    def taught(self, batch: Batch) -> dict[str, Tensor]:
        """{modality: z' (B, d_m)}, the features of the teachers; empty where there are none."""
        if not self.teaches:
            return {}
        self.teachers.eval()
        return dict(self.teachers(batch).features)
