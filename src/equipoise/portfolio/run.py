"""One search: from settings and a time limit to a folder that predicts like any run's."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from equipoise import data
from equipoise.checks import is_integer, is_number, require
from equipoise.configuration.flags import flags
from equipoise.data.table.table import Splits
from equipoise.errors import DataError, Interrupted, RunError
from equipoise.files import replace_file
from equipoise.methods import METHODS
from equipoise.portfolio.blended import Blended, Recipe, save_recipe
from equipoise.portfolio.choosing import choose
from equipoise.portfolio.clock import Clock
from equipoise.portfolio.conclude import fit_last, measured
from equipoise.portfolio.material import gather
from equipoise.portfolio.members import portfolio
from equipoise.portfolio.search import Progress, Search
from equipoise.portfolio.trials import read_findings
from equipoise.portfolio.workers import Workers
from equipoise.progress import say
from equipoise.runs.callbacks import Callbacks
from equipoise.runs.folder import (
    SEARCH_STATE,
    create_folder,
    data_facts,
    fact_digests,
    read_facts,
    resume_command,
)
from equipoise.runs.interrupt import Interrupt
from equipoise.runs.lock import hold_folder
from equipoise.runs.memory import forget_peak, peak_memory
from equipoise.runs.result import write_result
from equipoise.runs.run import Run
from equipoise.settings import IN_MEMORY, Settings, require_trust
from equipoise.training.runtime import pick_device

NAME = "auto"
"""The method in the settings and the result of a search."""
ALONE = 20.0
"""Seconds up to which one process searches: others take seconds to start."""


def search(
    settings: Settings,
    folder: str | Path,
    *,
    time_limit: float = 600.0,
    workers: int | None = None,
    resume: bool = False,
    watch: Callable[[Progress], None] = lambda progress: None,
    splits: Splits | None = None,
    callbacks: Iterable[Any] = (),
    started: float | None = None,
) -> Run:
    """Find the best model that a time limit allows, and write it down.

    Args:
        settings: of the data, and those of the networks that the user has set.
        folder: a new folder, unless `resume`.
        time_limit: seconds, from the start to the result.
        workers: processes; by default one for each core, and one where the time is short.
        resume: go on with the search in `folder`; what has finished there is kept.
        watch: called as each trial ends.
        splits: data that are loaded already; by default they are loaded as the settings say.
        callbacks: see `Callback`; a function stands for one with this `on_trial`.
        started: the `time.monotonic` at which the time began to count; None for now. The imports of
            this module take seconds, too.

    Raises:
        ConfigError: a setting is wrong.
        DataError: the data are wrong, or are not those that the search began with.
        RunError: the folder exists (or, resuming, does not), or another process searches in it.
        TrainingError: no member was fitted in time.
        Interrupted: a signal came; the members that have finished are kept.
    """
    called = Callbacks(callbacks)
    folder = Path(folder)
    require(
        "auto",
        (
            "time_limit",
            is_number(time_limit) and time_limit > 0,
            "a positive number of seconds",
            time_limit,
        ),
        ("workers", workers is None or is_integer(workers, 1), "an integer of at least 1", workers),
    )
    settings = replace(settings, method={"name": NAME})
    spent = 0.0
    if resume:
        if (folder / "result.json").is_file():
            return Run.open(folder)
        time_limit, spent = _read_state(folder, settings)
    elif folder.exists():
        raise RunError(
            f"{folder}: exists already; choose another folder, or go on with: "
            f"equipoise auto --resume {folder}"
        )
    clock = Clock(time_limit, spent, started=started)
    import skops.io  # noqa: F401 — takes seconds, which the end of the search would not have planned

    forget_peak(pick_device(settings.device))
    advice = f"go on with: equipoise auto --resume {folder}"
    with Interrupt(advice) as interrupt:
        splits = splits or data.load(settings.data, 0.0)
        _require_labels(splits)
        if resume:
            _check_same(folder, splits)
        else:
            create_folder(folder, settings, splits, {})
            _write_state(folder, clock)
        with hold_folder(folder), torch.random.fork_rng():
            material = gather(settings, splits)
            count = _workers(workers, clock.left)
            called.on_start(_start_facts(folder, settings, splits, clock))

            def ended(progress: Progress) -> bool:
                watch(progress)
                return called.on_trial(asdict(progress))

            found = Search(
                material,
                portfolio(splits.train.modalities, METHODS.names()),
                clock,
                read_findings(folder / "trials"),
                count,
                ended,
            )
            with Workers(material, count, lambda: interrupt.requested) as crew:
                found.run(crew, folder / "trials", lambda: _write_state(folder, clock))
                _heed(interrupt, found, folder)
                chosen = choose(found, clock.left - found.ending() / 2)
                say(f"{_count(found)} trials; fitting {len(chosen.recipe.members)} members")
                recipe = fit_last(
                    found, chosen, crew, folder / "trials", folder, clock.left - found.ending() / 2
                )
                _heed(interrupt, found, folder)
            facts = data_facts(splits)
            save_recipe(folder, recipe, fact_digests(facts))
            blended = Blended.load(folder, settings, splits.train.specs, splits.train.classes)
            # Only here is the test split read: all that could be chosen has been.
            numbers = measured(found, chosen, blended, splits, folder)
            result = _result(settings, splits, recipe, blended, numbers, clock)
            _write_metrics(folder, result)
            write_result(folder, result)
            shutil.rmtree(folder / "trials", ignore_errors=True)
    called.on_end(result)
    return Run(folder, result, trusted=True)


def _start_facts(folder: Path, settings: Settings, splits: Splits, clock: Clock) -> dict[str, Any]:
    """What callbacks are told before the first trial, see `Callback.on_start`."""
    tables = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    return {
        "folder": str(folder),
        "label": NAME,
        "method": NAME,
        "seed": settings.seed,
        "time_limit": clock.limit,
        "rows": {name: len(table) for name, table in tables.items()},
        "classes": list(splits.train.classes),
    }


def resume_settings(folder: str | Path, *, trust: bool = False) -> Settings:
    """The settings that a search was started with.

    Args:
        folder: of the search.
        trust: the settings may import code.

    Raises:
        ConfigError: the settings import code, and are not trusted.
        RunError: no search there.
    """
    path = Path(folder) / "config.yaml"
    if not path.is_file() or not (Path(folder) / SEARCH_STATE).is_file():
        raise RunError(f"{folder}: no search to resume here (it has no {SEARCH_STATE})")
    settings = Settings.load(path)
    require_trust(settings.to_dict(), path, trust)
    return settings


def _workers(asked: int | None, seconds: float) -> int:
    if asked is not None:
        return asked
    return 1 if seconds <= ALONE else os.cpu_count() or 1


def _require_labels(splits: Splits) -> None:
    if not (splits.validation.label >= 0).any():
        raise DataError(
            f"{splits.name}: no validation row has a label, and members are chosen by them; "
            "fill some in"
        )


def _check_same(folder: Path, splits: Splits) -> None:
    if read_facts(folder).get("digest") != splits.digest:
        raise DataError(
            f"{folder}: the search began with other data than there are now; restore them, or "
            "search in a new folder"
        )


def _read_state(folder: Path, settings: Settings) -> tuple[float, float]:
    if isinstance(settings.data.source, str) and settings.data.source == IN_MEMORY:
        raise DataError(
            f"{folder}: began with a DataFrame, which is not kept; give it again in Python: "
            "equipoise.auto(data, out=folder, resume=True)"
        )
    try:
        state = json.loads((folder / SEARCH_STATE).read_text(encoding="utf-8"))
        return float(state["time_limit"]), float(state["spent"])
    except (OSError, ValueError, KeyError, TypeError):
        raise RunError(
            f"{folder / SEARCH_STATE}: missing or damaged; search in a new folder"
        ) from None


def _write_state(folder: Path, clock: Clock) -> None:
    state = {"time_limit": clock.limit, "spent": round(clock.spent, 2)}
    replace_file(folder / SEARCH_STATE, json.dumps(state).encode())


def _heed(interrupt: Interrupt, found: Search, folder: Path) -> None:
    if interrupt.requested:
        raise Interrupted(
            f"stopped by a signal after {_count(found)} trials, which are kept; "
            f"go on with: {resume_command(folder)}"
        )


def _count(found: Search) -> int:
    return len(found.findings)


def _result(
    settings: Settings,
    splits: Splits,
    recipe: Recipe,
    blended: Blended,
    numbers: dict[str, Any],
    clock: Clock,
) -> dict[str, Any]:
    parameters = sum(
        p.numel() for models in blended.networks.values() for m in models for p in m.parameters()
    )
    return {
        "method": NAME,
        "label": NAME,
        "seed": settings.seed,
        "data": splits.name,
        "classes": list(splits.train.classes),
        "modalities": list(splits.train.modalities),
        "epochs": 1,
        "best_epoch": 0,
        **numbers,
        "members": [
            {k: v for k, v in asdict(line).items() if k not in ("parts", "temperatures")}
            for line in recipe.board
        ],
        "cost": {
            "seconds": round(clock.spent, 3),
            "seconds_per_epoch": round(clock.spent, 3),
            "forward_passes": 0.0,
            "backward_passes": 0.0,
            "peak_memory_mb": round(peak_memory(pick_device(settings.device)), 1),
            "parameters": parameters,
        },
        "problems": len(splits.problems),
        "command": _command(settings, clock.limit),
        "version": version("equipoise"),
    }


def _command(settings: Settings, time_limit: float) -> str:
    import shlex

    words = [word for word in flags(settings) if word != f"--method={NAME}"]
    return shlex.join(["equipoise", "auto", *words, f"--time-limit={time_limit:g}"])


def _write_metrics(folder: Path, result: dict[str, Any]) -> None:
    """A single line, as a training of one epoch would write it, for the report."""
    measured = result["validation"]
    # An epoch has no intervals.
    modalities = {
        modality: {name: value for name, value in found.items() if name != "intervals"}
        for modality, found in measured["modalities"].items()
    }
    line = {
        "epoch": 0,
        "phase": 0,
        "training": result["modalities"],
        "step": 0,
        "seconds": result["cost"]["seconds"],
        "loss": None,
        "learning_rate": None,
        "method": {},
        "validation": {
            "count": measured["count"],
            "fused": measured["fused"],
            "modalities": modalities,
        },
        "selectable": True,
    }
    replace_file(folder / "metrics.jsonl", (json.dumps(line) + "\n").encode())
