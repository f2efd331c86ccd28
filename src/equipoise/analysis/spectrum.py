r"""Spectra of a finished run: of the inputs of its heads, and of a projection orthogonal to them.

Jiang, Chi, Yang. Multimodal Classification via Modal-Aware Interactive Enhancement. 2024 (MIE).
Zhang, Yoon, Bansal, Yao. Multimodal Representation Learning by Alternating Unimodal Adaptation.
CVPR 2024 (MLA).

$$\bar Y = \sum \bar z \bar z^\top \qquad \text{(MIE, Eq. 5)}$$

with $\bar z$ the mean input of a head's layer over a small random batch of training rows. MLA's
projection after one pass over the training rows, from the mean features $r$ of its batches, is

$$P = \Big(I + \frac1\alpha \sum r r^\top\Big)^{-1} \qquad \text{(solution of MLA, Eq. 5)}$$

so that its eigenvalues are $1 / (1 + \lambda / \alpha)$. Both are computed anew from the training
rows, hence for a run of any method. The effective rank is the exponential of the entropy of
$\lambda / \sum \lambda$ (Roy, Vetterli. The Effective Rank. EUSIPCO 2007): the number of directions
that are in use.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from equipoise.analysis.opened import Opened, Runs, open_runs
from equipoise.analysis.picture import Line, Panel, Picture
from equipoise.analysis.record import Record
from equipoise.checks import integer, positive, require
from equipoise.data.table.loader import Loader
from equipoise.data.table.table import Table
from equipoise.methods.parts.projection.flat import input_directions
from equipoise.methods.parts.projection.layers import weighted_layers
from equipoise.model import Model
from equipoise.runs.lengths import lengths_of

MOMENT = "Ȳ"
PROJECTION = "P"


def effective_rank(eigenvalues: np.ndarray) -> float:
    """exp of the entropy of λ / Σ λ; 0 for a matrix of zeros."""
    positive_part = np.clip(eigenvalues, 0, None)
    total = positive_part.sum()
    if total == 0:
        return 0.0
    p = positive_part[positive_part > 0] / total
    return float(np.exp(-(p * np.log(p)).sum()))


def projection_eigenvalues(moment: np.ndarray, alpha: float) -> np.ndarray:
    """The eigenvalues (d,) of MLA's P, ascending, from Σ r rᵀ (d, d)."""
    values = np.clip(np.linalg.eigvalsh(moment), 0, None)[::-1]
    found: np.ndarray = 1 / (1 + values / alpha)
    return found


@torch.no_grad()
def moments(model: Model, table: Table, batch_size: int, seed: int) -> dict[tuple[str, str], Any]:
    """Ȳ of every linear layer of a head that serves one modality.

    Args:
        model: the trained network, in evaluation mode.
        table: the training rows.
        batch_size: samples of a mean.
        seed: of the batches.

    Returns:
        {(modality, layer): float64 (d, d)}. Where a modality has no layer of its own, it is that of
        its features.
    """
    device = next(model.parameters()).device
    head = model.head
    layers = {m: weighted_layers(head.blocks[m]) if m in head.blocks else [] for m in head.widths}
    inputs: dict[nn.Module, Tensor] = {}
    handles = [
        layer.register_forward_pre_hook(lambda module, x: inputs.__setitem__(module, x[0]))
        for own in layers.values()
        for layer in own
    ]
    found: dict[tuple[str, str], Tensor] = {}
    try:
        for batch in Loader(table, batch_size, seed=seed, shuffle=True).batches(epoch=0):
            for modality, own in layers.items():
                if not batch.counts[modality]:
                    continue
                inputs.clear()
                there = batch.rows(batch.present[modality]).to(device)
                output = model(there, only=(modality,))
                means = {
                    f"layer {number}": input_directions(layer, inputs[layer].mean(0))
                    for number, layer in enumerate(own, 1)
                    if layer in inputs
                }
                features = output.features[modality].mean(0, keepdim=True)
                for name, rows in (means or {"features": features}).items():
                    rows = rows.double().cpu()
                    moment = rows.T @ rows
                    known = found.get((modality, name))
                    found[modality, name] = moment if known is None else known + moment
    finally:
        for handle in handles:
            handle.remove()
    return {key: moment.numpy() for key, moment in found.items()}


