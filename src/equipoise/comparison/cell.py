"""Run one cell of a comparison: train, continue or skip it, or keep the reason why it failed."""

from __future__ import annotations

import json
import shutil
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from equipoise.comparison.plan import Cell
from equipoise.comparison.trials import adopt, without_test
from equipoise.data.table.table import Splits
from equipoise.errors import EquipoiseError, Interrupted, RunError
from equipoise.runs import run
from equipoise.runs.build import build_method
from equipoise.runs.callbacks import Callbacks
from equipoise.runs.folder import read_facts
from equipoise.runs.lengths import settle
from equipoise.runs.lock import BusyError, hold_folder
from equipoise.settings import Settings, changes
from equipoise.training.checkpoint import Checkpoints


@dataclass(frozen=True)
class Outcome:
    """The result of a cell, or the error that ended it.

    Attributes:
        cell: the cell.
        status: "skipped" if it was done before.
        result: content of its `result.json`; None unless it is done.
        error: the reason in one line; None if it is done.
    """

    cell: Cell
    status: Literal["done", "skipped", "failed", "interrupted"]
    result: dict[str, Any] | None = None
    error: str | None = None


class CellRunner:
    """Runs cells one after the other, and loads each distinct data set once.

    Args:
        callbacks: of each training.
    """

    def __init__(self, callbacks: Callbacks | None = None) -> None:
        self.callbacks = callbacks or Callbacks()
        self._splits: dict[str, Splits] = {}

    def __call__(self, cell: Cell) -> Outcome:
        """Run or continue one cell. No error leaves this call, so that the other cells go on."""
        try:
            _clear(cell)
            result = self._run(cell)
        except Interrupted as error:
            return Outcome(cell, "interrupted", error=str(error))
        except BusyError as error:  # the folder belongs to another process: write nothing there
            return Outcome(cell, "failed", error=str(error))
        except EquipoiseError as error:
            return fail(cell, str(error))
        except Exception as error:  # a defect in one method must not cost the others their results
            return fail(cell, f"{type(error).__name__}: {error}", traceback.format_exc())
        return Outcome(cell, "done", result)

    def _run(self, cell: Cell) -> dict[str, Any]:
        splits = self._load(cell.settings)
        started = (cell.folder / "config.yaml").is_file()
        if cell.trial and not started and (cell.trial / "result.json").is_file():
            return adopt(cell.trial, cell.folder, splits)
        if cell.choice is not None:
            splits = without_test(splits)
        return run.train(
            cell.settings,
            cell.folder,
            splits=splits,
            label=cell.label,
            resume=started,
            callbacks=self.callbacks.members,
        ).result

    def finished(self, cell: Cell) -> Outcome | None:
        """The outcome of a cell that was done before, else None.

        Raises:
            RunError: it was made from other data.
        """
        if not (cell.folder / "result.json").is_file():
            return None
        done = run.Run.open(cell.folder)
        if read_facts(cell.folder).get("digest") not in (None, self._load(cell.settings).digest):
            raise RunError(
                f"{cell.folder}: made of other data than there are now; choose another --out"
            )
        return Outcome(cell, "skipped", done.result)

    def _load(self, settings: Settings) -> Splits:
        method = build_method(settings)
        key = json.dumps(
            [settings.to_dict()["data"], method.needs_holdout, method.holdout], default=repr
        )
        if key not in self._splits:
            self._splits[key] = run.load_splits(settings, method)
        return self._splits[key]


def fail(cell: Cell, message: str, details: str = "") -> Outcome:
    """The outcome of a cell that failed; the reason is written to its `error.txt`."""
    line = " ".join(message.split())
    cell.folder.mkdir(parents=True, exist_ok=True)
    (cell.folder / "error.txt").write_text(f"{line}\n{details}", encoding="utf-8")
    return Outcome(cell, "failed", error=line)


def check_settings(cell: Cell) -> None:
    """Refuse a cell whose folder was made with other settings.

    A cell that failed, or never reached a checkpoint, may start again with any settings. Settings
    that do not change the result, such as the device, may differ.

    Raises:
        RunError: the cell has a result or a checkpoint made with other settings.
    """
    change = _changed(cell, run.identity_of)
    if change and not _worthless(cell.folder):
        raise RunError(f"{cell.folder}: made with another {change}; choose another --out")


def _changed(cell: Cell, values_of: Callable[[Settings], dict[str, Any]] = Settings.to_dict) -> str:
    """Describe the first setting that differs from those in the folder; empty if none does."""
    path = cell.folder / "config.yaml"
    if not path.is_file():
        return ""
    now = cell.settings
    rows = read_facts(cell.folder).get("rows")
    if isinstance(rows, int):  # the folder holds numbers where the cell has `auto`
        now = settle(now, rows)
    found = changes(values_of(Settings.load(path)), values_of(now))
    return next((f"{setting} ({was!r}, now {now!r})" for setting, (was, now) in found.items()), "")


def _worthless(folder: Path) -> bool:
    """True if the folder has no result, and has failed or has no checkpoint to continue from."""
    if (folder / "result.json").is_file():
        return False
    if (folder / "error.txt").is_file():
        return True
    return not Checkpoints(folder / "checkpoints", {}).resumable()


def _clear(cell: Cell) -> None:
    """Forget an earlier failure, so that the cell is tried again.

    It continues from its checkpoint, unless the settings have changed: then it starts afresh.
    """
    if _changed(cell) and _worthless(cell.folder):
        with hold_folder(cell.folder):
            shutil.rmtree(cell.folder)
    (cell.folder / "error.txt").unlink(missing_ok=True)
    if cell.folder.is_dir() and not any(cell.folder.iterdir()):
        cell.folder.rmdir()
