"""How a result depends on one setting: trainings over a list of values and seeds.

All values are reported and none is chosen. Trainings that are done already are not repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from equipoise.analysis.opened import open_runs
from equipoise.analysis.picture import Line, Mark, Panel, Picture
from equipoise.analysis.record import Record
from equipoise.checks import integer, require
from equipoise.comparison.plan import Plan
from equipoise.comparison.progress import ComparisonProgress
from equipoise.comparison.run import run_comparison
from equipoise.configuration.layers import nest, overlay
from equipoise.errors import ConfigError, RunError
from equipoise.runs.build import build_method
from equipoise.runs.run import Run
from equipoise.settings import IN_MEMORY

MEASURED = ("accuracy", "mean_average_precision", "macro_f1")
TITLES = {"accuracy": "accuracy", "mean_average_precision": "mAP"}
WIDE = 30.0
"""The axis is logarithmic where the largest value is so many times the smallest one."""


def asks_for_logarithm(values: Sequence[Any]) -> bool:
    """True for positive numbers of different orders of magnitude."""
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) < len(values) or min(numbers) <= 0:
        return False
    return bool(max(numbers) / min(numbers) >= WIDE)


def sensitivity(
    runs: Run | str | Path | Sequence[Run | str | Path],
    *,
    setting: str,
    values: Sequence[Any],
    seeds: Sequence[int] = (0, 1, 2),
    folder: str | None = None,
    jobs: int = 1,
    trust: bool = False,
) -> Record:
    """Train with several values of one setting and several seeds, and show what comes of it.

    MIE (Jiang et al. 2024), Figure 4.

    Args:
        runs: one finished run, whose settings are kept in all else.
        setting: dotted name of the setting, such as method.rho.
        values: of the setting.
        seeds: of the trainings.
        folder: of the trainings; analysis/SETTING in the folder of the run by default.
        jobs: trainings at a time.
        trust: code that the settings of the run import may run.

    Returns:
        A table with a row for each value, seed, split and part (the fused prediction and every
        modality): accuracy, mean_average_precision and macro_f1.

    Raises:
        ConfigError: no such setting, or a value that it does not take.
        RunError: no finished run, several of them, or a training failed.
    """
    require(
        "sensitivity",
        ("values", len(values) > 0, "one value or more", values),
        ("seeds", len(seeds) > 0, "one seed or more", seeds),
        integer("jobs", jobs, 1),
    )
    opened = open_runs(runs, trust)
    if len(opened) > 1:
        raise RunError("sensitivity: the settings of one run are varied; name one run")
    (one,) = opened
    plan, labels = _plan(one.run, setting, values, seeds)
    plan.check()
    place = Path(folder) if folder else one.run.folder / "analysis" / setting
    for cell in plan.cells(place):
        build_method(cell.settings)  # so that a wrong value is told before anything trains
    with ComparisonProgress() as progress:
        outcomes = run_comparison(plan, place, jobs=jobs, trust=trust, watch=progress)
    rows: list[dict[str, Any]] = []
    for outcome in outcomes:
        if outcome.result is None:
            raise RunError(f"{place}: {outcome.cell.label}: {outcome.error}")
        rows += _rows(setting, labels[outcome.cell.label], outcome.cell.seed, outcome.result)
    frame = pd.DataFrame(rows)
    return Record("sensitivity", frame, _picture(frame, setting, values))


def _plan(
    run: Run, setting: str, values: Sequence[Any], seeds: Sequence[int]
) -> tuple[Plan, dict[str, Any]]:
    """The comparison of all values, and {label: value}."""
    base = run.settings.to_dict()
    if base["data"]["source"] == IN_MEMORY:
        frame = getattr(run, "frame", None)
        if frame is None:
            raise RunError(
                f"{run.folder}: trained on a DataFrame, which is not kept in the folder; its "
                "settings can be varied only in the process that trained it"
            )
        base["data"]["source"] = frame
    if setting.split(".")[0] in ("data", "seed"):
        raise ConfigError(f"sensitivity: {setting!r} changes the samples; vary another setting")
    labels = {f"{setting}={value}".replace("/", "-"): value for value in values}
    methods = {
        label: overlay({"method": base["method"]}, nest({setting: value}))
        for label, value in labels.items()
    }
    return Plan(methods, seeds=tuple(seeds), shared=base), labels


def _rows(setting: str, value: Any, seed: int, result: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for split in ("validation", "test"):
        if split not in result:
            continue
        measured = result[split]
        for part, found in (("fused", measured["fused"]), *measured["modalities"].items()):
            numbers = {metric: found.get(metric) for metric in MEASURED}
            rows.append(
                {"setting": setting, "value": value, "seed": seed, "split": split, "part": part}
                | numbers
            )
    return rows


def _picture(frame: pd.DataFrame, setting: str, values: Sequence[Any]) -> Picture:
    """A panel for each metric: the fused prediction on both splits, with bands over the seeds."""
    logarithmic = asks_for_logarithm(values)
    numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    places = [float(v) for v in values] if numeric else list(map(float, range(len(values))))
    order = np.argsort(places)
    x = [places[k] for k in order]
    panels = []
    for metric, title in TITLES.items():
        marks: list[Mark] = []
        for number, split in enumerate(("test", "validation")):
            part = frame[(frame["split"] == split) & (frame["part"] == "fused")]
            if not len(part):
                continue
            of = [part.loc[part["value"] == values[k], metric].astype(float) for k in order]
            mean = [float(found.mean()) for found in of]
            band = [0.0 if len(found) < 2 else float(found.std(ddof=1)) for found in of]
            low = [m - b for m, b in zip(mean, band, strict=True)]
            high = [m + b for m, b in zip(mean, band, strict=True)]
            marks.append(Line(x, mean, split, number, number, low, high, points=True))
        shown = setting if numeric else f"{setting}: {', '.join(map(str, values))}"
        panels.append(Panel(marks, x=shown, y=title, log_x=logarithmic))
    return Picture(panels, columns=len(panels))
