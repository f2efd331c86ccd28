"""UMT: uni-modal teachers.

Du, Li, Liu, Wen, Hua, Wang, Zhao. Improving Multi-Modal Learning with Uni-Modal Teachers. 2021
(arXiv 2106.11059); Du, Teng, Li, Liu, Yuan, Wang, Yuan, Zhao. On Uni-Modal Feature Learning in
Supervised Multi-Modal Learning. ICML 2023. No code of the authors is known.

Joint training leaves encoders worse than training each alone does. So the encoders are first
trained one by one, each with a linear classifier of its own; these teachers are then frozen, and
the network, which starts where they started, is trained to agree with their features z'_m where a
modality is present:

    L = CE(f, y) + λ Σ_m mean over samples and dimensions of (z_m − z'_m)²

Works with any head and any number of modalities. The teachers are trained by the same optimiser and
schedule (over their own number of epochs), before the first epoch, and are part of the checkpoints;
a run that is stopped meanwhile trains them again. They take as long as joint training does, and
then a forward pass per encoder and step, without gradient. The companion UME, the mean of the
teachers' predictions, is method `late`.

The papers' λ (per data set) could not be consulted. The default of 1 is ours: BalanceBenchmark's 10
(`weight: 10`) wants features of a bounded size, as under large ones the distance drives the step
too far, and the encoders here may be any. BalanceBenchmark also looks its teachers up in other
runs' folders, and distils up to epoch 80 (not offered).
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from equipoise.batch import Batch, Output
from equipoise.checks import not_negative, require, whole
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
        weight: λ, our choice, see above; 0 for joint training, without teachers.
        teacher_epochs: how long the teachers train; null for as long as the network.
    """

    def __init__(self, weight: float = 1.0, teacher_epochs: int | None = None) -> None:
        super().__init__()
        lengths = [] if teacher_epochs is None else [whole("teacher_epochs", teacher_epochs, 1)]
        require("UMT", not_negative("weight", weight), *lengths)
        self.weight = weight
        self.teacher_epochs = teacher_epochs
        self.teaches = weight > 0

    def setup(self, ctx: Context) -> None:
        """Allocate the teachers; they have nothing to tell until a phase starts.

        Warns where no encoder trains: there is nobody to teach, and no teachers either.
        """
        self.teaches = self.weight > 0 and not warn_of_frozen_encoders("method 'umt'", ctx)
        if self.teaches:
            with ctx.passes.detached():  # their forward passes count, but once
                encoders = copy.deepcopy(ctx.model.encoders)
            head = ctx.model.head
            self.teachers = Model(
                dict(encoders.items()), LateHead(head.widths, head.classes), ctx.model.precision
            )
            self.teachers.to(next(ctx.model.parameters()))
            ctx.passes.attach(self.teachers)

    def on_phase_start(self, ctx: Context) -> None:
        """Train the teachers, from the encoders' own start and classifiers of zeros."""
        if self.teaches:
            self.teachers.encoders.load_state_dict(ctx.model.encoders.state_dict())
            for parameter in self.teachers.head.parameters():
                nn.init.zeros_(parameter)
            epochs = self.teacher_epochs or ctx.epochs
            try_out(fork(ctx, self.teachers, epochs=epochs), Late(), Phase(epochs))

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        loss = super().loss(output, batch, ctx)
        for modality, taught in self.taught(batch).items():
            distance = (output.features[modality] - taught).square().mean(1)
            loss = loss + self.weight * ctx.sample_mean(distance, batch.present[modality])
        return loss

    @torch.no_grad()
    def taught(self, batch: Batch) -> dict[str, Tensor]:
        """{modality: z' (B, d_m)}."""
        if not self.teaches:
            return {}
        self.teachers.eval()
        return dict(self.teachers(batch).features)
