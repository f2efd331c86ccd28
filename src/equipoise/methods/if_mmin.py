"""IF-MMIN: MMIN led by modality-invariant features.

Zuo, Liu, Zhao, Gao, Li. Exploiting Modality-Invariant Feature for Robust Multimodal Emotion Recognition with Missing
Modalities. 2022. Code: github.com/ZhuoYulang/IF-MMIN

An encoder S that all modalities share maps their features E_m to features of one distribution, I = [S(E_1); …;
S(E_M)]. The teacher learns from all content there is,

    L = CE(f([E; I]), y) + mean over the pairs of modalities of CMD(S(E_i), S(E_j))

with CMD(X, Y) = ‖mean X − mean Y‖ + Σ_{k=2..5} ‖c_k(X) − c_k(Y)‖, c_k the central moments over the batch. The student
is MMIN's, but for I, which enters every block of the cascade, and for the term that replaces imagining back:

    L = CE(f, y) + α MSE(Ê, T) + ρ MSE(I, I_teacher)

I of what the student is shown, I_teacher of all there is (cells whose content does not exist left out). T and what is
hidden are as in MMIN. CMD compares each modality's moments over the samples that have it.

Where it departs from the published code: its cascade has changed over time, see the head's option `cascade`; its
script sets ρ = 100 through an option it does not know, its default is 1 and so is ours; the gradient of a norm at
zero is infinite there. For dropout, the feature of absent modalities, `teacher`, `patience`, `include_complete` and
why to prefer Adam (2e-4 as published) to SGD see MMIN. Any number of modalities, with features of one width. Cost:
2 − t forward passes and 1 backward pass, t the teacher's share of the epochs, and a cascade.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from equipoise.batch import Batch
from equipoise.checks import not_negative, require
from equipoise.heads.if_mmin import IFMMIN as Head
from equipoise.methods.mmin import Imagination, imagination_loss
from equipoise.methods.moments import discrepancy
from equipoise.methods.reconstruction import classification, row_errors
from equipoise.model import Model

if TYPE_CHECKING:
    from equipoise.training.context import Context

Features = dict[str, Tensor]


class IFMMIN(Imagination[Head]):
    """The imagination network with invariant features.

    Args:
        invariance: ρ, the weight of MSE(I, I_teacher).
    """

    name = "if-mmin"
    kind = Head

    def __init__(
        self,
        imagination: float = 1.0,
        invariance: float = 1.0,
        teacher: float = 0.5,
        include_complete: bool = True,
        clip: float = 1.0,
    ) -> None:
        super().__init__(imagination, teacher, include_complete, clip)
        require("IFMMIN", not_negative("invariance", invariance))
        self.invariance = invariance

    def teach(self, batch: Batch, ctx: Context) -> Tensor:
        head = self.head(ctx.model)
        features, invariant = self.look(ctx.model, batch)
        both = {m: torch.cat([features[m], invariant[m]], 1) for m in features}
        logits = head.teacher.fuse(both, {}, batch.present)[0]
        return classification(logits, batch, ctx) + discrepancy(invariant, batch.present, ctx)

    def study(self, batch: Batch, ctx: Context) -> Tensor:
        head = self.head(ctx.model)
        kept, joint = self.hide(batch, ctx)
        code, imagined = head.restore(joint)
        taught, known = self.teacher.answer(self.look, batch.revealed())
        drift = row_errors(head.invariants(joint), known, batch.existing)
        return (
            classification(head.classify(code), batch, ctx)
            + self.imagination * imagination_loss(head.split(imagined), taught, kept, batch, ctx)
            + self.invariance * ctx.sample_mean(drift)
        )

    def look(self, model: Model, batch: Batch) -> tuple[Features, Features]:
        """Features E_m and invariant features S(E_m) of every modality, zeros and S(0) where it is absent."""
        head = self.head(model)
        joint = head.joint(model.encode(batch), len(batch))
        return head.split(joint), head.invariants(joint)
