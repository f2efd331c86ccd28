"""Contribution of each modality to the fused accuracy, with intervals.

The Shapley value φ_m of a modality is a weighted sum of the accuracies with every set of
modalities, minus that of the best guess without any. Each accuracy is a mean over samples, and so
is φ_m: its interval comes from resampling the samples.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch

from equipoise.analysis.opened import Runs, drawn_rows, open_runs
from equipoise.analysis.picture import Bars, Panel, Picture
from equipoise.analysis.record import Record
from equipoise.checks import integer, require
from equipoise.data.table.table import Table
from equipoise.errors import RunError
from equipoise.evaluation.predict import predict
from equipoise.evaluation.shapley import shapley_value, subsets
from equipoise.model import Model
from equipoise.progress import track


def sample_values(model: Model, table: Table) -> dict[str, np.ndarray]:
    """Contribution of each modality on each sample, {modality: float64 (N,)}.

    The mean over samples is the Shapley value for the fused accuracy.

    Args:
        model: the trained network.
        table: the samples, all with a label.
    """
    label = np.asarray(table.label)
    guessed = (label == np.bincount(label).argmax()).astype(float)
    sets = subsets(model.modalities)
    worth = {}
    for subset in track(sets, len(sets), "sets of modalities"):
        right = predict(model, table, only=subset).fused.argmax(1) == label
        worth[subset] = torch.from_numpy(right.astype(float) - guessed)
    count = len(model.modalities)
    return {m: shapley_value(m, worth, count).numpy() for m in model.modalities}


def bootstrap_interval(values: np.ndarray, draws: int, seed: int) -> tuple[float, float]:
    """The 95 % interval of the mean of some values (N,), by resampling them."""
    rng = np.random.default_rng(seed)
    size = len(values)
    means = [float(values[rng.integers(size, size=size)].mean()) for _ in range(draws)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def shapley(
    runs: Runs,
    *,
    data: Any = None,
    split: str | None = None,
    draws: int = 1000,
    seed: int = 0,
    trust: bool = False,
) -> Record:
    """Measure the Shapley value of each modality for the fused accuracy, with 95 % intervals.

    Args:
        runs: a finished run or its folder, the folder of a comparison, or several of them.
        data: other data with the columns of the runs; their own by default.
        split: of the runs' own data, train, validation or test; test by default.
        draws: resamples for the intervals.
        seed: of the resamples.
        trust: code that the settings of the runs import may run.

    Returns:
        A table with a row for each run and modality: contribution, and the low and high end of its
        interval, all as fractions of the samples. The contributions of a run add up to its accuracy
        minus that of the best guess.

    Raises:
        ConfigError: an option has a wrong value.
        RunError: no finished run, or no sample has a label.
    """
    require("shapley", integer("draws", draws, 10))
    rows = []
    opened = open_runs(runs, trust)
    for one in opened:
        trained = one.trained()
        table = trained.table(data, split)
        table = drawn_rows(table, len(table), seed)
        if not len(table):
            raise RunError(f"{one.run.folder}: no sample has a label to measure against")
        for modality, values in sample_values(trained.model, table).items():
            low, high = bootstrap_interval(values, draws, seed)
            found = {"contribution": float(values.mean()), "low": low, "high": high}
            rows.append({**one.facts, "modality": modality, **found})
    frame = pd.DataFrame(rows)
    bars = []
    for number, modality in enumerate(dict.fromkeys(frame["modality"])):
        part = frame[frame["modality"] == modality]
        bars.append(
            Bars(
                part["run"].tolist(),
                part["contribution"].tolist(),
                str(modality),
                number,
                part["low"].tolist(),
                part["high"].tolist(),
            )
        )
    panel = Panel(bars, y="contribution to the accuracy")
    return Record("shapley", frame, Picture([panel]))
