"""Read finished runs from their folders, for reports."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from equipoise.batch import Predictions
from equipoise.comparison.merging import PLAN_FILE
from equipoise.comparison.rates import find_rates
from equipoise.errors import RunError
from equipoise.evaluation.predictions import load_predictions
from equipoise.evaluation.statistics import Difference, paired_bootstrap
from equipoise.report.board import Board, metrics_of, reported
from equipoise.runs.result import read_result
from equipoise.yaml_text import read_yaml

FEATURED = 8
"""The most methods that one figure can show so that eyes tell them apart."""

UNFINISHED = "nothing to report: no run has finished"


@dataclass(frozen=True)
class Record:
    """One finished run.

    Attributes:
        folder: the run folder.
        result: content of `result.json`.
        epochs: lines of `metrics.jsonl`.
    """

    folder: Path
    result: dict[str, Any]
    epochs: list[dict[str, Any]]

    @property
    def split(self) -> str:
        """The split that is reported: test, or validation where the run has no test samples."""
        return "test" if "test" in self.result else "validation"

    @property
    def measured(self) -> Mapping[str, Any]:
        return reported(self.result)

    def inputs(self) -> dict[str, str]:
        """The part read of each modality and its encoder; empty for runs of version 0.1."""
        try:
            facts = json.loads((self.folder / "data.json").read_text(encoding="utf-8"))
            return {str(m): str(text) for m, text in facts.get("inputs", {}).items()}
        except (OSError, ValueError, AttributeError):
            return {}

    def predictions(self) -> Predictions:
        return load_predictions(self.folder / "predictions" / f"{self.split}.npz")


@dataclass(frozen=True)
class Failure:
    """A cell of a comparison that ended in an error."""

    label: str
    seed: str
    reason: str


@dataclass(frozen=True)
class MethodRuns:
    """The finished runs of one method, one for each seed."""

    label: str
    runs: Sequence[Record]

    @property
    def modalities(self) -> list[str]:
        return list(self.runs[0].result["modalities"])

    def accuracy(self, part: str = "fused") -> float | None:
        """Mean accuracy of "fused" or of a modality; None where it was not measured."""
        return _mean([metrics_of(run.measured, part).get("accuracy") for run in self.runs])

    def validation(self, part: str = "fused") -> float:
        """Mean accuracy on the validation split; -1 where it was not measured.

        Methods may be chosen by it, as it says nothing about the test split.
        """
        found = _mean(
            [metrics_of(run.result["validation"], part).get("accuracy") for run in self.runs]
        )
        return -1.0 if found is None else found

    def cost(self, name: str) -> float:
        """Mean of one of the costs in `result.json`."""
        return fmean(float(run.result["cost"][name]) for run in self.runs)

    def contribution(self, modality: str) -> float:
        """Mean Shapley value of a modality for the fused accuracy."""
        return fmean(float(run.result["contribution"].get(modality, 0)) for run in self.runs)


def _mean(values: Sequence[float | None]) -> float | None:
    """None where one of the values is unknown."""
    known = [value for value in values if value is not None]
    return fmean(known) if len(known) == len(values) else None


def modalities_of(groups: Iterable[MethodRuns]) -> list[str]:
    """The modalities of all methods, in the order of their first."""
    return list(dict.fromkeys(m for group in groups for m in group.modalities))


def featured(groups: Sequence[MethodRuns]) -> list[MethodRuns]:
    """The methods that figures show, in their order.

    They are the first method, with which the others are compared, and the best of the others on
    validation.
    """
    others = sorted(groups[1:], key=MethodRuns.validation, reverse=True)[: FEATURED - 1]
    labels = {group.label for group in (groups[0], *others)}
    return [group for group in groups if group.label in labels]


def read_runs(folders: Iterable[Path]) -> tuple[list[MethodRuns], list[Failure]]:
    """Read the runs of run folders and comparison folders, grouped by label.

    Raises:
        RunError: a folder is neither, or no run in them has finished.
    """
    groups, failures = _collect(folders)
    if not groups:
        raise RunError(UNFINISHED)
    return groups, failures


def read_levels(folders: Sequence[Path]) -> dict[float, tuple[list[MethodRuns], list[Failure]]]:
    """Read the comparisons of sweeps over missing rates.

    Returns:
        {rate: methods and failures}; empty if no folder holds a sweep.

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


def _collect(folders: Iterable[Path]) -> tuple[list[MethodRuns], list[Failure]]:
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
    return [MethodRuns(label, runs) for label, runs in groups.items()], failures


