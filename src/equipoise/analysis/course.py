"""The course of a training: the weight α of an alignment loss, and accuracy over the phases."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import pandas as pd

from equipoise.analysis.opened import Opened, Runs, open_runs
from equipoise.analysis.picture import Line, Mark, Panel, Picture, Shade
from equipoise.analysis.record import Record
from equipoise.checks import choice, require
from equipoise.errors import RunError
from equipoise.methods.parts.schedules import SCHEDULES, VALUED, schedule

METRICS = ("accuracy", "log_loss")
"""The metrics of every epoch that `metrics.jsonl` holds of each modality."""
CURVES = tuple(name for name in SCHEDULES if name not in VALUED)


def alpha(runs: Runs, *, curves: Sequence[str] = ("heuristic",), trust: bool = False) -> Record:
    """Draw the weight α that methods logged over the fraction of the training.

    LFM (Yang et al. NeurIPS 2024), Figure 3.

    Args:
        runs: a finished run or its folder, the folder of a comparison, or several of them; methods
            whose log has an alpha.
        curves: schedules ω(t) drawn beside them, some of heuristic and polynomial.
        trust: without effect, as no network is loaded.

    Returns:
        A table with a row for each run and epoch: epoch from 1, fraction of the training, name
        (alpha, or alpha/MODALITY) and value.

    Raises:
        ConfigError: there is no such schedule.
        RunError: no finished run, or one whose method logged no alpha.
    """
    for name in curves:
        require("alpha", choice("curves", name, CURVES))
    rows: list[dict[str, Any]] = []
    lines: list[Mark] = []
    opened = open_runs(runs, trust)
    most = 0
    for one in opened:
        found = _alphas(one)
        for number, (name, values) in enumerate(found.items()):
            fractions = [(k + 1) / len(values) for k in range(len(values))]
            rows += [
                {**one.facts, "epoch": k + 1, "fraction": f, "name": name, "value": v}
                for k, (f, v) in enumerate(zip(fractions, values, strict=True))
            ]
            label = one.label if name == "alpha" else f"{one.label}, {name}"
            lines.append(Line(fractions, values, label, opened.index(one), number))
            most = max(most, len(values))
    for number, name in enumerate(curves):
        course = schedule(name, 0.0)
        values = [course(t, most) for t in range(1, most + 1)]
        fractions = [t / most for t in range(1, most + 1)]
        lines.append(Line(fractions, values, f"ω(t), {name}", len(opened) + number, 1))
    panel = Panel(lines, x="fraction of the training", y="α")
    return Record("alpha", pd.DataFrame(rows), Picture([panel]))


def _alphas(one: Opened) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for line in one.record().epochs:
        for name, value in line["method"].items():
            if name.split("/")[0] == "alpha" and isinstance(value, int | float):
                found.setdefault(name, []).append(float(value))
    if not found:
        raise RunError(
            f"{one.run.folder}: method {one.run.result['method']!r} logged no alpha; take a run of "
            "a method that has such a weight"
        )
    return found


def phases(runs: Runs, *, metric: str = "accuracy", trust: bool = False) -> Record:
    """Draw a validation metric after every epoch, with the phases of the training shaded.

    MIE (Jiang et al. 2024), Figure 3.

    Args:
        runs: a finished run or its folder, the folder of a comparison, or several of them.
        metric: accuracy or log_loss.
        trust: without effect, as no network is loaded.

    Returns:
        A table with a row for each run, epoch and part (the fused prediction and every modality):
        epoch from 1, phase from 1, the modalities that trained, the value, and whether the epoch
        ended its phase.

    Raises:
        ConfigError: an unknown metric.
        RunError: no finished run.
    """
    require("phases", choice("metric", metric, METRICS))
    rows: list[dict[str, Any]] = []
    panels = []
    for one in open_runs(runs, trust):
        epochs = one.record().epochs
        own = _epochs(one, epochs, metric)
        rows += own
        panels.append(_phase_panel(one, pd.DataFrame(own), metric))
    return Record("phases", pd.DataFrame(rows), Picture(panels, columns=min(2, len(panels))))


def _epochs(one: Opened, epochs: Sequence[dict[str, Any]], metric: str) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(epochs):
        last = number + 1 == len(epochs) or epochs[number + 1]["phase"] != line["phase"]
        found = line["validation"]
        for part, values in (("fused", found["fused"]), *found["modalities"].items()):
            rows.append(
                {
                    **one.facts,
                    "epoch": line["epoch"] + 1,
                    "phase": line["phase"] + 1,
                    "training": " + ".join(line["training"]),
                    "part": part,
                    metric: values.get(metric),
                    "ends phase": last,
                }
            )
    return rows


def _phase_panel(one: Opened, frame: pd.DataFrame, metric: str) -> Panel:
    """Lines of every part over shades of the phases in which some modalities rest."""
    parts = list(dict.fromkeys(frame["part"]))
    epochs = frame.drop_duplicates("epoch")[["epoch", "phase", "training"]].to_dict("records")
    whole = " + ".join(parts[1:])
    marks: list[Mark] = []
    for (_, training), group in groupby(epochs, key=lambda row: (row["phase"], row["training"])):
        numbers = [int(row["epoch"]) for row in group]
        if training != whole:
            name = f"{training} trains"
            colour = next((k for k, p in enumerate(parts) if p == training), len(parts))
            marks.append(Shade(numbers[0] - 0.5, numbers[-1] + 0.5, name, colour))
    for number, part in enumerate(parts):
        own = frame[frame["part"] == part].dropna(subset=[metric])
        marks.append(Line(own["epoch"].tolist(), own[metric].tolist(), part, number))
    words = metric.replace("_", "-")
    return Panel(marks, one.label, x="epoch", y=f"{words} on validation")
