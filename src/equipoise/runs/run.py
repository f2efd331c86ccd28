"""One run: from settings to a folder with weights, predictions and a result."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from equipoise import data
from equipoise.data.decoding.cache import cache_folder
from equipoise.data.table.loader import Loader
from equipoise.data.table.table import Splits
from equipoise.data.table.weights import weighted_to_train
from equipoise.errors import DataError, RunError
from equipoise.model import Model
from equipoise.runs.build import (
    build_method,
    build_model,
    criterion_of,
    warn_of_random_weights,
)
from equipoise.runs.callbacks import Callbacks
from equipoise.runs.folder import create_folder, data_facts, fact_digests, resume_command
from equipoise.runs.frozen_features import cache_features
from equipoise.runs.inputs import describe_inputs
from equipoise.runs.interrupt import Interrupt
from equipoise.runs.lengths import describe_lengths, lengths_of, settle
from equipoise.runs.lock import hold_folder
from equipoise.runs.memory import forget_peak
from equipoise.runs.monitor import Monitor
from equipoise.runs.result import finish, read_result
from equipoise.settings import Settings, require_trust
from equipoise.training.checkpoint import Checkpoints
from equipoise.training.context import Context
from equipoise.training.loop import fit
from equipoise.training.method import Method
from equipoise.training.runtime import Runtime, start


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: the run folder.
        result: content of `result.json`: metrics of validation and test, contributions, cost.
        trusted: True if this process trained it, so that code that its settings import has run.
    """

    folder: Path
    result: dict[str, Any]
    trusted: bool = False

    @classmethod
    def open(cls, folder: str | Path) -> Run:
        """Read a finished run.

        Raises:
            RunError: there is no such run, or it has not finished.
        """
        folder = Path(folder)
        if not (folder / "config.yaml").is_file():
            raise RunError(f"{folder}: not a run folder (it has no config.yaml)")
        try:
            return cls(folder, read_result(folder))
        except OSError:
            raise RunError(
                f"{folder}: not finished; go on with: {resume_command(folder)}"
            ) from None

    @property
    def settings(self) -> Settings:
        return Settings.load(self.folder / "config.yaml")


def train(
    settings: Settings,
    folder: str | Path,
    *,
    splits: Splits | None = None,
    label: str | None = None,
    resume: bool = False,
    checkpoint: str = "newest",
    callbacks: Iterable[Any] = (),
) -> Run:
    """Train, choose the epoch on validation, read the test split once, and write it all down.

    Args:
        settings: everything that changes the result.
        folder: a new folder, unless `resume`.
        splits: data that are loaded already; by default they are loaded as the settings say.
        label: name in tables and reports; the method's by default.
        resume: continue from the newest checkpoint in `folder`, or from the start if there is none.
        checkpoint: "newest" or "previous", the one to resume from.
        callbacks: see `Callback`; a function stands for one with this `on_epoch`.

    Raises:
        ConfigError: a setting is wrong.
        DataError: the data are wrong.
        RunError: the folder exists (or, resuming, does not), another process trains in it, or its
            checkpoint is unusable.
        Interrupted: a signal came; a checkpoint is written.
    """
    called = Callbacks(callbacks)
    folder = Path(folder)
    runtime = start(settings.device)
    forget_peak(runtime.device)
    _check_folder(folder, resume, runtime)
    if resume and (folder / "result.json").is_file():
        return Run.open(folder)
    method = build_method(settings)
    # The run seeds torch itself, and leaves the random state of its caller as it was.
    with torch.random.fork_rng(), ExitStack() as held:
        if resume:
            held.enter_context(hold_folder(folder, runtime))
        splits = splits or load_splits(settings, method)
        _require_labels(splits)
        settings = settle(settings, len(splits.train))
        model = build_model(
            settings, splits.train.specs, splits.train.classes, len(splits.train)
        ).to(runtime.device)
        if runtime.main and not resume:
            warn_of_random_weights(settings, splits.train.specs)
        inputs = describe_inputs(settings, splits, dict(model.encoders.items()))
        splits = cache_features(splits, model, cache_folder(settings.data.cache), runtime.device)
        ctx = make_context(settings, splits, model, runtime)
        method.setup(ctx)
        method.to(runtime.device)
        if not resume:
            # Only now, so that settings that cannot be trained leave no folder behind.
            if runtime.main:
                create_folder(folder, settings, splits, inputs)
            held.enter_context(hold_folder(folder, runtime))
        checkpoints = _checkpoints(folder, settings, splits, runtime)
        with Interrupt(f"go on with: {resume_command(folder, runtime.world)}") as interrupt:
            monitor = Monitor(
                folder, checkpoints, ctx, method, splits.validation, settings, interrupt, called
            )
            ctx.observer = monitor
            if resume:
                _restore(monitor, checkpoint)
            # Only now, so that whatever is refused before is the only line that is printed.
            if runtime.main:
                called.on_start(_start_facts(folder, settings, splits, ctx, method, inputs, label))
            fit(method, ctx, ctx.epochs)
            monitor.conclude()
        model.load_state_dict(checkpoints.load(checkpoints.best()).model)
        result = finish(folder, settings, splits, ctx, monitor, label or settings.method["name"])
    if runtime.main:
        called.on_end(result)
    runtime.barrier()
    return Run(folder, result, trusted=True)