@torch.no_grad()
def feature_moment(model: Model, table: Table, batch_size: int, seed: int) -> np.ndarray:
    """Σ r rᵀ float64 (d, d) of the mean features of every batch and modality, of one width."""
    device = next(model.parameters()).device
    width = next(iter(model.head.widths.values()))
    total = np.zeros((width, width))
    for batch in Loader(table, batch_size, seed=seed, shuffle=True).batches(epoch=0):
        for modality, z in model.encode(batch.to(device)).items():
            mean = z[batch.present[modality].to(device)].double().mean(0).cpu().numpy()
            total += np.outer(mean, mean)
    return total


def spectrum(
    runs: Runs,
    *,
    statistic_batch: int = 12,
    alpha: float = 0.1,
    epoch: int | None = None,
    trust: bool = False,
) -> Record:
    """Compute the eigenvalues of the inputs of the heads, and of MLA's projection.

    Args:
        runs: a finished run or its folder, the folder of a comparison, or several of them.
        statistic_batch: samples of a batch mean of MIE's statistic.
        alpha: α of MLA's projection.
        epoch: one of the runs' keep_epochs; the best epoch by default.
        trust: code that the settings of the runs import may run.

    Returns:
        A table with a row for each run and matrix: its size, largest and mean eigenvalue, their
        ratio and the effective rank. Its details are "eigenvalues", and "logged", the quantiles
        that methods logged while they trained.

    Raises:
        ConfigError: an option has a wrong value.
        RunError: no finished run.
    """
    require("spectrum", integer("statistic_batch", statistic_batch, 1), positive("alpha", alpha))
    rows: list[dict[str, Any]] = []
    details: list[dict[str, Any]] = []
    logged: list[dict[str, Any]] = []
    opened = open_runs(runs, trust)
    for one in opened:
        for matrix, modality, layer, values in _spectra(one, statistic_batch, alpha, epoch):
            named = {**one.facts, "matrix": matrix, "modality": modality, "layer": layer}
            largest, mean = float(values.max()), float(values.mean())
            rows.append(
                {
                    **named,
                    "size": len(values),
                    "max": largest,
                    "mean": mean,
                    "mean / max": mean / largest if largest else 0.0,
                    "effective rank": effective_rank(values),
                }
            )
            ordered = np.sort(values)[::-1]
            details += [{**named, "number": k, "value": v} for k, v in enumerate(ordered.tolist())]
        logged += _logged(one)
    frame = pd.DataFrame(details)
    picture = _picture(frame, [one.label for one in opened])
    tables = {"eigenvalues": frame, **({"logged": pd.DataFrame(logged)} if logged else {})}
    return Record("spectrum", pd.DataFrame(rows), picture, tables)


def _spectra(
    one: Opened, batch_size: int, alpha: float, epoch: int | None
) -> Iterator[tuple[str, str, str, np.ndarray]]:
    """(matrix, modality, layer, eigenvalues) of a run."""
    trained = one.trained(epoch)
    settings = trained.settings
    table = replace(trained.own("train"), augment=None)
    found = moments(trained.model, table, batch_size, settings.seed)
    for (modality, layer), moment in found.items():
        yield MOMENT, modality, layer, np.clip(np.linalg.eigvalsh(moment), 0, None)
    widths = set(trained.model.head.widths.values())
    if len(widths) == 1:
        size = lengths_of(settings, len(table)).batch_size
        moment = feature_moment(trained.model, table, size, settings.seed)
        yield PROJECTION, "all", "features", projection_eigenvalues(moment, alpha)


def _logged(one: Opened) -> list[dict[str, Any]]:
    """The quantiles of spectra in `metrics.jsonl`."""
    found = []
    for line in one.record().epochs:
        values: Mapping[str, Any] = line["method"]
        for name, quantiles in values.items():
            if isinstance(quantiles, list):
                places = np.linspace(0, 1, len(quantiles)).tolist()
                found += [
                    {
                        **one.facts,
                        "epoch": line["epoch"] + 1,
                        "name": name,
                        "quantile": q,
                        "value": v,
                    }
                    for q, v in zip(places, quantiles, strict=True)
                ]
    return found


def _picture(frame: pd.DataFrame, labels: list[str]) -> Picture:
    """A panel for each matrix, a line for each run."""
    panels = []
    for (matrix, modality, layer), part in frame.groupby(
        ["matrix", "modality", "layer"], sort=False
    ):
        lines = []
        for number, label in enumerate(labels):
            own = part[(part["run"] == label) & (part["value"] > 0)]
            if len(own):
                numbers = (own["number"] + 1).tolist()
                lines.append(Line(numbers, own["value"].tolist(), label, number))
        title = f"{matrix}, {modality}, {layer}"
        panels.append(Panel(lines, title, x="number", y="eigenvalue", log_y=True))
    return Picture(panels, columns=min(3, len(panels)))
