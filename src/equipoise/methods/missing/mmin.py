"""MMIN: a missing modality imagination network.

Zhao, Li, Jin. Missing Modality Imagination Network for Emotion Recognition with Uncertain Missing
Modalities. ACL-IJCNLP 2021. Code: github.com/AIM3-RUC/MMIN

A teacher, encoders and a linear classifier of their features, is trained on all content there is
and frozen. The student starts from its encoders and sees some of the modalities of each sample.
With E its joint vector, zeros where nothing is shown, a cascade of residual autoencoders imagines
Ê, a second one E' back from Ê, and the cascade's codes are classified:

    L = CE(f, y) + α MSE(Ê, T) + β MSE(E', sg(E))

T holds the teacher's features of what is hidden from the student and zeros where it is shown, so
that Ê learns the missing part; a sample of which nothing is hidden has no α term, and cells without
content do not count in it. Where training content is hidden only (the simulated regime), a sample
keeps its own mask. In other samples, and in the strict regime, the shown modalities are drawn, any
non-empty set alike. The published draw leaves the complete set out, and its test has no complete
sample; here `include_complete` lets the student see them, as test samples may be complete.

Where it departs from the published code: an absent modality has the feature zero where that code
encodes an input of zeros; the teacher's classifier is linear; the teacher has half of the epochs,
20 of 80 there (`teacher: 0.25`); dropout 0.5 is an option of the head, off by default. α and β are
those for IEMOCAP (for MSP-IMPROV 2 and 0.5, with head option `share_weight`). It was trained with
Adam at a rate of 2e-4: SGD moves ten autoencoders in a row slowly, and needs several times the
epochs of joint training. Until the student trains, validation looks at a cascade that has learned
nothing: give `patience` more epochs than the teacher has. Any number of modalities. Cost: 2 − t
    forward passes and 1 backward pass, t the teacher's share of the epochs, and two cascades.
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
from equipoise.methods.parts.reconstruction import classification, row_errors
from equipoise.methods.parts.teacher import TeacherStudent
from equipoise.model import Model
from equipoise.training.context import Context

J = TypeVar("J", bound=ImaginingHead)


def imagination_loss(
    imagined: Mapping[str, Tensor],
    taught: Mapping[str, Tensor],
    kept: Mapping[str, Tensor],
    batch: Batch,
    ctx: Context,
) -> Tensor:
    """MSE(Ê, T) over the existing cells of the samples of which something is hidden.

    Args:
        imagined: {modality: (B, d_m)}, Ê.
        taught: the teacher's features of all content there is; a modality without any may be left
            out.
        kept: {modality: bool (B,)}, what the student is shown.
        batch: the samples, with what exists.
        ctx: takes the mean over the samples of all ranks.
    """
    unseen = hidden(batch, kept)
    targets = {m: torch.where(unseen[m].unsqueeze(1), z, 0.0) for m, z in taught.items()}
    return ctx.sample_mean(row_errors(imagined, targets, batch.existing), any_of(unseen))


class Imagination(TeacherStudent[J]):
    """What MMIN and IF-MMIN share: a student that imagines what is hidden from it.

    Args:
        imagination: α, the weight of MSE(Ê, T).
    """

    def __init__(
        self, imagination: float, teacher: float, include_complete: bool, clip: float
    ) -> None:
        super().__init__(teacher, include_complete, clip)
        require(type(self).__name__, not_negative("imagination", imagination))
        self.imagination = imagination

    def hide(self, batch: Batch, ctx: Context) -> tuple[dict[str, Tensor], Tensor]:
        """{modality: bool (B,)}, what the student is shown, and the joint vector (B, D) of that."""
        kept = keep_some(batch, ctx, self.include_complete)
        return kept, self.head(ctx.model).joint(shown(ctx.model.encode(batch), kept), len(batch))


class MMIN(Imagination[Head]):
    """The imagination network.

    Args:
        cycle: β, the weight of imagining back.
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
        return classification(
            head.teacher.fuse(ctx.model.encode(batch), {}, batch.present)[0], batch, ctx
        )

    def study(self, batch: Batch, ctx: Context) -> Tensor:
        head = self.head(ctx.model)
        kept, joint = self.hide(batch, ctx)
        code, imagined = head.restore(joint)
        back = (head.imagine_back(imagined) - joint.detach()).square().mean(1)
        taught = self.teacher.answer(Model.encode, batch.revealed())
        return (
            classification(head.classify(code), batch, ctx)
            + self.imagination * imagination_loss(head.split(imagined), taught, kept, batch, ctx)
            + self.cycle * ctx.sample_mean(back)
        )
