"""Losses of the modalities' own classifiers beside that of the fused prediction, for methods that train both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.errors import ConfigError
from equipoise.heads.base import Head
from equipoise.methods.losses import fused_loss, unimodal_loss

if TYPE_CHECKING:
    from equipoise.training.context import Context


def require_own_classifiers(method: str, head: Head) -> None:
    """Check that each modality has a classifier of its own to train.

    Raises:
        ConfigError: a modality's logits are read out of a classifier that serves others too.
    """
    if not head.own_classifiers:
        raise ConfigError(
            f"method {method!r} trains a classifier for each modality, and {type(head).__name__} has none; "
            "use head 'auxiliary'"
        )


def auxiliary_loss(weights: Mapping[str, float | Tensor], output: Output, batch: Batch, ctx: Context) -> Tensor:
    """CE(f, y) + Σ_m w_m CE(v_m, y).

    Args:
        weights: {modality: w_m}; a modality that is left out, or whose weight is the number 0, has no loss, so that
            its own classifier gets no gradient at all.
        output: what the model made of the batch.
        batch: the samples.
        ctx: takes the means over the samples of all ranks.
    """
    loss = fused_loss(output, batch, ctx)
    for modality, weight in weights.items():
        if isinstance(weight, Tensor) or weight != 0:
            loss = loss + weight * unimodal_loss(modality, output, batch, ctx)
    return loss
