"""Files of predictions: .npz to read back, CSV to look at."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from equipoise import spreadsheet
from equipoise.batch import Predictions
from equipoise.errors import RunError
from equipoise.evaluation.metrics import softmax
from equipoise.files import replace_file


def save_predictions(predictions: Predictions, path: Path) -> None:
    """Write predictions as .npz, whole or not at all. Nothing is pickled."""
    arrays = {
        "index": predictions.index,
        "label": predictions.label,
        "fused": predictions.fused,
        # As JSON, so that integers and booleans are read back as such.
        "classes": np.array(json.dumps(predictions.classes)),
        **{f"present/{m}": p for m, p in predictions.present.items()},
        **{f"logits/{m}": x for m, x in predictions.logits.items()},
    }
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    replace_file(path, buffer.getvalue())


def load_predictions(path: Path) -> Predictions:
    """Read predictions that `save_predictions` wrote.

    Raises:
        RunError: there is no such file, or it holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            modalities = [
                name.removeprefix("logits/") for name in stored.files if name.startswith("logits/")
            ]
            return Predictions(
                index=stored["index"],
                label=stored["label"],
                present={m: stored[f"present/{m}"] for m in modalities},
                logits={m: stored[f"logits/{m}"] for m in modalities},
                fused=stored["fused"],
                classes=_classes(stored["classes"]),
            )
    except (OSError, ValueError, KeyError, EOFError, TypeError, BadZipFile) as error:
        raise RunError(
            f"{path}: no readable predictions ({type(error).__name__}); train or evaluate again"
        ) from None


def _classes(stored: np.ndarray) -> tuple[int | str, ...]:
    """The classes of a file; version 0.1 wrote them as an array of texts."""
    if stored.ndim:
        return tuple(str(name) for name in stored)
    return tuple(json.loads(str(stored)))


def to_csv(predictions: Predictions, ids: Sequence[Any]) -> str:
    """The text of a CSV with a row per sample.

    Its columns are id, predicted class, its probability, and that of every class.

    Args:
        predictions: N of them.
        ids: of the N samples, in the same order.
    """
    probability = softmax(predictions.fused)
    header = ["id", "prediction", "confidence", *(f"p_{name}" for name in predictions.classes)]
    rows: list[list[Any]] = [header]
    for identifier, row in zip(ids, probability, strict=True):
        best = int(row.argmax())
        digits = [f"{p:.6f}" for p in row]
        rows.append([identifier, predictions.classes[best], digits[best], *digits])
    return spreadsheet.write(rows)
