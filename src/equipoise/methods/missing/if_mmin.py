r"""IF-MMIN: MMIN led by modality-invariant features.

Zuo, Liu, Zhao, Gao, Li. Exploiting Modality-Invariant Feature for Robust Multimodal Emotion
Recognition with Missing Modalities. 2022.
Code: github.com/ZhuoYulang/IF-MMIN

Idea:
    An encoder $S$ that all modalities share maps their features $E_m$ to features of one
    distribution, $I = [S(E_1); \dots; S(E_M)]$. The teacher learns from all content there is. The
    student is MMIN's, with two changes: $I$ enters every block of the cascade, and a term on $I$
    replaces imagining back.

    See MMIN for dropout, the feature of absent modalities, `teacher`, `patience`,
    `include_complete`, and the reason to prefer Adam (2e-4 as published) to SGD.

    Any number of modalities, with features of one width. Cost: 2 − t forward passes and 1 backward
    pass, where t is the teacher's fraction of the epochs, and a cascade.

Equations:
    The teacher's loss, with the mean over all pairs of modalities:

    $$L = \mathrm{CE}(f([E; I]), y) + \mathrm{mean}_{i<j} \, \mathrm{CMD}(S(E_i), S(E_j))$$

    $$\mathrm{CMD}(X, Y) = \lVert \bar X - \bar Y \rVert
        + \sum_{k=2}^{5} \lVert c_k(X) - c_k(Y) \rVert$$

    where $c_k$ are the central moments over the samples of the batch that have the modality. The
    student's loss:

    $$L = \mathrm{CE}(f, y) + \alpha \, \mathrm{MSE}(\hat E, T)
        + \rho \, \mathrm{MSE}(I, I_{\mathrm{teacher}})$$

    where $I$ is that of what the student is shown, and $I_{\mathrm{teacher}}$ that of all there is;
    cells whose content does not exist are left out. $T$ and what is hidden are as in MMIN.

Where published code departs:
    the cascade has changed over time                    head option `cascade`
    its script sets ρ = 100 through an option that the
    code does not know; the code's default is 1          `invariance: 1`
    the gradient of a norm at zero is infinite           not offered
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
from equipoise.methods.parts.losses import mean_loss
from equipoise.methods.parts.reconstruction import row_errors
from equipoise.model import Model
from equipoise.training.context import Context

TINY = 1e-12  # under the root, whose derivative at 0 is infinite

Features = dict[str, Tensor]


def central_moments(values: Tensor, present: Tensor, ctx: Context, order: int = 5) -> list[Tensor]:
    """Mean and central moments 2 … `order`, each (d,), over the present samples of all ranks.

    Args:
        values: (B, d).
        present: bool (B,).
        ctx: takes the means over all ranks.
        order: of the highest moment.
    """
    mean = ctx.mean(ctx.sample_mean(values, present))
    centred = values - mean
    return [mean, *(ctx.mean(ctx.sample_mean(centred**k, present)) for k in range(2, order + 1))]


def distance(first: list[Tensor], second: list[Tensor]) -> Tensor:
    """CMD, Σ_k ‖c_k − c'_k‖₂ of two lists of moments.

    CMD has factors for the bounds of the values; IF-MMIN leaves them out.
    """
    squares = torch.stack([(a - b).square().sum() for a, b in zip(first, second, strict=True)])
    total: Tensor = ((squares + TINY).sqrt() - TINY**0.5).sum()
    return total


def discrepancy(
    values: Mapping[str, Tensor], present: Mapping[str, Tensor], ctx: Context
) -> Tensor:
    """Mean over all pairs of modalities of the distance of their moments; 0 with one modality.

    Args:
        values: {modality: (B, d)}, of one width.
        present: {modality: bool (B,)}; the moments of a modality are those of its present rows. A
            modality that no row of any rank has takes part in no pair.
        ctx: takes the means over all ranks.
    """
    moments = {m: central_moments(x, present[m], ctx) for m, x in values.items()}
    there = {m: ctx.sum(present[m].sum()) > 0 for m in values}
    pairs = list(combinations(sorted(values), 2))
    if not pairs:
        return next(iter(values.values())).new_zeros(())
    both = torch.stack([there[a] & there[b] for a, b in pairs])
    found = torch.stack([distance(moments[a], moments[b]) for a, b in pairs])
    return torch.where(both, found, 0.0).sum() / both.sum().clamp_min(1)


class IFMMIN(Imagination[Head]):
    """Missing modality imagination network with invariant features.

    Args:
        imagination: α, the weight of imagining the missing features.
        invariance: ρ, the weight of the distance to the teacher's invariant features.
        teacher: fraction of the epochs that train the teacher; it gets at least one where there are
            two.
        include_complete: let the student see complete samples too; false is the published draw.
        clip: largest norm of the gradient of each encoder and each part of the head, 1 as
            published; 0 for no limit.
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
        logits, _ = head.teacher.fuse(both, {}, batch.present)
        return mean_loss(logits, batch, ctx) + discrepancy(invariant, batch.present, ctx)

    def study(self, batch: Batch, ctx: Context) -> Tensor:
        head = self.head(ctx.model)
        kept, joint = self.hide(batch, ctx)
        code, imagined = head.restore(joint)
        taught, known = self.teacher.answer(self.look, batch.revealed())
        drift = row_errors(head.invariants(joint), known, batch.existing)
        missing = imagination_loss(head.split(imagined), taught, kept, batch, ctx)
        return (
            mean_loss(head.classify(code), batch, ctx)
            + self.imagination * missing
            + self.invariance * ctx.sample_mean(drift)
        )

    def look(self, model: Model, batch: Batch) -> tuple[Features, Features]:
        """Features E_m and invariant features S(E_m) of every modality.

        An absent modality has zeros and S(0).
        """
        head = self.head(model)
        joint = head.joint(model.encode(batch), len(batch))
        return head.split(joint), head.invariants(joint)
