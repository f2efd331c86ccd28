"""The runs that an analysis looks at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from equipoise.batch import Predictions
from equipoise.data.table.table import Table
from equipoise.errors import RunError
from equipoise.evaluation.predictions import load_predictions
from equipoise.report.records import Record, read_record, read_runs
from equipoise.runs.run import Run
from equipoise.runs.trained import Trained

Runs = Run | str | Path | Sequence[Run | str | Path]
"""A finished run or its folder, the folder of a comparison, or several of them."""


@dataclass(frozen=True)
class Opened:
    """A finished run in an analysis.

    Attributes:
        label: unique among the runs that are looked at.
        run: the run.
        trust: code that its settings import may run.
    """

    label: str
    run: Run
    trust: bool = False

    @property
    def facts(self) -> dict[str, object]:
        """The columns by which every table names the run."""
        result = self.run.result
        return {"run": self.label, "method": result["label"], "seed": result["seed"]}

    def trained(self, epoch: int | None = None) -> Trained:
        """Its network.

        Args:
            epoch: one of its `keep_epochs`; the best epoch by default.

        Raises:
            RunError: it is a search, or the weights of the epoch were not kept.
        """
        return Trained(
            self.run.folder,
            trust=self.trust or self.run.trusted,
            frame=getattr(self.run, "frame", None),
            epoch=epoch,
        )

    def record(self) -> Record:
        """Its result and the lines of `metrics.jsonl`."""
        return read_record(self.run.folder)

    def predictions(self, split: str) -> Predictions:
        """The predictions that it stored of "validation" or "test".

        Raises:
            RunError: there are none.
        """
        return load_predictions(self.run.folder / "predictions" / f"{split}.npz")


def open_runs(runs: Runs, trust: bool = False) -> list[Opened]:
    """Open finished runs.

    Args:
        runs: of a comparison, all runs that have finished.
        trust: code that their settings import may run.

    Returns:
        The runs. A label is that of the method, with the seed or the folder where several share it.

    Raises:
        RunError: a folder holds no finished run, or there is none.
    """
    given = [runs] if isinstance(runs, Run | str | Path) else list(runs)
    found: list[Run] = []
    for one in given:
        if isinstance(one, Run):
            found.append(one)
        elif (Path(one) / "cells").is_dir():
            groups, _ = read_runs([Path(one)])
            found += [Run.open(record.folder) for group in groups for record in group.runs]
        else:
            found.append(Run.open(one))
    if not found:
        raise RunError("an analysis needs at least one finished run")
    labels = [run.result["label"] for run in found]
    if len(set(labels)) < len(labels):
        seeded = [f"{run.result['label']}, seed {run.result['seed']}" for run in found]
        several = Counter(labels)
        labels = [s if several[x] > 1 else x for x, s in zip(labels, seeded, strict=True)]
    if len(set(labels)) < len(labels):
        labels = [str(run.folder) for run in found]
    return [Opened(label, run, trust) for label, run in zip(labels, found, strict=True)]


def drawn_rows(table: Table, samples: int, seed: int, labelled: bool = True) -> Table:
    """Some rows of a table, without augmentation.

    Args:
        table: the split.
        samples: the largest number of rows.
        seed: of the draw.
        labelled: leave out rows without a label.
    """
    rows = np.flatnonzero(table.label >= 0) if labelled else np.arange(len(table))
    if len(rows) > samples:
        rows = np.sort(np.random.default_rng(seed).choice(rows, samples, replace=False))
    return replace(table.take(rows), augment=None)
