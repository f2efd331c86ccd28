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

from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.checks import integer, not_negative, require
from equipoise.methods.baselines.joint import Joint
from equipoise.methods.parts.idle import warn_of_frozen_encoders
from equipoise.methods.parts.unimodal_teachers import ask, make_teachers, train_teachers
from equipoise.training.context import Context


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
        self.teachers = make_teachers(ctx)

    def on_phase_start(self, ctx: Context) -> None:
        """Train the teachers, from the encoders' own start and classifiers of zeros."""
        if not self.teaches:
            return
        epochs = ctx.epochs if isinstance(self.teacher_epochs, str) else self.teacher_epochs
        train_teachers(self.teachers, epochs, ctx)

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        loss = super().loss(output, batch, ctx)
        for modality, taught in self.taught(batch).items():
            distance = (output.features[modality] - taught).square().mean(1)
            loss = loss + self.weight * ctx.sample_mean(distance, batch.present[modality])
        return loss

    def taught(self, batch: Batch) -> dict[str, Tensor]:
        """{modality: z' (B, d_m)}, the features of the teachers; empty where there are none."""
        return dict(ask(self.teachers, batch).features) if self.teaches else {}
