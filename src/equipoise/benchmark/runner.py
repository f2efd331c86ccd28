"""A whole comparison: search where asked, then every method with every seed, into one folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from equipoise.benchmark.cells import Outcome, check_settings
from equipoise.benchmark.items import plan_from
from equipoise.benchmark.lanes import run_cells
from equipoise.benchmark.plan import Cell, Plan
from equipoise.errors import Interrupted
from equipoise.settings import read_yaml
from equipoise.training.lock import alone

Watch = Callable[[int, int, Outcome], None]


def run_bench(
    plan: Plan, folder: Path, *, jobs: int = 1, watch: Watch = lambda done, total, outcome: None
) -> list[Outcome]:
    """Run what is not done yet. Failed cells are recorded in their folders and the others go on.

    Args:
        plan: what to run.
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
    with alone(folder):
        levels = plan.levels(folder)
        if plan.grid:
            levels = _search(plan, levels, folder, jobs=jobs, watch=watch)
        cells = [cell for place, level in levels.items() for cell in level.cells(place)]
        _begin({folder: plan, **levels}, cells)
        outcomes = _run(cells, jobs, watch, folder)
    order = {cell.folder: number for number, cell in enumerate(cells)}
    return sorted(outcomes, key=lambda outcome: order[outcome.cell.folder])


def _search(
    plan: Plan, levels: Mapping[Path, Plan], folder: Path, *, jobs: int = 1, watch: Watch
) -> dict[Path, Plan]:
    """Choose each method's settings among the grid by the mean validation metric over the seeds; test is not read.

    Returns:
        The comparisons with `chosen` filled, of each for itself; the chosen trainings stand in `cells` already.
    """
    trials = {
        (place, label, number): [
            Cell(label, seed, level.settings(label, seed, choice), _trial(place, label, number, seed))
            for seed in plan.seeds
        ]
        for place, level in levels.items()
        for label in plan.methods
        for number, choice in enumerate(plan.choices())
    }
    cells = [cell for group in trials.values() for cell in group]
    _begin({folder: plan, **levels}, cells)
    outcomes = {outcome.cell.folder: outcome for outcome in _run(cells, jobs, watch, folder)}
    found = {}
    for place, level in levels.items():
        chosen = {}
        for label in plan.methods:
            scores = [
                _score([outcomes[cell.folder] for cell in trials[place, label, number]])
                for number in range(len(plan.choices()))
            ]
            best = scores.index(max(scores))
            chosen[label] = plan.choices()[best]
            for cell in trials[place, label, best]:
                _adopt(cell, place)
        found[place] = replace(level, chosen=chosen)
    return found


def _begin(plans: Mapping[Path, Plan], cells: Iterable[Cell]) -> None:
    """Write plans down, together with what earlier ones left in their folders, once nothing contradicts them."""
    for cell in cells:
        check_settings(cell)
    paths = {folder / "bench.yaml": plan for folder, plan in plans.items()}
    joined = {p: plan.joined(plan_from(read_yaml(p))) if p.is_file() else plan for p, plan in paths.items()}
    for path, plan in joined.items():
        plan.save(path)


def _trial(folder: Path, label: str, number: int, seed: int) -> Path:
    return folder / "search" / label / f"choice-{number}" / f"seed-{seed}"


def _score(outcomes: Iterable[Outcome]) -> float:
    """Mean validation metric; a choice that fails with any seed is never taken before one that does not."""
    results = [(outcome.result, outcome.cell.settings.select) for outcome in outcomes]
    if any(result is None for result, _ in results):
        return -1.0
    return fmean(_selected(result, select) for result, select in results)


def _selected(result: dict[str, Any] | None, select: str) -> float:
    return float((result or {})["validation"]["fused"][select] or 0.0)


def _adopt(cell: Cell, folder: Path) -> None:
    """The chosen training becomes the method's cell."""
    target = folder / "cells" / cell.label / cell.folder.name
    if (cell.folder / "result.json").is_file() and not target.exists():
        shutil.copytree(cell.folder, target)


def _run(cells: list[Cell], jobs: int, watch: Watch, folder: Path) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for outcome in run_cells(cells, jobs):
        outcomes.append(outcome)
        watch(len(outcomes), len(cells), outcome)
    if len(outcomes) < len(cells) or any(outcome.status == "interrupted" for outcome in outcomes):
        raise Interrupted(
            f"stopped by a signal; go on with: equipoise bench --config {folder / 'bench.yaml'} --out {folder}"
        )
    return outcomes
