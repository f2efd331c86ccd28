"""Merging a plan with the plans of earlier commands in the same folder.

A folder of a comparison holds one table, so everything in it must have been made alike. An earlier
command leaves its plan there as `bench.yaml`. A later one may add methods, seeds and missing rates,
and takes the grid and the chosen settings from it; nothing that has results may change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from equipoise.comparison.cell import check_settings
from equipoise.comparison.plan import Plan
from equipoise.comparison.plan_input import plan_from
from equipoise.errors import RunError
from equipoise.settings import require_trust
from equipoise.yaml_text import read_yaml

PLAN_FILE = "bench.yaml"


def inherit(plan: Plan, folder: Path, *, trust: bool = False) -> dict[Path, Plan]:
    """Complete a plan with what its folder has settled.

    The grid of an earlier search holds for methods, seeds and rates that are added, so that all are
    tuned alike. A method that has results keeps the settings that were chosen for it.

    Args:
        plan: what the user asked for.
        folder: of the comparison.
        trust: an earlier plan there may import code.

    Returns:
        {folder: comparison}, one for each missing rate of a sweep.

    Raises:
        ConfigError: an earlier plan imports code that this one does not, and is not trusted.
        RunError: the folder holds results that were made with another grid, or of another kind of
            plan.
    """
    for place in (folder, *plan.levels(folder)):
        path = place / PLAN_FILE
        if path.is_file():
            require_trust(read_yaml(path), path, trust, own=plan.to_dict())
    plan = replace(plan, grid=_joined(plan, folder).grid)
    return {place: _settled(level, place) for place, level in plan.levels(folder).items()}


def record(plan: Plan, levels: Mapping[Path, Plan], folder: Path) -> None:
    """Write the plans to their folders, joined with the earlier ones there.

    Everything is checked before anything is written, and not only what `plan` itself would run:
    every cell and trial of the joined plans must have been made with the joined settings, because
    they share a table.

    Raises:
        RunError: a cell was made with other settings.
    """
    joined = {place: _joined(level, place) for place, level in {folder: plan, **levels}.items()}
    for place, level in joined[folder].levels(folder).items():
        # An earlier rate that this plan leaves out is not in `joined`, but shares the table too.
        complete = joined.get(place) or _joined(level, place)
        for cell in (*complete.cells(place), *complete.trials(place)):
            check_settings(cell)
    for place, complete in joined.items():
        complete.save(place / PLAN_FILE)


def _settled(level: Plan, place: Path) -> Plan:
    """One comparison with the settings that were chosen before."""
    earlier = _earlier(place)
    chosen = {**(earlier.chosen if earlier else {}), **level.chosen}
    if level.grid:
        # A choice without results binds nobody: it is searched for again.
        chosen = {
            label: choice
            for label, choice in chosen.items()
            if _any_result(place / "cells" / label)
        }
    return replace(level, chosen=chosen)


def _joined(plan: Plan, folder: Path) -> Plan:
    earlier = _earlier(folder)
    if earlier is None:
        return plan
    if plan.grid and plan.grid != earlier.grid:
        if _any_result(folder):
            made = f"over the grid {earlier.grid}" if earlier.grid else "without a search"
            raise RunError(
                f"{folder}: made {made}, now asked for one over {plan.grid}; choose another --out"
            )
        earlier = replace(earlier, grid=plan.grid)
    return plan.joined(earlier)


def _earlier(folder: Path) -> Plan | None:
    path = folder / PLAN_FILE
    return plan_from(read_yaml(path)) if path.is_file() else None


def _any_result(folder: Path) -> bool:
    return any(folder.rglob("result.json"))
