"""The end of a run: write predictions, metrics, contributions and cost to its folder."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from equipoise.configuration.flags import command
from equipoise.data.table.table import Splits
from equipoise.evaluation.metrics import measure
from equipoise.evaluation.predict import contribution, predict
from equipoise.evaluation.predictions import save_predictions
from equipoise.files import replace_file
from equipoise.model import Model
from equipoise.runs.memory import peak_memory
from equipoise.runs.monitor import Monitor
from equipoise.settings import Settings
from equipoise.training.context import Context
from equipoise.training.runtime import Runtime


def finish(
    folder: Path, settings: Settings, splits: Splits, ctx: Context, monitor: Monitor, label: str
) -> dict[str, Any]:
    """Measure the chosen weights on validation and test, and write `result.json`.

    Args:
        folder: the run folder.
        settings: of the run.
        splits: of the run.
        ctx: the finished training; its model holds the chosen weights.
        monitor: knows the chosen epoch and the seconds.
        label: name in tables and reports.

    Returns:
        The content of `result.json`.
    """
    result = {
        "method": settings.method["name"],
        "label": label,
        "seed": settings.seed,
        "data": splits.name,
        "classes": list(splits.train.classes),
        "modalities": list(splits.train.modalities),
        "epochs": ctx.position.epoch,
        "best_epoch": monitor.best_epoch,
        **read_splits(folder, ctx.model, splits, ctx.runtime),
        "cost": _cost(ctx, monitor),
        "problems": len(splits.problems),
        "command": command(settings),
        "version": version("equipoise"),
    }
    if ctx.runtime.main:
        replace_file(folder / "result.json", json.dumps(result, indent=1).encode())
    return result


def read_splits(folder: Path, model: Model, splits: Splits, runtime: Runtime) -> dict[str, Any]:
    """Measure a model on validation and test, and save its predictions.

    Apart from `equipoise evaluate`, this is the only place that reads the test split.

    Returns:
        {"validation": metrics, "test": metrics, "contribution": {modality: Shapley value}}; a split
        without rows is left out, and the contributions are those on test where it has rows.
    """
    tables = {"validation": splits.validation, "test": splits.test}
    parts = {
        name: predict(model, table, runtime=runtime) for name, table in tables.items() if len(table)
    }
    if runtime.main:
        (folder / "predictions").mkdir(exist_ok=True)
        for name, predictions in parts.items():
            save_predictions(predictions, folder / "predictions" / f"{name}.npz")
    measured = {name: measure(predictions) for name, predictions in parts.items()}
    reported = splits.test if len(splits.test) else splits.validation
    return {**measured, "contribution": contribution(model, reported, runtime=runtime)}


def _cost(ctx: Context, monitor: Monitor) -> dict[str, Any]:
    return {
        "seconds": round(monitor.seconds, 3),
        "seconds_per_epoch": round(monitor.seconds / max(ctx.position.epoch, 1), 4),
        "forward_passes": round(ctx.passes.forward_passes, 4),
        "backward_passes": round(ctx.passes.backward_passes, 4),
        "peak_memory_mb": round(peak_memory(ctx.runtime.device), 1),
        "parameters": sum(p.numel() for p in ctx.model.parameters()),
    }
