"""The end of a run: write predictions, metrics, contributions and cost to its folder."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from equipoise.batch import Predictions
from equipoise.configuration.flags import command
from equipoise.data.table.table import Splits
from equipoise.errors import RunError
from equipoise.evaluation.assessment import assess
from equipoise.evaluation.calibration import fit_temperatures, tempered
from equipoise.evaluation.metrics import score
from equipoise.evaluation.predict import contribution, predict
from equipoise.evaluation.predictions import save_predictions
from equipoise.files import replace_file
from equipoise.model import Model
from equipoise.runs.folder import digest
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
        **({"fold": settings.data.fold} if settings.data.folds else {}),
        "data": splits.name,
        "classes": list(splits.train.classes),
        "modalities": list(splits.train.modalities),
        "epochs": ctx.position.epoch,
        "best_epoch": monitor.best_epoch,
        **read_splits(folder, ctx.model, splits, ctx.runtime, calibrate=settings.calibrates),
        "cost": _cost(ctx, monitor),
        "problems": len(splits.problems),
        "command": command(settings),
        "version": version("equipoise"),
    }
    if ctx.runtime.main:
        write_result(folder, result)
    return result


def write_result(folder: Path, result: Mapping[str, Any]) -> None:
    """Write `result.json`, with a digest by which `read_result` notices that it was edited."""
    content = {**result, "digest": digest(result)}
    text = json.dumps(content, indent=1)
    # Lists of numbers in one line each: a table of confusions would have a line for every cell.
    text = re.sub(
        r"\[\n\s*([-+.\w,\s]*?)\s*\n\s*\]", lambda found: f"[{' '.join(found[1].split())}]", text
    )
    replace_file(folder / "result.json", text.encode())


def read_result(folder: Path) -> dict[str, Any]:
    """Read the `result.json` of a run.

    Returns:
        Its content without the digest.

    Raises:
        OSError: there is none.
        RunError: it was edited or cut.
    """
    path = folder / "result.json"
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        written = result.pop("digest", None)
        good = digest(result) == written if written is not None else _is_result(result)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        good = False
    if not good:
        raise RunError(
            f"{path}: edited or cut since it was written; restore the file, or train again in a "
            "new folder"
        )
    return dict(result)


def _is_result(result: Mapping[str, Any]) -> bool:
    """True if the parts that reports read are there; version 0.1 wrote no digest."""
    named = all(isinstance(result[name], str) for name in ("method", "label", "data", "command"))
    listed = all(isinstance(result[name], list) for name in ("classes", "modalities"))
    measured = [result["validation"], *([result["test"]] if "test" in result else [])]
    numbers = [*result["cost"].values(), *result["contribution"].values()]
    return (
        named
        and listed
        and isinstance(result["seed"], int)
        and all(_is_measured(part) for part in measured)
        and all(isinstance(number, int | float) for number in numbers)
    )


def _is_measured(part: Mapping[str, Any]) -> bool:
    """True for a value that has the form of the result of `measure`."""
    tables = [part["fused"], *part["modalities"].values()]
    return isinstance(part["count"], int) and all(
        isinstance(table.get("accuracy"), float | int | None) for table in tables
    )


def read_splits(
    folder: Path, model: Model, splits: Splits, runtime: Runtime, calibrate: bool = False
) -> dict[str, Any]:
    """Measure a model on validation and test, and save its predictions.

    Apart from `equipoise evaluate`, this is the only place that reads the test split.

    Args:
        folder: of the run.
        model: with its final weights.
        splits: of the run.
        runtime: its ranks divide the rows among themselves.
        calibrate: fit temperatures on validation, and apply them to both.

    Returns:
        {"validation": metrics, "test": metrics, "contribution": {modality: Shapley value}}; a split
        without rows is left out, and the contributions are those on test where it has rows. Beside
        them "temperature", with the log-loss of both splits before and after, if it was fitted.
    """
    tables = {"validation": splits.validation, "test": splits.test}
    parts = {
        name: predict(model, table, runtime=runtime) for name, table in tables.items() if len(table)
    }
    found: dict[str, Any] = {}
    if calibrate:
        temperatures = fit_temperatures(parts["validation"])
        scaled = {name: tempered(predictions, temperatures) for name, predictions in parts.items()}
        losses = {
            name: {"before": _log_loss(parts[name]), "after": _log_loss(scaled[name])}
            for name in parts
        }
        found = {"temperature": {**temperatures, "log_loss": losses}}
        parts = scaled
    if runtime.main:
        (folder / "predictions").mkdir(exist_ok=True)
        for name, predictions in parts.items():
            save_predictions(predictions, folder / "predictions" / f"{name}.npz")
    measured = {name: assess(predictions) for name, predictions in parts.items()}
    reported = splits.test if len(splits.test) else splits.validation
    shares = contribution(model, reported, runtime=runtime)
    return {**measured, "contribution": shares, **found}


def _log_loss(predictions: Predictions) -> float | None:
    known = predictions.label >= 0
    value: float | None = score(predictions.fused[known], predictions.label[known], ("log_loss",))[
        "log_loss"
    ]
    return value


def _cost(ctx: Context, monitor: Monitor) -> dict[str, Any]:
    return {
        "seconds": round(monitor.seconds, 3),
        "seconds_per_epoch": round(monitor.seconds / max(ctx.position.epoch, 1), 4),
        "forward_passes": round(ctx.passes.forward_passes, 4),
        "backward_passes": round(ctx.passes.backward_passes, 4),
        "peak_memory_mb": round(peak_memory(ctx.runtime.device), 1),
        "parameters": sum(p.numel() for p in ctx.model.parameters()),
    }
