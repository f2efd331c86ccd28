"""Features to restore, and errors of their estimates, for methods that restore absent features."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from equipoise.batch import Batch
from equipoise.evaluating import evaluating
from equipoise.model import Model
from equipoise.training.context import Context


@torch.no_grad()
def encoded_aside(model: Model, batch: Batch) -> dict[str, Tensor]:
    """Encode a batch in evaluation mode and without gradient.

    Training does not notice it: no running statistics change, and no dropout is drawn.
    """
    with evaluating(model.encoders):
        return model.encode(batch)


def clip_gradients(limit: float, ctx: Context) -> None:
    """Shrink all gradients together where their norm exceeds the limit; 0 for no limit."""
    if limit:
        torch.nn.utils.clip_grad_norm_(ctx.model.parameters(), limit)


def clip_networks(limit: float, ctx: Context) -> None:
    """Shrink the gradients of each encoder and of each part of the head by itself; 0 for no limit.

    Together, a part with large gradients would leave next to nothing of those of the others.
    """
    if limit:
        for network in (*ctx.model.encoders.values(), *ctx.model.head.children()):
            moved = [p for p in network.parameters() if p.grad is not None]
            if moved:
                torch.nn.utils.clip_grad_norm_(moved, limit)


def cell_errors(
    estimates: Mapping[str, Tensor], targets: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """‖x̂_m − x_m‖² / d_m, without gradient in the targets.

    Args:
        estimates: x̂ {modality: (B, d_m)}.
        targets: x {modality: (B, d_m)}, for some of the modalities.

    Returns:
        {modality: (B,)} for the modalities that have targets.
    """
    return {m: (estimates[m] - x.detach()).square().mean(1) for m, x in targets.items()}


def row_errors(
    estimates: Mapping[str, Tensor], targets: Mapping[str, Tensor], cells: Mapping[str, Tensor]
) -> Tensor:
    """The mean squared error over all entries of a row's chosen cells.

    Args:
        estimates: x̂ {modality: (B, d_m)}.
        targets: x {modality: (B, d_m)}, for some of the modalities.
        cells: {modality: bool (B,)}, those that are chosen.

    Returns:
        (B,), 0 where none is chosen.
    """
    errors = cell_errors(estimates, targets)
    total = sum(torch.where(cells[m], e * estimates[m].shape[1], 0.0) for m, e in errors.items())
    entries = sum(cells[m] * estimates[m].shape[1] for m in errors)
    assert isinstance(total, Tensor)
    assert isinstance(entries, Tensor)
    return total / entries.clamp_min(1)
