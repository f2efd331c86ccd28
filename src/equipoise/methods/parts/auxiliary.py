"""Losses of the modalities' own classifiers beside that of the fused prediction, for methods that train both."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from equipoise.batch import Batch, Output
from equipoise.errors import ConfigError
from equipoise.heads.base import Head
from equipoise.methods.parts.losses import cross_entropy, fused_loss, unimodal_loss
from equipoise.training.context import Context


def require_own_classifiers(method: str, head: Head, remedy: str = "auxiliary") -> None:
    """Check that each modality has a classifier of its own to train.

    Args:
        method: who asks.
        head: the model's.
        remedy: the head that has what this method needs.

    Raises:
        ConfigError: a modality's logits are read out of a classifier that serves others too.
    """
    if not head.own_classifiers:
        raise ConfigError(
            f"method {method!r} trains a classifier for each modality, and {type(head).__name__} has none; "
            f"use head {remedy!r}"
        )


def apart(head: Head) -> bool:
    """True where the fused prediction does not use the own classifiers: only unimodal losses train them."""
    return any(head.own_only(m) is not None for m in head.modalities)


def require_fused_classifiers(method: str, head: Head, remedy: str) -> None:
    """Check, for a method of unimodal losses alone, that they train all that makes the fused
    prediction.

    Args:
        method: who asks, in words.
        head: the model's.
        remedy: a head that suits.

    Raises:
        ConfigError: the fused prediction depends on parameters that no modality's own does.
    """
    if head.fused_only:
        raise ConfigError(
            f"{method} trains each modality's own classifier only, and the fused prediction of {type(head).__name__} "
            f"needs its {head.fused_only} trained as well; use head {remedy!r}"
        )


def require_trained_classifiers(method: str, head: Head, remedy: str) -> None:
    """Check, for a method without unimodal losses that goes by what each modality predicts, that it
    trains that.

    Args:
        method: who asks, in words.
        head: the model's.
        remedy: what to do instead.

    Raises:
        ConfigError: the modalities' own predictions depend on parameters that the fused prediction
            does not.
    """
    if apart(head):
        raise ConfigError(
            f"{method} goes by classifiers of {type(head).__name__} that only unimodal losses train, of which there "
            f"are none; {remedy}"
        )


def own_classifier(head: Head, modality: str) -> nn.Module:
    """The module that makes this modality's own logits: all of its block, or the part called `own` (`Auxiliary`)."""
    block: nn.Module = head.blocks[modality]
    found: nn.Module = getattr(block, "own", block)
    return found


def auxiliary_loss(
    weights: Mapping[str, float | Tensor],
    output: Output,
    batch: Batch,
    ctx: Context,
    fused: float | Tensor = 1.0,
) -> Tensor:
    """w CE(f, y) + Σ_m w_m CE(v_m, y).

    Args:
        weights: {modality: w_m}; a modality that is left out, or whose weight is the number 0, has
            no loss, so that its own classifier gets no gradient at all.
        output: what the model made of the batch.
        batch: the samples.
        ctx: takes the means over the samples of all ranks.
        fused: w, the weight of the fused prediction's loss.
    """
    loss = fused * fused_loss(output, batch, ctx)
    for modality, weight in weights.items():
        if isinstance(weight, Tensor) or weight != 0:
            loss = loss + weight * unimodal_loss(modality, output, batch, ctx)
    return loss


def sample_losses(output: Output, batch: Batch) -> Tensor:
    """Cross-entropy of every modality's own logits, NaN where it is absent, and of the fused ones;
    (B, M + 1).

    For `table_means`.
    """
    columns = [
        cross_entropy(logits, batch.label).masked_fill(~batch.present[m], torch.nan)
        for m, logits in output.logits.items()
    ]
    return torch.stack([*columns, cross_entropy(output.fused, batch.label)], dim=1)
