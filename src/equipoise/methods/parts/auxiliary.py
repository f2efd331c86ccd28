"""Losses of the modalities' own classifiers beside that of the fused prediction."""

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
        method: its name, for the message.
        head: of the model.
        remedy: a head that suits.

    Raises:
        ConfigError: a modality's logits come from a classifier that serves other modalities too.
    """
    if not head.own_classifiers:
        raise ConfigError(
            f"method {method!r} trains a classifier for each modality, and {type(head).__name__} "
            f"has none; use head {remedy!r}"
        )


def apart(head: Head) -> bool:
    """True where the fused prediction does not use the modalities' own classifiers.

    Then only unimodal losses train them.
    """
    return any(head.own_only(m) is not None for m in head.modalities)


def require_fused_classifiers(method: str, head: Head, remedy: str) -> None:
    """Check, for a method with unimodal losses only, that they train the whole fused prediction.

    Args:
        method: name for the message.
        head: of the model.
        remedy: a head that suits.

    Raises:
        ConfigError: the fused prediction depends on parameters on which no modality's own
            prediction depends.
    """
    if head.fused_only:
        raise ConfigError(
            f"{method} trains each modality's own classifier only, and the fused prediction of "
            f"{type(head).__name__} needs its {head.fused_only} trained as well; "
            f"use head {remedy!r}"
        )


def require_trained_classifiers(method: str, head: Head, remedy: str) -> None:
    """Check, for a method without unimodal losses, that it trains the modalities' own predictions.

    Args:
        method: name for the message.
        head: of the model.
        remedy: advice that ends the message.

    Raises:
        ConfigError: the modalities' own predictions depend on parameters on which the fused
            prediction does not depend.
    """
    if apart(head):
        raise ConfigError(
            f"{method} goes by classifiers of {type(head).__name__} that only unimodal losses "
            f"train, of which there are none; {remedy}"
        )


def require_decomposable(method: str, head: Head) -> None:
    """Check that each modality has a term of its own in the fused logits.

    Args:
        method: begins the message, such as "method 'opm' compares".
        head: of the model.

    Raises:
        ConfigError: the fused logits are not a sum with one term for each modality.
    """
    if not head.decomposable:
        raise ConfigError(
            f"{method} what each modality adds to the fused logits, and those of "
            f"{type(head).__name__} are not a sum over modalities; use head 'concat' or 'sum'"
        )


def own_classifier(head: Head, modality: str) -> nn.Module:
    """The module that makes this modality's own logits.

    It is the part of the modality's block called `own` (head `auxiliary`), or the whole block.
    """
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
        output: of the model on the batch.
        batch: the samples.
        ctx: takes the means over the samples of all ranks.
        fused: w, the weight of the loss of the fused prediction.
    """
    loss = fused * fused_loss(output, batch, ctx)
    for modality, weight in weights.items():
        if isinstance(weight, Tensor) or weight != 0:
            loss = loss + weight * unimodal_loss(modality, output, batch, ctx)
    return loss


def sample_losses(output: Output, batch: Batch) -> Tensor:
    """Cross-entropy (B, M + 1) of every modality's own logits, and of the fused ones last.

    It is NaN where a modality is absent, which `table_means` leaves out.
    """
    columns = [
        cross_entropy(logits, batch.label).masked_fill(~batch.present[m], torch.nan)
        for m, logits in output.logits.items()
    ]
    return torch.stack([*columns, cross_entropy(output.fused, batch.label)], dim=1)
