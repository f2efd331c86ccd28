"""The end of a search: the members' last fits, and the numbers of the result."""

from __future__ import annotations

import math
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.batch import Predictions
from equipoise.data.table.table import Splits, Table
from equipoise.errors import TrainingError
from equipoise.evaluation.assessment import assess
from equipoise.evaluation.predictions import save_predictions
from equipoise.evaluation.shapley import shapley_value, subsets
from equipoise.portfolio.blended import Blended, Recipe, save_stacks
from equipoise.portfolio.choosing import PARTS, Chosen
from equipoise.portfolio.ensemble import LEAST, log_loss
from equipoise.portfolio.members import NETWORK
from equipoise.portfolio.search import Search
from equipoise.portfolio.trials import REFIT, Finding, Trial, weights_file
from equipoise.portfolio.workers import Workers

SUBSETS = 64
"""The most sets of modalities that are asked for contributions."""


def fit_last(
    search: Search,
    chosen: Chosen,
    workers: Workers,
    trials: Path,
    folder: Path,
    seconds: float = float("inf"),
) -> Recipe:
    """Fit every member that weighs anything to all rows, and store them all.

    Networks keep the weights of their folds, whose probabilities are averaged. The others are
    fitted once more, to training and validation rows together, those of most weight first. When
    the time is over, the rest are left out.

    Args:
        search: that ended.
        chosen: its outcome.
        workers: that fit them.
        trials: folder of the trials.
        folder: of the run.
        seconds: for the fits; the members of the first candidate are fitted in any case.

    Returns:
        The recipe without members that could not be fitted.
    """
    stored = folder / "members"
    shutil.rmtree(stored, ignore_errors=True)
    stored.mkdir(parents=True)
    np.savez(stored / "features.npz", **search.material.reader.learned)  # type: ignore[arg-type]
    save_stacks(chosen.stacks, stored)
    waiting = _refits(chosen.recipe)
    until = search.clock.spent + seconds
    failed: set[str] = set()

    def propose() -> Trial | None:
        while waiting:
            name, needed = waiting.pop(0)
            if needed or search.clock.spent + search.refit_seconds(name) <= until:
                return Trial(search.members[name], REFIT)
            failed.add(name)
        return None

    def ended(trial: Trial, finding: Finding) -> None:
        if finding.error:
            failed.add(trial.member.name)

    workers.run(propose, ended, stored)
    for path in stored.glob("*/trial*.npz"):
        path.unlink()
    for name, folds in chosen.recipe.folds.items():
        (stored / name).mkdir(exist_ok=True)
        for fold in folds:
            source = weights_file(trials, name, fold)
            shutil.copyfile(source, stored / name / source.name)
    return _without(chosen.recipe, failed)


def _refits(recipe: Recipe) -> list[tuple[str, bool]]:
    """The members to fit once more, in order, and whether the result needs them."""
    fitted = {m.name for m in recipe.members if m.family != NETWORK}
    weighed = sorted((line for line in recipe.board if line.weight), key=lambda line: -line.weight)
    needed = [*weighed[0].parts, *(name for name, _ in recipe.opinions.values())]
    ordered = dict.fromkeys([*needed, *(part for line in weighed for part in line.parts)])
    return [(name, name in needed) for name in ordered if name in fitted]


def _without(recipe: Recipe, failed: set[str]) -> Recipe:
    if not failed:
        return recipe
    board = [
        replace(line, weight=0.0) if failed & set(line.parts) else line for line in recipe.board
    ]
    total = sum(line.weight for line in board)
    if not total:
        raise TrainingError("no member could be fitted to all rows; search again")
    return replace(
        recipe,
        board=[replace(line, weight=line.weight / total) for line in board],
        members=[m for m in recipe.members if m.name not in failed],
    )


def validation_predictions(search: Search, chosen: Chosen, splits: Splits) -> Predictions:
    """What the search predicted for the validation rows before it saw them.

    Rows without a label, which nobody was asked about, are left out.
    """
    material = search.material
    later = chosen.rows >= material.training
    rows = chosen.rows[later]
    labelled = np.flatnonzero(splits.validation.label >= 0)
    present = material.rows.present
    return Predictions(
        index=labelled[rows - material.training],
        label=material.rows.label[rows],
        present={m: here[rows] for m, here in present.items()},
        logits={
            m: np.where(present[m][rows][:, None], x[later], 0).astype(np.float32)
            for m, x in chosen.alone.items()
        },
        fused=np.log(np.maximum(chosen.fused[later], LEAST)).astype(np.float32),
        classes=tuple(material.rows.classes),
    )


def contributions(blended: Blended, table: Table, seconds: float = math.inf) -> dict[str, float]:
    """The Shapley value of each modality for the accuracy of the ensemble, as for a network.

    Empty where no row has a label, where there are more than `SUBSETS` sets of modalities, or where
    the time is not enough.

    Args:
        blended: the members.
        table: rows.
        seconds: that are left.
    """
    known = np.flatnonzero(np.asarray(table.label) >= 0)
    sets = subsets(table.modalities)
    if not len(known) or len(sets) > SUBSETS:
        return {}
    import torch

    asked = table.take(known)
    label = np.asarray(asked.label)
    chance = float(np.bincount(label).max() / len(label))
    gain = {}
    members = blended.opened(asked)
    until = time.monotonic() + seconds
    for subset in sets:
        if time.monotonic() > until:
            return {}
        found = members.probabilities(subset).argmax(axis=1)
        gain[subset] = torch.tensor(float((found == label).mean()) - chance, dtype=torch.float64)
    count = len(table.modalities)
    return {m: float(shapley_value(m, gain, count)) for m in table.modalities}


def measured(
    search: Search,
    chosen: Chosen,
    blended: Blended,
    splits: Splits,
    folder: Path,
) -> dict[str, Any]:
    """Read the test split, once, and write the predictions.

    Returns:
        {"validation": metrics, "test": metrics, "contribution": …, "estimate": how the metrics
        came about}; a split without rows is left out.
    """
    parts = {"validation": validation_predictions(search, chosen, splits)}
    if len(splits.test):
        parts["test"] = blended.predict(splits.test)
    (folder / "predictions").mkdir(exist_ok=True)
    for name, predictions in parts.items():
        save_predictions(predictions, folder / "predictions" / f"{name}.npz")
    label = search.material.rows.label[chosen.rows]
    return {
        **{name: assess(predictions) for name, predictions in parts.items()},
        "contribution": contributions(
            blended, splits.test if len(splits.test) else splits.validation, search.clock.left
        ),
        "estimate": {
            "validation": _how(chosen),
            "test": "read once, after everything was chosen and fitted",
            "held_out_rows": len(chosen.rows),
            "folds": len(chosen.folds),
            "held_out_accuracy": float((chosen.fused.argmax(axis=1) == label).mean()),
            "held_out_log_loss": log_loss(chosen.fused, label),
        },
    }


def _how(chosen: Chosen) -> str:
    if len(chosen.folds) > 1:
        return (
            f"each row by members that were trained without its fold ({len(chosen.folds)} folds, "
            "of which the validation split is one), with weights chosen on the other folds"
        )
    reason = (
        "; validation rows are clearly harder to predict than held-out training rows, which "
        "therefore chose nothing"
    )
    return (
        "each row by members that were trained on the training split, with weights chosen on "
        f"{PARTS - 1} of {PARTS} parts of the validation split, the row in the other one"
        + (reason if chosen.apart else "")
    )
