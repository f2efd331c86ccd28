"""The search over a grid: for each method, the choice with the best mean validation metric."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from equipoise.comparison.cell import Outcome
from equipoise.comparison.plan import Cell, Plan
from equipoise.evaluation.metrics import worth


def search_settings(
    levels: Mapping[Path, Plan], train: Callable[[list[Cell]], list[Outcome]]
) -> dict[Path, Plan]:
    """Choose settings from the grid for every method that has none yet, at each rate separately.

    Args:
        levels: {folder: comparison}, one for each missing rate.
        train: trains trials and returns their outcomes.

    Returns:
        The same comparisons, with `chosen` filled in.
    """
    trials = {
        folder: [trial for trial in level.trials(folder) if trial.label not in level.chosen]
        for folder, level in levels.items()
    }
    # All trials go to the workers at once, so that no worker waits for the end of a rate.
    ended = train([trial for of_level in trials.values() for trial in of_level])
    outcomes = {outcome.cell.folder: outcome for outcome in ended}
    found = {}
    for folder, level in levels.items():
        best = best_choices([outcomes[trial.folder] for trial in trials[folder]])
        chosen = {label: level.choices()[number] for label, number in best.items()}
        found[folder] = replace(level, chosen={**level.chosen, **chosen})
    return found


def best_choices(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """The number of the best choice of each method; the first one where several are equal."""
    tried: dict[str, dict[int, list[Outcome]]] = {}
    for outcome in outcomes:
        choices = tried.setdefault(outcome.cell.label, {})
        choices.setdefault(outcome.cell.choice or 0, []).append(outcome)
    best = {}
    for label, choices in tried.items():
        scores = {number: _score(of_choice) for number, of_choice in choices.items()}
        best[label] = max(scores, key=scores.__getitem__)
    return best


def _score(outcomes: Sequence[Outcome]) -> tuple[float, float]:
    """Mean worth of the validation metric over the seeds, and of the log-loss for equal ones.

    A choice that fails with any seed never wins against one that does not.
    """
    scores = []
    for outcome in outcomes:
        if outcome.result is None:
            return -math.inf, -math.inf
        fused = outcome.result["validation"]["fused"]
        names = (outcome.cell.settings.select, "log_loss")
        scores.append([worth(name, fused.get(name)) for name in names])
    metric, loss = map(fmean, zip(*scores, strict=True))
    return metric, loss
