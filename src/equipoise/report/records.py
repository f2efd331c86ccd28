"""What a report reads from run folders."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.batch import Predictions
from equipoise.comparison.rates import find_rates
from equipoise.errors import RunError
from equipoise.evaluation.metrics import absent_share
from equipoise.evaluation.predictions import load_predictions
from equipoise.evaluation.statistics import Difference, mean_and_std, paired_bootstrap
from equipoise.settings import read_yaml

FEATURED = 8
"""Methods that a figure can show and eyes tell apart."""
UNFINISHED = "nothing to report: no run has finished"


@dataclass(frozen=True)
class Record:
    """One finished run."""

    folder: Path
    result: dict[str, Any]
    epochs: list[dict[str, Any]]  # lines of metrics.jsonl

    @property
    def split(self) -> str:
        """The split that is reported: test where there is one."""
        return "test" if "test" in self.result else "validation"

    @property
    def measured(self) -> dict[str, Any]:
        measured: dict[str, Any] = self.result[self.split]
        return measured

    def predictions(self) -> Predictions:
        return load_predictions(self.folder / "predictions" / f"{self.split}.npz")


@dataclass(frozen=True)
class Failure:
    """A cell of a comparison that ended in an error."""

    label: str
    seed: str
    reason: str


@dataclass(frozen=True)
class Group:
    """The seeds of one method."""

    label: str
    runs: Sequence[Record]

    @property
    def modalities(self) -> list[str]:
        return list(self.runs[0].result["modalities"])

    def values(self, part: str, metric: str) -> list[float]:
        """One value per seed; `part` is "fused" or a modality."""
        found = []
        for run in self.runs:
            of = (
                run.measured["fused"]
                if part == "fused"
                else run.measured["modalities"].get(part, {})
            )
            if of.get(metric) is not None:
                found.append(float(of[metric]))
        return found

    def summary(self, part: str, metric: str = "accuracy") -> tuple[float, float | None] | None:
        """Mean and standard deviation over seeds, or None where nothing was measured."""
        values = self.values(part, metric)
        return mean_and_std(values) if values else None

    def validation(self) -> float:
        """Mean fused accuracy on the validation split, by which methods may be chosen; -1 where it has no labels."""
        found = [run.result["validation"]["fused"].get("accuracy") for run in self.runs]
        return mean_and_std([float(value) for value in found])[0] if None not in found else -1.0

    def absent(self) -> float:
        """Share of the (sample, modality) cells that are absent from the reported split."""
        return mean_and_std([absent_share(run.measured) or 0.0 for run in self.runs])[0]

    def cost(self, name: str) -> float:
        return mean_and_std([float(run.result["cost"][name]) for run in self.runs])[0]

    def contribution(self, modality: str) -> float:
        return mean_and_std(
            [float(run.result["contribution"].get(modality, 0)) for run in self.runs]
        )[0]


def modalities_of(groups: Iterable[Group]) -> list[str]:
    """The modalities of all methods, in the order of their first."""
    return list(dict.fromkeys(m for group in groups for m in group.modalities))


def featured(groups: Sequence[Group]) -> list[Group]:
    """The first method, with which the others are compared, and the best of them on validation; in their order."""
    others = sorted(groups[1:], key=Group.validation, reverse=True)[: FEATURED - 1]
    labels = {group.label for group in (groups[0], *others)}
    return [group for group in groups if group.label in labels]


def read_runs(folders: Iterable[Path]) -> tuple[list[Group], list[Failure]]:
    """Group the runs of run folders and comparison folders by label.

    Raises:
        RunError: a folder is neither, or no run in them has finished.
    """
    groups, failures = _collect(folders)
    if not groups:
        raise RunError(UNFINISHED)
    return groups, failures


def read_levels(folders: Sequence[Path]) -> dict[float, tuple[list[Group], list[Failure]]]:
    """The comparisons of sweeps over missing rates, {rate: groups and failures}; empty if no folder
    holds a sweep.

    Raises:
        RunError: some hold a sweep and others do not, or no run in them has finished.
    """
    sweeps = [find_rates(folder) for folder in folders]
    if not any(sweeps):
        return {}
    if not all(sweeps):
        raise RunError(
            "a sweep over missing rates cannot be reported together with single runs or comparisons"
        )
    rates = sorted({rate for sweep in sweeps for rate in sweep})
    levels = {rate: _collect(sweep[rate] for sweep in sweeps if rate in sweep) for rate in rates}
    if not any(groups for groups, _ in levels.values()):
        raise RunError(UNFINISHED)
    return levels


def _collect(folders: Iterable[Path]) -> tuple[list[Group], list[Failure]]:
    records: list[Record] = []
    failures: list[Failure] = []
    for folder in folders:
        cells = _cells(folder) if (folder / "cells").is_dir() else [folder]
        for cell in cells:
            if (cell / "result.json").is_file():
                records.append(read_record(cell))
            elif (cell / "error.txt").is_file():
                reason = (cell / "error.txt").read_text(encoding="utf-8").strip()
                failures.append(Failure(cell.parent.name, cell.name.removeprefix("seed-"), reason))
            elif cells == [folder]:
                raise RunError(
                    f"{folder}: neither a finished run (no result.json) nor a comparison (no cells)"
                )
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.result["label"], []).append(record)
    return [Group(label, runs) for label, runs in groups.items()], failures


def _cells(folder: Path) -> list[Path]:
    """The cells of a comparison in the order of its plan, seeds by number."""
    planned = (
        list(read_yaml(folder / "bench.yaml").get("methods", {}))
        if (folder / "bench.yaml").is_file()
        else []
    )
    place = {label: number for number, label in enumerate(planned)}

    def order(cell: Path) -> tuple[int, str, int]:
        label = cell.parent.name
        return place.get(label, len(place)), label, int(cell.name.removeprefix("seed-"))

    return sorted((folder / "cells").glob("*/seed-*"), key=order)


def read_record(folder: Path) -> Record:
    """Read one run folder.

    Raises:
        RunError: a file is missing or damaged.
    """
    try:
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        return Record(folder, result, [json.loads(line) for line in lines if line.strip()])
    except OSError as error:
        raise RunError(f"{error.filename}: cannot be read ({error.strerror})") from None
    except ValueError:
        raise RunError(f"{folder}: result.json or metrics.jsonl is damaged; train again") from None


def difference(group: Group, reference: Group) -> Difference | None:
    """Paired bootstrap of fused accuracy, where all runs of both saw the same labelled samples."""
    seen = [[run.predictions() for run in of.runs] for of in (group, reference)]
    label = seen[0][0].label
    if not all(np.array_equal(p.label, label) for of in seen for p in of) or not (label >= 0).any():
        return None
    return paired_bootstrap(*(_correct(of, label) for of in seen))


def confusion(group: Group) -> np.ndarray:
    """Counts (C, C) of true class by predicted class, over the seeds."""
    classes = len(group.runs[0].result["classes"])
    counts = np.zeros((classes, classes), dtype=int)
    for run in group.runs:
        predictions = run.predictions()
        known = predictions.label >= 0
        np.add.at(counts, (predictions.label[known], predictions.fused[known].argmax(1)), 1)
    return counts


def _correct(seen: Sequence[Predictions], label: np.ndarray) -> np.ndarray:
    """bool (S, N), whether the fused prediction is right; a row per seed."""
    known = label >= 0
    return np.stack([p.fused[known].argmax(1) == label[known] for p in seen])
