"""Trials: the trainings of a search. They never see the test split.

When the search chooses the settings of a trial, the trial becomes a cell of the comparison, and the
test split is read then.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.data.decoding.cache import cache_folder
from equipoise.data.table.table import Splits
from equipoise.runs.frozen_features import cache_features
from equipoise.runs.result import read_splits, write_result
from equipoise.runs.trained import Trained
from equipoise.training.runtime import Runtime, pick_device


def without_test(splits: Splits) -> Splits:
    """The same splits with an empty test split."""
    return replace(splits, test=splits.test.take(np.arange(0)))


def adopt(trial: Path, folder: Path, splits: Splits) -> dict[str, Any]:
    """Turn a finished trial into a cell, with the result that training the cell would give.

    Args:
        trial: folder of the trial; it is copied and stays as it is.
        folder: folder of the cell; it does not exist yet, and appears complete or not at all.
        splits: data of the trial with the test split, which is read here, once.

    Raises:
        RunError: the files of the trial are damaged.
    """
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.copytree(trial, temporary)
    # Its settings are those of the cell, which the user's own plan has named.
    trained = Trained(temporary, trust=True)
    runtime = Runtime(device=pick_device(trained.settings.device))
    cache = cache_folder(trained.settings.data.cache)
    splits = cache_features(splits, trained.model, cache, runtime.device)
    measured = read_splits(
        temporary, trained.model, splits, runtime, calibrate=trained.settings.calibrates
    )
    result = {**trained.run.result, **measured}
    write_result(temporary, result)
    # A kill before this line leaves no cell, and the next call starts again from the trial.
    os.replace(temporary, folder)
    return result
