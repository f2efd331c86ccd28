"""Trainings of a search never see the test split; what the search chooses becomes a cell, and reads it then."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.data.decoding.cache import cache_folder
from equipoise.data.table.table import Splits
from equipoise.files import replace_file
from equipoise.runs.frozen_features import cache_features
from equipoise.runs.result import read_splits
from equipoise.runs.trained import Trained
from equipoise.training.runtime import Runtime, pick_device


def without_test(splits: Splits) -> Splits:
    """The same splits, and nothing to test on."""
    return replace(splits, test=splits.test.take(np.arange(0)))


def adopt(trial: Path, folder: Path, splits: Splits) -> dict[str, Any]:
    """Make a finished training of the search a cell, whole or not at all, with the result it would
    have on its own.

    Args:
        trial: the training's folder; it stays as it is.
        folder: the cell's, still to be made.
        splits: those of the training, with the test split; it is read here, once.

    Raises:
        RunError: the trial's files are damaged.
    """
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.copytree(trial, temporary)
    trained = Trained(temporary)
    runtime = Runtime(device=pick_device(trained.settings.device))
    splits = cache_features(
        splits, trained.model, cache_folder(trained.settings.data.cache), runtime.device
    )
    result = {**trained.run.result, **read_splits(temporary, trained.model, splits, runtime)}
    replace_file(temporary / "result.json", json.dumps(result, indent=1).encode())
    os.replace(temporary, folder)
    return result
