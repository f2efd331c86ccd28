"""A whole comparison in one folder: search where asked, then train every method with every seed."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from equipoise.checks import integer, require
from equipoise.comparison.cell import Outcome
from equipoise.comparison.merging import PLAN_FILE, inherit, record
from equipoise.comparison.plan import Cell, Plan
from equipoise.comparison.search import search_settings
from equipoise.comparison.workers import run_cells
from equipoise.configuration.layers import overlay
from equipoise.data.locate import ROLES
from equipoise.diagnosis.inference import take_columns
from equipoise.errors import ConfigError, Interrupted
from equipoise.runs.callbacks import Callbacks
from equipoise.runs.lock import hold_folder
from equipoise.settings import DataSettings, imports

Watch = Callable[[int, int, Outcome], None]
"""Called with (trainings ended, trainings in all, outcome) as each training ends."""


def run_comparison(
    plan: Plan,
    folder: Path,
    *,
    jobs: int = 1,
    trust: bool = False,
    watch: Watch = lambda done, total, outcome: None,
    callbacks: Iterable[Any] = (),
) -> list[Outcome]:
    """Run what is not done yet. A cell that fails records its reason and does not stop the others.

    Args:
        plan: what to run. A grid that the folder was searched over before holds for it too.
        folder: folder of the comparison; made, or continued.
        jobs: trainings at a time.
        trust: an earlier plan in the folder may import code that this plan does not.
        watch: called as each training ends.
        callbacks: of each training, see `Callback`; they need `jobs=1`.

    Returns:
        The outcomes of all cells, in the order of the plan.

    Raises:
        ConfigError: the plan cannot be run, `jobs` is no positive integer, or there are callbacks
            and several jobs.
        RunError: the folder holds cells made with other settings, or another process works in it.
        Interrupted: a signal came; every running training has written a checkpoint.
    """
    require("bench", integer("jobs", jobs, 1))
    called = Callbacks(callbacks)
    if called.members and jobs > 1:
        raise ConfigError("callbacks are called in this process only; use 1 job, or no callbacks")
    plan.check()
    plan = take_plan_columns(plan)
    train = partial(_train, folder=folder, jobs=jobs, watch=watch, callbacks=called)
    # The whole folder is held: two commands that merge their plans at once would lose one of them.
    with hold_folder(folder):
        levels = inherit(plan, folder, trust=trust)
        record(plan, levels, folder)
        if any(level.grid for level in levels.values()):
            levels = search_settings(levels, train)
            record(plan, levels, folder)
        cells = [cell for place, level in levels.items() for cell in level.cells(place)]
        outcomes = train(cells)
    order = {cell.folder: number for number, cell in enumerate(cells)}
    return sorted(outcomes, key=lambda outcome: order[outcome.cell.folder])


def take_plan_columns(plan: Plan) -> Plan:
    """The plan with declared columns, where nobody declares the modalities of its table."""
    data = _first_data(plan)
    taken = take_columns(data)
    if taken is data:
        return plan
    declared = {name: getattr(taken, name) for name in ("modality", *ROLES)}
    return replace(plan, shared=overlay(plan.shared, {"data": declared}))


def _first_data(plan: Plan) -> DataSettings:
    """The settings of the data, which are the same for all methods and rates."""
    one = plan.at(plan.rates[0]) if plan.rates else plan
    return one.settings(next(iter(one.methods)), one.seeds[0], {}).data


def _train(
    cells: list[Cell], *, folder: Path, jobs: int, watch: Watch, callbacks: Callbacks
) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for outcome in run_cells(cells, jobs, callbacks):
        outcomes.append(outcome)
        watch(len(outcomes), len(cells), outcome)
    if len(outcomes) < len(cells) or any(outcome.status == "interrupted" for outcome in outcomes):
        raise Interrupted(
            "stopped by a signal; go on with: "
            + shlex.join(
                ["equipoise", "bench", "--config", str(folder / PLAN_FILE), "--out", str(folder)]
                + ["--trust"] * any(imports(cell.settings.to_dict()) for cell in cells)
            )
        )
    return outcomes
