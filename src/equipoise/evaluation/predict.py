"""Predictions of a model for a whole split, and what each modality contributes to them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from equipoise.batch import Predictions
from equipoise.data.table.loader import Loader
from equipoise.data.table.table import Table
from equipoise.errors import TrainingError
from equipoise.evaluation.shapley import shapley_value, subsets
from equipoise.model import Model
from equipoise.training.finite import FIRST_CLIP, listed
from equipoise.training.runtime import Runtime

REMEDY = (
    "the weights are too large, or the values of these samples: look at the samples, or train "
    f"again with --optimiser.clip {FIRST_CLIP}, or else with a smaller --optimiser.lr"
)


@torch.inference_mode()
def predict(
    model: Model,
    table: Table,
    *,
    batch_size: int = 256,
    only: Iterable[str] | None = None,
    runtime: Runtime | None = None,
    when: str = "",
    remedy: str = REMEDY,
) -> Predictions:
    """Predict every sample of a split, fused and by each modality.

    Args:
        model: put into evaluation mode.
        table: the split; every row is read once, in order.
        batch_size: samples at a time; the result does not depend on it.
        only: predict as if no other modality existed; None for all modalities.
        runtime: its ranks divide the rows among themselves.
        when: the moment in a training, for the message about logits that are not finite.
        remedy: the end of that message.

    Returns:
        The predictions for all rows, the same on every rank. Logits of a modality are zero where it
        is absent.

    Raises:
        TrainingError: a logit is not finite.
    """
    model.eval()
    rank, world = (runtime.rank, runtime.world) if runtime else (0, 1)
    device = next(model.parameters()).device
    chosen = tuple(only) if only is not None else model.modalities
    parts: list[dict[str, np.ndarray]] = []
    loader = Loader(table, batch_size, seed=0, shuffle=False, rank=rank, world=world)
    for batch in loader.batches(epoch=0):
        output = model(batch.to(device), chosen)
        part = {"index": batch.index.numpy(), "fused": output.fused.float().cpu().numpy()}
        parts.append(part | {f"logits/{m}": output.logits[m].float().cpu().numpy() for m in chosen})
    local = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    ranks = runtime.objects(local) if runtime else [local]
    whole = {name: np.concatenate([part[name] for part in ranks]) for name in local}
    # Each rank reads a part of every batch; labels are in the order of the table.
    order = np.argsort(whole["index"], kind="stable")
    found = Predictions(
        index=whole["index"][order],
        label=np.asarray(table.label),
        present={m: np.asarray(table.present[m]) for m in chosen},
        logits={
            m: np.where(table.present[m][:, None], whole[f"logits/{m}"][order], 0) for m in chosen
        },
        fused=whole["fused"][order],
        classes=tuple(table.classes),
    )
    # Before anything reads them: a metric of NaN is a wrong number, or an error of another library.
    finite = [np.isfinite(x).all(1) for x in (found.fused, *found.logits.values())]
    rows = [table.ids[int(row)] for row in np.flatnonzero(~np.all(finite, axis=0))]
    if rows:
        raise TrainingError(f"logits are not finite{when}, samples {listed(rows)}; {remedy}")
    return found


@torch.inference_mode()
def contribution(
    model: Model, table: Table, *, batch_size: int = 256, runtime: Runtime | None = None
) -> dict[str, float]:
    """Exact Shapley value of each modality for the fused accuracy.

    The worth of a set of modalities is the accuracy with these alone, minus that of the best guess
    without any: the fraction of the split's most frequent class. Every sample is encoded once, and
    the head reads the features of all 2^M - 1 sets of modalities.

    Args:
        model: put into evaluation mode.
        table: the split; rows without a label do not count.
        batch_size: samples at a time.
        runtime: its ranks divide the rows among themselves.

    Returns:
        {modality: value}; the values add up to the worth of all modalities. Empty if no row has a
        label.
    """
    known = np.asarray(table.label) >= 0
    label = np.asarray(table.label)[known]
    if len(label) == 0:
        return {}
    chance = float(np.bincount(label).max() / len(label))
    model.eval()
    runtime = runtime or Runtime()
    device = next(model.parameters()).device
    sets = subsets(model.modalities)
    right = torch.zeros(len(sets), dtype=torch.float64, device=device)
    loader = Loader(
        table, batch_size, seed=0, shuffle=False, rank=runtime.rank, world=runtime.world
    )
    for batch in loader.batches(epoch=0):
        moved = batch.to(device)
        features = model.encode(moved)
        for number, subset in enumerate(sets):
            fused = model.read(features, moved.present, subset).fused
            # No class is −1, the label of a row that does not count.
            right[number] += (fused.argmax(1) == moved.label).sum()
    accuracies = (runtime.sum(right) / len(label)).cpu()
    gain = {subset: accuracy - chance for subset, accuracy in zip(sets, accuracies, strict=True)}
    count = len(model.modalities)
    return {m: float(shapley_value(m, gain, count)) for m in model.modalities}
