r"""MMIN: a missing modality imagination network.

Zhao, Li, Jin. Missing Modality Imagination Network for Emotion Recognition with Uncertain Missing
Modalities. ACL-IJCNLP 2021.
Code: github.com/AIM3-RUC/MMIN

Idea:
    A teacher, encoders and a linear classifier of their features, is trained on all content there
    is and then frozen. The student starts from the teacher's encoders and sees some of the
    modalities of each sample. A cascade of residual autoencoders imagines the missing features, a
    second cascade imagines the student's input back from them, and a classifier reads the codes of
    the first cascade.

    Where training content is hidden only (the simulated regime), a sample keeps its own mask. In
    other samples, and in the strict regime, the shown modalities are drawn: every non-empty set is
    equally likely.

    Until the student trains, validation sees a cascade that has learned nothing, so no epoch of the
    teacher is chosen, and `patience` counts none.

    Any number of modalities. Cost: 2 − t forward passes and 1 backward pass, where t is the
    teacher's fraction of the epochs, and two cascades.

Equations:
    With the student's joint vector $E$, zeros where nothing is shown, $\hat E$ imagined from $E$,
    and $E'$ imagined back from $\hat E$:

    $$L = \mathrm{CE}(f, y) + \alpha \, \mathrm{MSE}(\hat E, T)
        + \beta \, \mathrm{MSE}(E', \mathrm{sg}(E))$$

    where $\mathrm{sg}$ stops the gradient. $T$ holds the teacher's features of what is hidden from
    the student and zeros where it is shown, so that $\hat E$ learns the missing part. A sample of
    which nothing is hidden has no $\alpha$ term, and cells without content do not count in it.

    The defaults of $\alpha$ and $\beta$ are those for IEMOCAP; for MSP-IMPROV they are 2 and 0.5,
    with the head option `share_weight`.

Where published code departs:
    an absent modality is the encoding of an input of
    zeros; here its feature is zero                      not offered
    the teacher's classifier is not linear; here it is   not offered
    the teacher has 20 of 80 epochs; here half of them   `teacher: 0.25`
    the complete set of modalities is never drawn, and
    no test sample is complete; here the student sees
    complete samples, as test samples may be complete    `include_complete: false`
    dropout of 0.5                                       head option `dropout: 0.5`
    trained with Adam at a rate of 2e-4: SGD moves ten
    autoencoders in a row slowly, and needs several
    times the epochs of joint training                   `optimiser.name`, `optimiser.lr`
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor

from equipoise.batch import Batch
from equipoise.checks import not_negative, require
from equipoise.heads.mmin import MMIN as Head
from equipoise.heads.parts.imagining import ImaginingHead
from equipoise.heads.parts.imputing import shown
from equipoise.methods.parts.hiding import any_of, hidden, keep_some
from equipoise.methods.parts.losses import mean_loss
from equipoise.methods.parts.reconstruction import row_errors
from equipoise.methods.parts.teacher import TeacherStudent
from equipoise.model import Model
from equipoise.training.context import Context

_Head = TypeVar("_Head", bound=ImaginingHead)


def imagination_loss(
    imagined: Mapping[str, Tensor],
    taught: Mapping[str, Tensor],
    kept: Mapping[str, Tensor],
    batch: Batch,
    ctx: Context,
) -> Tensor:
    """MSE(Ê, T) over the existing cells of the samples with a hidden cell, a scalar.

    Args:
        imagined: {modality: (B, d_m)}, Ê.
        taught: {modality: (B, d_m)}, the teacher's features of all content there is; a modality
            without any may be left out.
        kept: {modality: bool (B,)}, the cells that the student is shown.
        batch: the samples; its existing cells count.
        ctx: takes the mean over the samples of all ranks.
    """
    unseen = hidden(batch, kept)
    targets = {m: torch.where(unseen[m].unsqueeze(1), z, 0.0) for m, z in taught.items()}
    return ctx.sample_mean(row_errors(imagined, targets, batch.existing), any_of(unseen))


class Imagination(TeacherStudent[_Head]):
    """Base of MMIN and IF-MMIN: a student that imagines what is hidden from it.

    Args:
        imagination: α, the weight of MSE(Ê, T).
        teacher: fraction of the epochs that train the teacher.
        include_complete: let the student see complete samples too.
        clip: largest norm of the gradient of each encoder and each part of the head; 0 for no
            limit.
    """

    def __init__(
        self, imagination: float, teacher: float, include_complete: bool, clip: float
    ) -> None:
        super().__init__(teacher, include_complete, clip)
        require(type(self).__name__, not_negative("imagination", imagination))
        self.imagination = imagination

    def hide(self, batch: Batch, ctx: Context) -> tuple[dict[str, Tensor], Tensor]:
        """Choose what the student is shown.

        Returns:
            {modality: bool (B,)}, the shown cells, and the joint vector (B, D) of their features.
        """
        kept = keep_some(batch, ctx, self.include_complete)
        features = shown(ctx.model.encode(batch), kept)
        return kept, self.head(ctx.model).joint(features, len(batch))


class MMIN(Imagination[Head]):
    """Missing modality imagination network.

    Args:
        imagination: α, the weight of imagining the missing features.
        cycle: β, the weight of imagining the input back.
        teacher: fraction of the epochs that train the teacher; it gets at least one where there are
            two.
        include_complete: let the student see complete samples too; false is the published draw.
        clip: largest norm of the gradient of each encoder and each part of the head, 1 as
            published; 0 for no limit.
    """

    name = "mmin"
    kind = Head

    def __init__(
        self,
        imagination: float = 4.0,
        cycle: float = 2.0,
        teacher: float = 0.5,
        include_complete: bool = True,
        clip: float = 1.0,
    ) -> None:
        super().__init__(imagination, teacher, include_complete, clip)
        require("MMIN", not_negative("cycle", cycle))
        self.cycle = cycle

    def teach(self, batch: Batch, ctx: Context) -> Tensor:
        head = self.head(ctx.model)
        logits, _ = head.teacher.fuse(ctx.model.encode(batch), {}, batch.present)
        return mean_loss(logits, batch, ctx)

    def study(self, batch: Batch, ctx: Context) -> Tensor:
        head = self.head(ctx.model)
        kept, joint = self.hide(batch, ctx)
        code, imagined = head.restore(joint)
        back = (head.imagine_back(imagined) - joint.detach()).square().mean(1)
        taught = self.teacher.answer(Model.encode, batch.revealed())
        missing = imagination_loss(head.split(imagined), taught, kept, batch, ctx)
        return (
            mean_loss(head.classify(code), batch, ctx)
            + self.imagination * missing
            + self.cycle * ctx.sample_mean(back)
        )
