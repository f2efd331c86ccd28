"""AE: an autoencoder of the joint vector that restores what is missing and is classified by what it
restores.

Bengio, Lamblin, Popovici, Larochelle. Greedy Layer-Wise Training of Deep Networks. NIPS 2006, is
what comparisons cite for it; the multimodal form is the baseline of GCNet (Lian et al. 2023; code:
github.com/zeroQiaoba/GCNet).

With J the concatenated features, zeros where a modality is absent, Ĵ = autoencoder(J), f the
classifier of Ĵ and x̂_m a decoder of Ĵ,

    L = CE(f, y) + w Σ_n Σ_m h_nm ‖x̂_nm − x_nm‖² / d_m

where h_nm = 1 for cells whose content is hidden from the network and known to the method, and x the
encoder's features of that content, which the second term does not train. Where training content is
hidden only (the simulated regime), those are the hidden cells; otherwise, and in rows without any,
a further modality is hidden at random (the strict regime). The sum over the batch is the published
form: the term then grows with the batch size.

Where it departs from the published code: features take the place of the raw inputs as targets, so
that any encoder serves; the heads' dropout of 0.5 is an option of the head, off by default. It was
trained with Adam at a rate of 1e-3: SGD moves so deep a head slowly, and needs several times the
epochs of joint training. Any number of modalities. What is hidden never meets what is shown: its
features are made apart, in evaluation mode, so that no batch statistics hold it. Cost: a forward
and a backward pass for what is shown, a forward pass for what is hidden, and the head's layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor

from equipoise.batch import Batch
from equipoise.checks import choice, inside, not_negative, require
from equipoise.heads.ae import AE as Head
from equipoise.heads.parts.imputing import ImputingHead
from equipoise.methods.parts.hiding import hidden, lose_one
from equipoise.methods.parts.own_head import OwnHead
from equipoise.methods.parts.reconstruction import (
    cell_errors,
    classification,
    clip_gradients,
    encoded_aside,
)
from equipoise.training.context import Context

J = TypeVar("J", bound=ImputingHead)

REDUCTIONS = ("sum", "mean")


class Imputation(OwnHead[J]):
    """Classify from what is shown, and restore what is hidden.

    Args:
        weight: w of the reconstruction.
        reduction: "sum" over the samples of the batch, as published, or "mean".
        hide: probability that a row loses a further modality, where its own hidden content is not
            known.
        clip: largest norm of the gradient, 5 as published; 0 for none.
    """

    def __init__(self, weight: float, reduction: str, hide: float, clip: float) -> None:
        super().__init__()
        require(
            type(self).__name__,
            not_negative("weight", weight),
            choice("reduction", reduction, REDUCTIONS),
            inside("hide", hide, "[0, 1]"),
            not_negative("clip", clip),
        )
        self.weight = weight
        self.reduction = reduction
        self.hide = hide
        self.clip = clip

    def cells(self, batch: Batch, kept: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """{modality: bool (B,)}, the cells whose reconstruction counts."""
        return hidden(batch, kept)

    def step(self, batch: Batch, ctx: Context) -> None:
        ctx.backward(self.objective(batch, ctx))
        self.after_backward(ctx)
        clip_gradients(self.clip, ctx)
        ctx.update()

    def after_backward(self, ctx: Context) -> None: ...

    def objective(self, batch: Batch, ctx: Context) -> Tensor:
        """L, the encoders seeing what is shown for the input, and what is hidden for the targets."""
        head = self.head(ctx.model)
        kept = lose_one(batch, ctx, self.hide)
        features = ctx.model.encode(batch.hide(kept))
        code, joint = head.restore(head.joint(features, len(batch)))
        loss = classification(head.classify(code), batch, ctx)
        if self.weight == 0:
            return loss
        aside = encoded_aside(ctx.model, batch.revealed().hide(hidden(batch, kept)))
        # Each is zero in the other's cells.
        targets = features | {m: features[m] + z if m in features else z for m, z in aside.items()}
        return loss + self.weight * self.reconstruction(
            head.estimates(joint), targets, self.cells(batch, kept), batch, ctx
        )

    def reconstruction(
        self,
        estimates: Mapping[str, Tensor],
        features: Mapping[str, Tensor],
        cells: Mapping[str, Tensor],
        batch: Batch,
        ctx: Context,
    ) -> Tensor:
        """Σ_m ‖x̂_m − x_m‖²/d_m over the chosen cells, summed or averaged over the samples of all ranks."""
        errors = cell_errors(estimates, features)
        mean = ctx.sample_mean(
            torch.stack([torch.where(cells[m], e, 0.0) for m, e in errors.items()]).sum(0)
        )
        if self.reduction == "mean":
            return mean
        return mean * ctx.sum(mean.new_full((), len(batch)))


class AE(Imputation[Head]):
    """The autoencoder of the joint vector.

    Args:
        weight: w of the reconstruction; GCNet's sweep has 0.002, 0.003 and 0.01, its example 0.2.
    """

    name = "ae"
    kind = Head

    def __init__(
        self, weight: float = 0.003, reduction: str = "sum", hide: float = 0.5, clip: float = 5.0
    ) -> None:
        super().__init__(weight, reduction, hide, clip)