def read_board(folders: Sequence[Path]) -> Board:
    """The board of everything that has finished in some run and comparison folders.

    Raises:
        RunError: as `read_runs` and `read_levels`.
    """
    levels = read_levels(folders)
    if levels:
        return Board({rate: results_of(methods) for rate, (methods, _) in levels.items()})
    return Board(results_of(read_runs(folders)[0]))


def results_of(methods: Iterable[MethodRuns]) -> list[dict[str, Any]]:
    """The results of all runs of some methods."""
    return [run.result for method in methods for run in method.runs]


def _cells(folder: Path) -> list[Path]:
    """The cells of a comparison in the order of its plan, seeds by number."""
    plan = folder / PLAN_FILE
    planned = read_yaml(plan).get("methods", {}) if plan.is_file() else {}
    place = {label: number for number, label in enumerate(planned)}

    def order(cell: Path) -> tuple[int, str, list[int]]:
        label = cell.parent.name
        numbers = [int(part) for part in cell.name.split("-") if part.isdigit()]  # seed, fold
        return place.get(label, len(place)), label, numbers

    return sorted((folder / "cells").glob("*/seed-*"), key=order)


def read_record(folder: Path) -> Record:
    """Read one run folder.

    Raises:
        RunError: a file is missing or damaged.
    """
    try:
        result = read_result(folder)
        lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        epochs = [json.loads(line) for line in lines if line.strip()]
        if not all(map(_is_epoch, epochs)):
            raise TypeError
        return Record(folder, result, epochs)
    except OSError as error:
        raise RunError(f"{error.filename}: cannot be read ({error.strerror})") from None
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        raise RunError(
            f"{folder / 'metrics.jsonl'}: edited or cut since it was written; restore the file, or "
            "train again in a new folder"
        ) from None


def _is_epoch(line: Any) -> bool:
    """True if a line of `metrics.jsonl` has the numbers that figures are drawn from."""
    parts = [line["validation"]["fused"], *line["validation"]["modalities"].values()]
    return (
        isinstance(line["epoch"], int)
        and isinstance(line["method"], dict)
        and all(isinstance(part, dict) for part in parts)
        and all(
            value is None or isinstance(value, int | float)
            for part in parts
            for value in part.values()
        )
    )


def difference(group: MethodRuns, reference: MethodRuns, part: str = "fused") -> Difference | None:
    """Paired bootstrap of accuracy; None unless both methods saw the same labelled samples.

    Of a cross-validation, the samples of a seed are those of all its folds together.

    Args:
        group: the runs of a method.
        reference: those of the method that it is compared with.
        part: "fused" or a modality, whose samples are those that have it.
    """
    seen = [_by_seed(of.runs, part) for of in (group, reference)]
    folds, label = seen[0][0][:2]
    same = all(
        found == folds and np.array_equal(labels, label) for of in seen for found, labels, _ in of
    )
    known = label >= 0
    if not same or not known.any():
        return None
    return paired_bootstrap(*(np.stack([right[known] for _, _, right in of]) for of in seen))


def _by_seed(runs: Sequence[Record], part: str) -> list[tuple[list[Any], np.ndarray, np.ndarray]]:
    """For each seed its folds, and of the samples of all of these the label and correctness.

    The label of a sample that cannot be judged is −1: it has none, or lacks the modality.
    """
    seeds: dict[int, list[Record]] = {}
    for run in runs:
        seeds.setdefault(run.result["seed"], []).append(run)
    found = []
    for of_seed in seeds.values():
        ordered = sorted(of_seed, key=lambda run: run.result.get("fold", 0))
        judged = [_judged(run.predictions(), part) for run in ordered]
        label, right = (np.concatenate(values) for values in zip(*judged, strict=True))
        found.append(([run.result.get("fold") for run in ordered], label, right))
    return found


def _judged(predictions: Predictions, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels, −1 where the part has nothing to judge, and whether the part was right."""
    if part == "fused":
        return predictions.label, predictions.fused.argmax(1) == predictions.label
    label = np.where(predictions.present[part], predictions.label, -1)
    return label, predictions.logits[part].argmax(1) == predictions.label


def confusion(group: MethodRuns) -> np.ndarray:
    """Counts (C, C) of true class by predicted class, summed over the seeds."""
    classes = len(group.runs[0].result["classes"])
    counts = np.zeros((classes, classes), dtype=int)
    for run in group.runs:
        predictions = run.predictions()
        known = predictions.label >= 0
        np.add.at(counts, (predictions.label[known], predictions.fused[known].argmax(1)), 1)
    return counts
