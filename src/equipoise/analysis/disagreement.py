"""The samples on which the modalities disagree most surely."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from equipoise.analysis.opened import Runs, open_runs
from equipoise.analysis.picture import Picture
from equipoise.analysis.record import Record
from equipoise.analysis.samples import sample_panel
from equipoise.batch import Predictions
from equipoise.checks import integer, require
from equipoise.evaluation.metrics import softmax


def disagreeing(predictions: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """Rows on which present modalities predict different classes, the surest disagreement first.

    Its sureness is the probability that the less sure of the two surest modalities that disagree
    gives to its class.

    Args:
        predictions: of a split.

    Returns:
        Rows (n,) and their sureness (n,).
    """
    names = predictions.modalities
    probability = {m: softmax(predictions.logits[m]) for m in names}
    chosen = np.stack([probability[m].argmax(1) for m in names])
    sure = np.stack([probability[m].max(1) for m in names])
    sure = np.where(np.stack([predictions.present[m] for m in names]), sure, -np.inf)
    first = sure.argmax(0)
    rows = np.arange(len(predictions))
    other = np.where(chosen == chosen[first, rows], -np.inf, sure).max(0)
    found = np.flatnonzero(np.isfinite(other))
    order = found[np.argsort(-other[found], kind="stable")]
    return order, other[order]


def disagreement(
    runs: Runs,
    *,
    data: Any = None,
    split: str | None = None,
    show: int = 6,
    trust: bool = False,
) -> Record:
    """List the samples on which the modalities predict different classes, and show some.

    Args:
        runs: a finished run or its folder, the folder of a comparison, or several of them.
        data: other data with the columns of the runs; their own by default.
        split: of the runs' own data, train, validation or test; test by default.
        show: samples in the picture of each run, those with the surest disagreement.
        trust: code that the settings of the runs import may run.

    Returns:
        A table with a row for each run and sample, the surest disagreement first: id, label, fused
        prediction, and of each modality its prediction and how probable it holds it.

    Raises:
        ConfigError: an option has a wrong value.
        RunError: no finished run.
    """
    require("disagreement", integer("show", show, 1))
    rows: list[dict[str, Any]] = []
    panels = []
    columns = 1
    for one in open_runs(runs, trust):
        trained = one.trained()
        table = trained.table(data, split)
        predictions = trained.predict(table)
        classes = predictions.classes
        found, sureness = disagreeing(predictions)
        probability = {m: softmax(predictions.logits[m]) for m in predictions.modalities}
        for row, sure in zip(found.tolist(), sureness.tolist(), strict=True):
            label = int(predictions.label[row])
            named: dict[str, Any] = {
                **one.facts,
                "id": table.ids[row],
                "label": classes[label] if label >= 0 else None,
                "fused": classes[int(predictions.fused[row].argmax())],
                "sureness": sure,
            }
            for modality, p in probability.items():
                here = predictions.present[modality][row]
                named[modality] = classes[int(p[row].argmax())] if here else None
                named[f"p({modality})"] = float(p[row].max()) if here else float("nan")
            rows.append(named)
        columns = max(columns, len(probability))
        for row, named in zip(found[:show].tolist(), rows[len(rows) - len(found) :], strict=False):
            for modality in probability:
                said = f"{modality}: {named[modality]} ({named[f'p({modality})']:.2f})"
                title = f"{named['label']}; {said}"
                panels.append(sample_panel(table, modality, row, title))
    columns = columns if panels else 1
    names = ["run", "method", "seed", "id", "label", "fused", "sureness"]
    frame = pd.DataFrame(rows) if rows else pd.DataFrame(columns=names)
    return Record("disagreement", frame, Picture(panels, columns))
