"""The features of each modality for a whole split."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from equipoise.data.table.loader import Loader
from equipoise.data.table.table import Table
from equipoise.model import Model


@torch.inference_mode()
def features(
    model: Model, table: Table, *, batch_size: int = 256, only: Iterable[str] | None = None
) -> dict[str, np.ndarray]:
    """Encode every sample of a split.

    Args:
        model: put into evaluation mode.
        table: the split; every row is read once, in order.
        batch_size: samples at a time; the result does not depend on it.
        only: modalities to encode; None for all.

    Returns:
        {modality: float32 (N, d_m)}, NaN in the rows that lack the modality.
    """
    model.eval()
    device = next(model.parameters()).device
    chosen = tuple(only) if only is not None else model.modalities
    found = {
        m: np.full((len(table), model.head.widths[m]), np.nan, dtype=np.float32) for m in chosen
    }
    for batch in Loader(table, batch_size, seed=0, shuffle=False).batches(epoch=0):
        rows = batch.index.numpy()
        for modality, encoded in model.encode(batch.to(device), chosen).items():
            here = batch.present[modality].numpy()
            found[modality][rows[here]] = encoded.float().cpu().numpy()[here]
    return found
