"""Run a model over a whole split."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from equipoise.batch import Predictions
from equipoise.data.table.loader import Loader
from equipoise.data.table.table import Table
from equipoise.evaluation.shapley import shapley_value, subsets
from equipoise.model import Model
from equipoise.training.runtime import Runtime


@torch.inference_mode()
def predict(
    model: Model,
    table: Table,
    *,
    batch_size: int = 256,
    only: Iterable[str] | None = None,
    runtime: Runtime | None = None,
) -> Predictions:
    """Logits of every sample of a split, fused and per modality (zeros where it is absent), on
    every rank.

    Args:
        model: put into eval mode.
        table: the split; every row is read once, in order.
        batch_size: samples at a time; the result does not depend on it.
        only: as if no other modality existed.
        runtime: shares the rows among its ranks.
    """
    model.eval()
    rank, world = (runtime.rank, runtime.world) if runtime else (0, 1)
    device = next(model.parameters()).device
    chosen = tuple(only) if only is not None else model.modalities
    parts: list[dict[str, np.ndarray]] = []
    for batch in Loader(table, batch_size, seed=0, shuffle=False, rank=rank, world=world).batches(
        0
    ):
        output = model(batch.to(device), chosen)
        part = {"index": batch.index.numpy(), "fused": output.fused.float().cpu().numpy()}
        parts.append(part | {f"logits/{m}": output.logits[m].float().cpu().numpy() for m in chosen})
    local = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    shares = runtime.objects(local) if runtime else [local]
    whole = {name: np.concatenate([share[name] for share in shares]) for name in local}
    order = np.argsort(whole["index"], kind="stable")
    return Predictions(
        index=whole["index"][order],
        label=np.asarray(table.label),
        present={m: np.asarray(table.present[m]) for m in chosen},
        logits={
            m: np.where(table.present[m][:, None], whole[f"logits/{m}"][order], 0) for m in chosen
        },
        fused=whole["fused"][order],
        classes=tuple(table.classes),
    )


def contribution(
    model: Model, table: Table, *, batch_size: int = 256, runtime: Runtime | None = None
) -> dict[str, float]:
    """Exact Shapley value of each modality for the fused accuracy, over the 2^M subsets of
    modalities.

    Without any modality the best guess is the most frequent class of the split. Rows without a
    label do not count; if none has one, there is nothing to share and the result is empty.
    """
    known = np.asarray(table.label) >= 0
    label = np.asarray(table.label)[known]
    if len(label) == 0:
        return {}
    chance = float(np.bincount(label).max() / len(label))
    gain = {}
    for subset in subsets(model.modalities):
        fused = predict(model, table, batch_size=batch_size, only=subset, runtime=runtime).fused
        accuracy = float((fused[known].argmax(1) == label).mean())
        gain[subset] = torch.tensor(accuracy - chance, dtype=torch.float64)
    count = len(model.modalities)
    return {m: float(shapley_value(m, gain, count)) for m in model.modalities}