def _start_facts(
    folder: Path,
    settings: Settings,
    splits: Splits,
    ctx: Context,
    method: Method,
    inputs: dict[str, str],
    label: str | None,
) -> dict[str, Any]:
    """What callbacks are told before the first epoch, see `Callback.on_start`."""
    tables = {name: getattr(splits, name) for name in ("train", "validation", "test", "holdout")}
    return {
        "folder": str(folder),
        "label": label or settings.method["name"],
        "method": settings.method["name"],
        "seed": settings.seed,
        "epochs": sum(phase.epochs for phase in method.phases(ctx.epochs)),
        "epoch": ctx.position.epoch,
        "rows": {name: len(table) for name, table in tables.items() if table is not None},
        "classes": list(splits.train.classes),
        "training": describe_lengths(settings, len(splits.train)),
        "inputs": dict(inputs),
    }


def _check_folder(folder: Path, resume: bool, runtime: Runtime) -> None:
    # All ranks look before the first one makes the folder.
    if not resume and runtime.any(folder.exists()):
        begun = (folder / "config.yaml").is_file()
        resume_it = f", or go on with: {resume_command(folder)}" if begun else ""
        raise RunError(f"{folder}: exists already; choose another folder{resume_it}")
    if resume and not (folder / "config.yaml").is_file():
        raise RunError(f"{folder}: no run to resume here (it has no config.yaml)")


def resume_settings(folder: str | Path, *, trust: bool = False) -> Settings:
    """The settings that a run was started with.

    Args:
        folder: of the run.
        trust: the settings may import code.

    Raises:
        ConfigError: the settings import code, and are not trusted.
        RunError: no run there.
    """
    path = Path(folder) / "config.yaml"
    if not path.is_file():
        raise RunError(f"{folder}: no run to resume here (it has no config.yaml)")
    settings = Settings.load(path)
    require_trust(settings.to_dict(), path, trust)
    return settings


def load_splits(settings: Settings, method: Method) -> Splits:
    """The splits that a run needs.

    A method that estimates on held-out data gets a part of the training split for it, whose size it
    knows, unless the settings say otherwise.
    """
    default = method.holdout if method.needs_holdout else 0.0
    splits: Splits = data.load(settings.data, settings.data.holdout or default)
    return splits


def _require_labels(splits: Splits) -> None:
    if not (splits.validation.label >= 0).any():
        raise DataError(
            f"{splits.name}: no validation row has a label, and epochs are chosen by them; "
            "fill some in"
        )


def make_context(settings: Settings, splits: Splits, model: Model, runtime: Runtime) -> Context:
    """The context of a run. It gets no access to the validation and test splits."""
    ranks: dict[str, Any] = {"rank": runtime.rank, "world": runtime.world}
    train, held = weighted_to_train(
        splits.train, splits.holdout, settings.class_weight, settings.sampling
    )
    lengths = lengths_of(settings, len(splits.train))
    holdout = None
    if held is not None:
        # Another seed, so that the held-out batches do not follow the order of the training ones.
        holdout = Loader(
            held,
            lengths.batch_size,
            seed=settings.seed + 1,
            shuffle=True,
            **ranks,
        )
    return Context(
        model,
        Loader(
            train,
            lengths.batch_size,
            seed=settings.seed,
            shuffle=True,
            balanced=settings.sampling == "balanced",
            **ranks,
        ),
        holdout=holdout,
        optimiser=settings.optimiser,
        epochs=lengths.epochs,
        seed=settings.seed,
        runtime=runtime,
        criterion=criterion_of(settings),
    )


def _checkpoints(folder: Path, settings: Settings, splits: Splits, runtime: Runtime) -> Checkpoints:
    identity = {
        "settings": identity_of(settings),
        "data": splits.digest,
        "facts": fact_digests(data_facts(splits)),
        "devices": runtime.world,
    }
    return Checkpoints(folder / "checkpoints", identity)


def identity_of(settings: Settings) -> dict[str, Any]:
    """The settings that a checkpoint must agree with: all that change the result."""
    values = settings.to_dict()
    for free in ("checkpoint_every", "device", "keep_epochs"):
        del values[free]
    values["data"] = {k: v for k, v in values["data"].items() if k != "cache"}
    return values


def _restore(monitor: Monitor, which: str) -> None:
    """Continue from a checkpoint, or from the start if there is none."""
    found = monitor.checkpoints.resumable()
    if which == "previous":
        found = found[1:]
    if found:
        monitor.restore(monitor.checkpoints.load(found[0]))
    elif monitor.ctx.runtime.main:
        (monitor.folder / "metrics.jsonl").unlink(missing_ok=True)
