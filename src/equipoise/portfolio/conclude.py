"""The end of a search: weights, the members' last fits, and the numbers of the result."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.batch import Predictions
from equipoise.data.table.table import Splits, Table
from equipoise.errors import TrainingError
from equipoise.evaluation.assessment import assess
from equipoise.evaluation.predictions import save_predictions
from equipoise.evaluation.shapley import shapley_value, subsets
from equipoise.portfolio.blended import Blended, Ranked, Recipe
from equipoise.portfolio.ensemble import (
    LEAST,
    Blend,
    cross_fitted,
    log_loss,
    log_softmax,
    temperature,
)
from equipoise.portfolio.members import NETWORK
from equipoise.portfolio.search import Search, late_average, late_sets
from equipoise.portfolio.trials import LOOK, REFIT, Trial, weights_file
from equipoise.portfolio.workers import Workers

MOST = 40
"""The most candidates that weights are chosen for, the best by log-loss."""
PARTS = 5
"""Parts of the held-out rows for the cross-fitted estimate, where there is one fold."""
SUBSETS = 64
"""The most sets of modalities that are asked for contributions."""


@dataclass(frozen=True)
class Candidate:
    """A member, or an average of members over the modalities, with its held-out predictions.

    Attributes:
        name: of it.
        parts: the members.
        temperatures: of the parts.
        logits: (N, C) of the held-out rows.
        available: bool (N,), where it has an opinion.
        seconds: that its trials took.
    """

    name: str
    parts: tuple[str, ...]
    temperatures: tuple[float, ...]
    logits: np.ndarray
    available: np.ndarray
    seconds: float


@dataclass(frozen=True)
class Chosen:
    """The outcome of the search before the last fits.

    Attributes:
        recipe: weights and temperatures.
        rows: (N,) held-out rows of the material, on which the weights were chosen.
        fused: (N, C) probabilities that are cross-fitted over the held-out rows.
        alone: {modality: (N, C) logits of its best member}.
        folds: that the rows come from.
    """

    recipe: Recipe
    rows: np.ndarray
    fused: np.ndarray
    alone: Mapping[str, np.ndarray]
    folds: Sequence[int]


def choose(search: Search) -> Chosen:
    """Choose temperatures and weights on the rows that members were held out from.

    Raises:
        TrainingError: no member was fitted in time.
    """
    material = search.material
    names, folds = _finished(search)
    if not names:
        errors = [f.error for f in search.findings.values() if f.error]
        reason = f"; the first failed with: {errors[0]}" if errors else ""
        raise TrainingError(
            f"no member of the portfolio was fitted in time{reason}; give a longer --time-limit"
        )
    rows = np.concatenate([material.looked_at[1] if k == LOOK else material.held(k) for k in folds])
    label = material.rows.label[rows]
    weight = material.weight[rows]
    candidates = _candidates(search, names, folds, rows, label)
    logits = np.stack([c.logits for c in candidates])
    available = np.stack([c.available for c in candidates])
    seed = material.settings.seed
    blend = Blend.fit(logits, available, label, seed, weight)
    part = material.fold[rows]
    if len(folds) == 1:
        part = np.random.default_rng(seed).permutation(np.arange(len(rows)) % PARTS)
    fused = cross_fitted(logits, available, label, part, seed, weight)
    board = [
        Ranked(
            c.name,
            c.parts,
            c.temperatures,
            float(blend.temperatures[k]),
            float(blend.weights[k]),
            *_scores(c, float(blend.temperatures[k]), label, blend.prior),
            round(c.seconds, 2),
        )
        for k, c in enumerate(candidates)
    ]
    opinions = {m: _opinion(m, search, candidates, board) for m in material.rows.modalities}
    needed = {part for line in board if line.weight for part in line.parts}
    needed |= {name for name, _ in opinions.values()}
    members = [m for m in search.members.values() if m.name in needed]
    recipe = Recipe(
        sorted(board, key=lambda line: line.log_loss),
        members,
        {m.name: list(folds) for m in members if m.family == NETWORK},
        opinions,
        blend.prior.tolist(),
        len(material.trained(max(folds[0], 0))),
    )
    by_name = {c.name: c for c in candidates}
    alone = {
        m: by_name[name].logits / t if name in by_name else np.zeros((len(rows), material.classes))
        for m, (name, t) in opinions.items()
    }
    return Chosen(recipe, rows, fused, alone, folds)


def _finished(search: Search) -> tuple[list[str], list[int]]:
    """The members to choose among, and the folds that all of them have predicted."""
    every = list(range(search.material.folds))
    complete = search.complete()
    if complete:
        return complete, every
    looked = [
        name
        for (name, fold), found in search.findings.items()
        if fold == search.first
        and not found.error
        and (fold != LOOK or search.members[name].family != NETWORK)
    ]
    return looked, [search.first]


def _candidates(
    search: Search, names: Sequence[str], folds: Sequence[int], rows: np.ndarray, label: np.ndarray
) -> list[Candidate]:
    present = {m: here[rows] for m, here in search.material.features.present.items()}
    spent = {
        name: sum(f.seconds for (of, _), f in search.findings.items() if of == name)
        for name in names
    }
    found = {
        name: Candidate(
            name,
            (name,),
            (1.0,),
            search.held(name, folds),
            search.members[name].sees(present),
            spent[name],
        )
        for name in names
    }
    for late, parts in late_sets(search.members.values()).items():
        if not all(part in found for part in parts):
            continue
        logits = [found[part].logits for part in parts]
        seen = [found[part].available for part in parts]
        fitted = [temperature(x[a], label[a]) for x, a in zip(logits, seen, strict=True)]
        found[late] = Candidate(
            late,
            tuple(parts),
            tuple(fitted),
            late_average(logits, seen, fitted),
            np.any(seen, axis=0),
            sum(spent[part] for part in parts),
        )
    if len(found) <= MOST:
        return list(found.values())
    prior = np.full(search.material.classes, 1 / search.material.classes)
    losses = {
        name: _scores(c, temperature(c.logits[c.available], label[c.available]), label, prior)[0]
        for name, c in found.items()
    }
    kept = sorted(found, key=lambda name: losses[name])[:MOST]
    # The best member of each modality alone gives that modality's opinion.
    for modality in search.material.rows.modalities:
        alone = [n for n in names if search.members[n].views == (modality,)]
        kept += sorted(alone, key=lambda name: losses[name])[:1]
    return [found[name] for name in dict.fromkeys(kept)]


def _scores(
    candidate: Candidate, t: float, label: np.ndarray, prior: np.ndarray
) -> tuple[float, float]:
    """Log-loss and accuracy; rows without an opinion get the prior."""
    probability = np.exp(log_softmax(candidate.logits / t))
    probability = np.where(candidate.available[:, None], probability, prior)
    accuracy = float((probability.argmax(axis=1) == label).mean())
    return round(log_loss(probability, label), 5), round(accuracy, 5)


def _opinion(
    modality: str, search: Search, candidates: Sequence[Candidate], board: Sequence[Ranked]
) -> tuple[str, float]:
    """The best member that reads this modality alone, and its temperature."""
    alone = [
        line
        for line, candidate in zip(board, candidates, strict=True)
        if candidate.name in search.members
        and search.members[candidate.name].views == (modality,)
        and search.members[candidate.name].family != NETWORK
    ]
    if alone:
        best = min(alone, key=lambda line: line.log_loss)
        return best.name, best.temperature
    spare = next(
        m for m in search.members.values() if m.views == (modality,) and m.family != NETWORK
    )
    return spare.name, 1.0


def fit_last(
    search: Search,
    chosen: Chosen,
    workers: Workers,
    trials: Path,
    folder: Path,
) -> Recipe:
    """Fit every member that weighs anything to all rows, and store them all.

    Networks keep the weights of their folds, whose probabilities are averaged. The others are
    fitted once more, to training and validation rows together.

    Args:
        search: that ended.
        chosen: its outcome.
        workers: that fit them.
        trials: folder of the trials.
        folder: of the run.

    Returns:
        The recipe without members that could not be fitted.
    """
    stored = folder / "members"
    shutil.rmtree(stored, ignore_errors=True)
    stored.mkdir(parents=True)
    np.savez(stored / "features.npz", **search.material.reader.learned)  # type: ignore[arg-type]
    waiting = [Trial(m, REFIT) for m in chosen.recipe.members if m.family != NETWORK]
    failed: set[str] = set()

    def ended(trial: Trial, finding: Any) -> None:
        if finding.error:
            failed.add(trial.member.name)

    workers.run(lambda: waiting.pop(0) if waiting else None, ended, stored)
    for path in stored.glob("*/trial*.npz"):
        path.unlink()
    for name, folds in chosen.recipe.folds.items():
        (stored / name).mkdir(exist_ok=True)
        for fold in folds:
            source = weights_file(trials, name, fold)
            shutil.copyfile(source, stored / name / source.name)
    return _without(chosen.recipe, failed)


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


def contributions(blended: Blended, table: Table) -> dict[str, float]:
    """The Shapley value of each modality for the accuracy of the ensemble, as for a network.

    Empty where no row has a label, or where there are more than `SUBSETS` sets of modalities.
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
    for subset in sets:
        found = blended.probabilities(asked, subset).argmax(axis=1)
        gain[subset] = torch.tensor(float((found == label).mean()) - chance, dtype=torch.float64)
    count = len(table.modalities)
    return {m: float(shapley_value(m, gain, count)) for m in table.modalities}


def measured(
    search: Search, chosen: Chosen, blended: Blended, splits: Splits, folder: Path
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
            blended, splits.test if len(splits.test) else splits.validation
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
    return (
        "each row by members that were trained on the training split, with weights chosen on "
        f"{PARTS - 1} of {PARTS} parts of the validation split, the row in the other one"
    )
