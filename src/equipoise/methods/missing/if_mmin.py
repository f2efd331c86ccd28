"""IF-MMIN: MMIN led by modality-invariant features.

Zuo, Liu, Zhao, Gao, Li. Exploiting Modality-Invariant Feature for Robust Multimodal Emotion
Recognition with Missing Modalities. 2022. Code: github.com/ZhuoYulang/IF-MMIN

An encoder S that all modalities share maps their features E_m to features of one distribution, I =
[S(E_1); …; S(E_M)]. The teacher learns from all content there is,

    L = CE(f([E; I]), y) + mean over the pairs of modalities of CMD(S(E_i), S(E_j))

with CMD(X, Y) = ‖mean X − mean Y‖ + Σ_{k=2..5} ‖c_k(X) − c_k(Y)‖, c_k the central moments over the
batch. The student is MMIN's, but for I, which enters every block of the cascade, and for the term
that replaces imagining back:

    L = CE(f, y) + α MSE(Ê, T) + ρ MSE(I, I_teacher)

I of what the student is shown, I_teacher of all there is (cells whose content does not exist left
out). T and what is hidden are as in MMIN. CMD compares each modality's moments over the samples
that have it.

Where it departs from the published code: its cascade has changed over time, see the head's option
`cascade`; its script sets ρ = 100 through an option it does not know, its default is 1 and so is
ours; the gradient of a norm at zero is infinite there. For dropout, the feature of absent
modalities, `teacher`, `patience`, `include_complete` and why to prefer Adam (2e-4 as published) to
SGD see MMIN. Any number of modalities, with features of one width. Cost: 2 − t forward passes and 1
backward pass, t the teacher's share of the epochs, and a cascade.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import torch
from torch import Tensor

from equipoise.batch import Batch
from equipoise.checks import not_negative, require
from equipoise.heads.if_mmin import IFMMIN as Head
from equipoise.methods.missing.mmin import Imagination, imagination_loss
from equipoise.methods.parts.reconstruction import classification, row_errors
from equipoise.model import Model
from equipoise.training.context import Context

TINY = 1e-12  # under the root, whose derivative at 0 is infinite


def central_moments(values: Tensor, present: Tensor, ctx: Context, order: int = 5) -> list[Tensor]:
    """Mean and central moments 2 … `order`, each (d,), of values (B, d) over the present samples of all ranks."""
    mean = ctx.mean(ctx.sample_mean(values, present))
    centred = values - mean
    return [mean, *(ctx.mean(ctx.sample_mean(centred**k, present)) for k in range(2, order + 1))]


def distance(first: list[Tensor], second: list[Tensor]) -> Tensor:
    """Σ_k ‖c_k − c'_k‖₂, the bounds of the support left out as IF-MMIN does."""
    squares = torch.stack([(a - b).square().sum() for a, b in zip(first, second, strict=True)])
    total: Tensor = ((squares + TINY).sqrt() - TINY**0.5).sum()
    return total


def discrepancy(
    values: Mapping[str, Tensor], present: Mapping[str, Tensor], ctx: Context
) -> Tensor:
    """The distance of two modalities' moments, averaged over all pairs; 0 with a single modality.

    Args:
        values: {modality: (B, d)}, of one width.
        present: {modality: bool (B,)}; a modality's moments are those of the rows where it is True.
            A modality that no row of any rank has takes part in no pair.
        ctx: tells the means over all ranks.
    """
    moments = {m: central_moments(x, present[m], ctx) for m, x in values.items()}
    there = {m: (ctx.sum(present[m].sum()) > 0) for m in values}
    pairs = list(combinations(sorted(values), 2))
    if not pairs:
        return next(iter(values.values())).new_zeros(())
    both = torch.stack([there[a] & there[b] for a, b in pairs])
    found = torch.stack([distance(moments[a], moments[b]) for a, b in pairs])
    return torch.where(both, found, 0.0).sum() / both.sum().clamp_min(1)


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
