"""A whole comparison: search where asked, then every method with every seed, into one folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from equipoise.comparison.cell import Outcome
from equipoise.comparison.folder import inherit, record
from equipoise.comparison.plan import Cell, Plan
from equipoise.comparison.workers import run_cells
from equipoise.errors import Interrupted
from equipoise.runs.lock import alone

Watch = Callable[[int, int, Outcome], None]
Train = Callable[[list[Cell]], list[Outcome]]


def run_bench(
    plan: Plan, folder: Path, *, jobs: int = 1, watch: Watch = lambda done, total, outcome: None
) -> list[Outcome]:
    """Run what is not done yet. Failed cells are recorded in their folders and the others go on.

    Args:
        plan: what to run. A grid that the folder was searched over before holds for it too.
        folder: the comparison's; made, or gone on with.
        jobs: trainings at a time.
        watch: called with (number ended, number in all, outcome) as each training ends.

    Returns:
        The outcomes of all cells, in the order of the plan.

    Raises:
        ConfigError: the plan cannot be run.
        RunError: the folder holds cells made with other settings, or another process works in it.
        Interrupted: a signal came; what runs has been checkpointed.
    """
    plan.check()
    train = partial(_train, folder=folder, jobs=jobs, watch=watch)
    with alone(folder):
        levels = inherit(plan, folder)
        record(plan, levels, folder)
        if any(level.grid for level in levels.values()):
            levels = _search(levels, train)
            record(plan, levels, folder)
        cells = [cell for place, level in levels.items() for cell in level.cells(place)]
        outcomes = train(cells)
    order = {cell.folder: number for number, cell in enumerate(cells)}
    return sorted(outcomes, key=lambda outcome: order[outcome.cell.folder])


def _search(levels: Mapping[Path, Plan], train: Train) -> dict[Path, Plan]:
    """The comparisons, with settings chosen among the grid for each method that has none yet; each
    rate for itself.

    Its trainings never read the test split: those that are chosen do when they become cells.
    """
    trials = {
        place: [cell for cell in level.trials(place) if cell.label not in level.chosen]
        for place, level in levels.items()
    }
    outcomes = {
        o.cell.folder: o for o in train([cell for cells in trials.values() for cell in cells])
    }
    found = {}
    for place, level in levels.items():
        best = _best(outcomes[cell.folder] for cell in trials[place])
        chosen = {label: level.choices()[number] for label, number in best.items()}
        found[place] = replace(level, chosen={**level.chosen, **chosen})
    return found


def _best(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """{label: the choice with the best mean validation metric over the seeds, the first of equals}"""
    tried: dict[str, dict[int, list[Outcome]]] = {}
    for outcome in outcomes:
        tried.setdefault(outcome.cell.label, {}).setdefault(outcome.cell.choice or 0, []).append(
            outcome
        )
    return {
        label: max(choices, key=lambda n: _score(choices[n])) for label, choices in tried.items()
    }


def _score(outcomes: Iterable[Outcome]) -> float:
    """Mean validation metric; a choice that fails with any seed is never taken before one that does not."""
    results = [(outcome.result, outcome.cell.settings.select) for outcome in outcomes]
    if any(result is None for result, _ in results):
        return -1.0
    return fmean(_selected(result, select) for result, select in results)


def _selected(result: dict[str, Any] | None, select: str) -> float:
    return float((result or {})["validation"]["fused"][select] or 0.0)


def _train(cells: list[Cell], *, folder: Path, jobs: int, watch: Watch) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for outcome in run_cells(cells, jobs):
        outcomes.append(outcome)
        watch(len(outcomes), len(cells), outcome)
    if len(outcomes) < len(cells) or any(outcome.status == "interrupted" for outcome in outcomes):
        raise Interrupted(
            f"stopped by a signal; go on with: equipoise bench --config {folder / 'bench.yaml'} --out {folder}"
        )
    return outcomes
