r"""AE: an autoencoder of the joint vector restores what is missing.

Bengio, Lamblin, Popovici, Larochelle. Greedy Layer-Wise Training of Deep Networks. NIPS 2006, is
what comparisons cite for it; the multimodal form is the baseline of GCNet (Lian et al. 2023).
Code: github.com/zeroQiaoba/GCNet

Idea:
    The joint vector is the concatenation of the features, with zeros where a modality is absent. An
    autoencoder reads it and restores the absent parts, and a classifier reads what it restores. The
    restoration is taught on cells whose content is known to the method and hidden from the network.

    Where training content is hidden only (the simulated regime), those are the hidden cells.
    Otherwise, and in rows without a hidden cell, a further modality is hidden at random (the strict
    regime). Hidden content never meets shown content: its features are computed apart, in
    evaluation mode, so that no batch statistics hold it.

    Any number of modalities. Cost: a forward and a backward pass for what is shown, a forward pass
    for what is hidden, and the layers of the head.

Equations:
    With the joint vector $J$, $\hat J = \mathrm{autoencoder}(J)$, the logits $f$ of the classifier
    of $\hat J$ and the output $\hat x_m$ of a decoder of $\hat J$:

    $$L = \mathrm{CE}(f, y) + w \sum_n \sum_m h_{nm} \, \lVert \hat x_{nm} - x_{nm} \rVert^2 / d_m$$

    where $h_{nm} = 1$ for hidden cells with known content, and $x$ are the encoder's features of
    that content, which the second term does not train. The sum over the batch is the published
    form: the term grows with the batch size.

Where published code departs:
    the targets are raw inputs; features as targets
    allow any encoder                                    not offered
    dropout of 0.5 in the heads                          head option `dropout: 0.5`
    trained with Adam at a rate of 1e-3: SGD moves so
    deep a head slowly, and needs several times the
    epochs of joint training                             `optimiser.name`, `optimiser.lr`
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, TypeVar

import torch
from torch import Tensor

from equipoise.batch import Batch
from equipoise.checks import choice, inside, not_negative, require
from equipoise.heads.ae import AE as Head
from equipoise.heads.parts.imputing import ImputingHead
from equipoise.methods.parts.hiding import hidden, lose_one
from equipoise.methods.parts.losses import mean_loss
from equipoise.methods.parts.own_head import OwnHead
from equipoise.methods.parts.reconstruction import (
    cell_errors,
    clip_gradients,
    encoded_aside,
)
from equipoise.registry import POSITIVE, Effect
from equipoise.training.context import Context

_Head = TypeVar("_Head", bound=ImputingHead)

REDUCTIONS = ("sum", "mean")


class Imputation(OwnHead[_Head]):
    """Base of AE and CRA: classify from what is shown, and restore what is hidden.

    Args:
        weight: w of the reconstruction.
        reduction: "sum" over the samples of the batch, as published, or "mean".
        hide: probability that a row loses a further modality, where its own hidden content is not
            known.
        clip: largest norm of the gradient, 5 as published; 0 for no limit.
    """

    effect: ClassVar[Effect] = {"reduction": ("weight", POSITIVE)}

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
        """Cells whose reconstruction counts, {modality: bool (B,)}.

        Args:
            batch: the samples.
            kept: {modality: bool (B,)}, the cells that the network is shown.
        """
        return hidden(batch, kept)

    def step(self, batch: Batch, ctx: Context) -> None:
        ctx.backward(self.objective(batch, ctx))
        self.after_backward(ctx)
        clip_gradients(self.clip, ctx)
        ctx.update()

    def after_backward(self, ctx: Context) -> None:
        """Edit the gradients before they are clipped; AE leaves them as they are."""

    def objective(self, batch: Batch, ctx: Context) -> Tensor:
        """L of the batch, a scalar."""
        head = self.head(ctx.model)
        kept = lose_one(batch, ctx, self.hide)
        features = ctx.model.encode(batch.hide(kept))
        code, joint = head.restore(head.joint(features, len(batch)))
        loss = mean_loss(head.classify(code), batch, ctx)
        if self.weight == 0:
            return loss
        aside = encoded_aside(ctx.model, batch.revealed().hide(hidden(batch, kept)))
        # Shown and hidden features are each zero in the cells of the other: their sum is both.
        targets = features | {m: features[m] + z if m in features else z for m, z in aside.items()}
        cells = self.cells(batch, kept)
        restored = self.reconstruction(head.estimates(joint), targets, cells, batch, ctx)
        return loss + self.weight * restored

    def reconstruction(
        self,
        estimates: Mapping[str, Tensor],
        features: Mapping[str, Tensor],
        cells: Mapping[str, Tensor],
        batch: Batch,
        ctx: Context,
    ) -> Tensor:
        """Σ_m ‖x̂_m − x_m‖²/d_m over the chosen cells, a scalar.

        Args:
            estimates: x̂, {modality: (B, d_m)}.
            features: x, {modality: (B, d_m)}.
            cells: {modality: bool (B,)}, the chosen cells.
            batch: the samples.
            ctx: takes the sum or the mean over the samples of all ranks.
        """
        errors = cell_errors(estimates, features)
        chosen = [torch.where(cells[m], e, 0.0) for m, e in errors.items()]
        mean = ctx.sample_mean(torch.stack(chosen).sum(0))
        if self.reduction == "mean":
            return mean
        return mean * ctx.sum(mean.new_full((), len(batch)))


class AE(Imputation[Head]):
    """Autoencoder of the joint vector.

    Args:
        weight: w of the reconstruction; GCNet tries 0.002, 0.003 and 0.01, and its example has 0.2.
        reduction: of the reconstruction, "sum" over the samples of the batch, as published, or
            "mean".
        hide: probability that a row loses a further modality, where its own hidden content is not
            known.
        clip: largest norm of the gradient, 5 as published; 0 for no limit.
    """

    name = "ae"
    kind = Head

    def __init__(
        self, weight: float = 0.003, reduction: str = "sum", hide: float = 0.5, clip: float = 5.0
    ) -> None:
        super().__init__(weight, reduction, hide, clip)
