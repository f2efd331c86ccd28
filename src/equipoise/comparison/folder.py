"""What earlier commands left in the folder of a comparison, and what a plan may add to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from equipoise.comparison.cell import check_settings
from equipoise.comparison.plan import Plan
from equipoise.comparison.reading import plan_from
from equipoise.errors import RunError
from equipoise.settings import read_yaml

NAME = "bench.yaml"


def inherit(plan: Plan, folder: Path) -> dict[Path, Plan]:
    """The comparisons that a plan runs, {folder: comparison}, with what the folder has settled.

    The grid of an earlier search holds for methods, seeds and rates that are added, so that all are
    tuned alike. A method that has results keeps what was chosen for it.

    Raises:
        RunError: the folder holds results that were made with another grid, or of another kind of
            plan.
    """
    plan = replace(plan, grid=_joined(plan, folder).grid)
    return {place: _settled(level, place) for place, level in plan.levels(folder).items()}


def record(plan: Plan, levels: Mapping[Path, Plan], folder: Path) -> None:
    """Write plans down, together with what earlier ones left in their folders, once nothing there
    contradicts them.

    All that shares a table must agree, so every cell and trial of the joined plan is looked at, not
    only what `plan` itself would run.

    Raises:
        RunError: a cell was made with other settings.
    """
    joined = {place: _joined(level, place) for place, level in {folder: plan, **levels}.items()}
    for place, level in joined[folder].levels(folder).items():
        whole = joined.get(place) or _joined(level, place)
        for cell in (*whole.cells(place), *whole.trials(place)):
            check_settings(cell)
    for place, whole in joined.items():
        whole.save(place / NAME)


def _settled(level: Plan, place: Path) -> Plan:
    earlier = _earlier(place)
    chosen = {**(earlier.chosen if earlier else {}), **level.chosen}
    if level.grid:  # what else was chosen, here or in another folder, is searched for again
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
    return plan_from(read_yaml(folder / NAME)) if (folder / NAME).is_file() else None


def _any_result(folder: Path) -> bool:
    return any(folder.rglob("result.json"))
