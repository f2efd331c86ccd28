"""Watches a run: validates, keeps the best weights, writes `metrics.jsonl` and checkpoints, obeys signals."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from equipoise.data.table.table import Table
from equipoise.errors import Interrupted
from equipoise.evaluation.metrics import measure
from equipoise.evaluation.predict import predict
from equipoise.files import replace_file
from equipoise.runs.interrupt import Interrupt
from equipoise.training.checkpoint import Checkpoint, Checkpoints
from equipoise.training.context import Context
from equipoise.training.method import Method

Report = Callable[[dict[str, Any]], None]


class Monitor:
    """The observer of a run that has a folder.

    Args:
        folder: the run folder.
        checkpoints: where they go.
        ctx: the training that is watched.
        method: its memory is saved with the model.
        validation: the split that selects; the test split is not known here.
        select: metric of the fused prediction that chooses the epoch.
        patience: epochs without improvement after which to stop; 0 for never.
        every: also checkpoint after this many steps; 0 for never.
        interrupt: what says that a signal came.
        report: called with each epoch's record, for a progress display.
    """

    def __init__(
        self,
        folder: Path,
        checkpoints: Checkpoints,
        ctx: Context,
        method: Method,
        validation: Table,
        *,
        select: str,
        patience: int,
        every: int,
        interrupt: Interrupt,
        report: Report,
    ) -> None:
        self.folder = folder
        self.checkpoints = checkpoints
        self.ctx = ctx
        self.method = method
        self.validation = validation
        self.select = select
        self.patience = patience
        self.every = every
        self.interrupt = interrupt
        self.report = report
        self.best_metric = -1.0
        self.best_epoch = -1
        self.seconds = 0.0
        self._epochs = 0
        self._since = time.perf_counter()
        self._metrics: dict[str, Any] = {}

    def after_step(self) -> None:
        """Checkpoint inside an epoch where asked, and stop for a signal."""
        ctx = self.ctx
        self.heed()
        if (
            self.every
            and ctx.position.step % self.every == 0
            and ctx.position.batch < ctx.steps_per_epoch
        ):
            self._checkpoint()

    def heed(self) -> None:
        """Stop for a signal, with a checkpoint."""
        ctx = self.ctx
        if ctx.runtime.any(self.interrupt.requested):
            self._checkpoint()
            devices = f" --devices {ctx.runtime.world}" if ctx.runtime.world > 1 else ""
            raise Interrupted(
                f"stopped by a signal after step {ctx.position.step} of epoch {ctx.epoch}; a checkpoint is written, "
                f"go on with: equipoise train --resume {self.folder}{devices}"
            )

    def _checkpoint(self) -> None:
        self._tick()
        self.ctx.require_finite()
        self.save()

    def validate(self) -> float:
        """Read the validation split, once, and remember the weights if they are the best so far."""
        ctx = self.ctx
        self._epochs = ctx.position.epoch
        self._metrics = measure(predict(ctx.model, self.validation, runtime=ctx.runtime))
        metric = self._metrics["fused"][self.select]
        value = 0.0 if metric is None else float(metric)
        if value > self.best_metric:
            self.best_metric = value
            self.best_epoch = ctx.position.epoch - 1
            name = f"best-epoch-{self.best_epoch:05d}"
            if ctx.runtime.main:
                self.checkpoints.save(name, ctx.model.state_dict())
        return value

    def record(self) -> None:
        """Append the epoch to `metrics.jsonl`, then checkpoint."""
        ctx = self.ctx
        self._tick()
        values = ctx.read_journal()
        line = {
            "epoch": ctx.position.epoch - 1,
            "phase": ctx.position.phase,
            "training": list(ctx.training),
            "step": ctx.position.step,
            "seconds": round(self.seconds, 3),
            "loss": values.pop("loss", None),
            "learning_rate": ctx.optimisers.learning_rate(ctx.training[0]),
            "method": {name.removeprefix("method/"): value for name, value in values.items()},
            "validation": self._metrics,
        }
        if ctx.runtime.main:
            with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(_finite(line), allow_nan=False) + "\n")
                file.flush()
                os.fsync(file.fileno())
        self.save()
        if ctx.runtime.main:
            self.checkpoints.prune_best(f"best-epoch-{self.best_epoch:05d}")
            self.report(line)

    def best_weights(self) -> dict[str, Tensor] | None:
        """Those of `best_epoch`, by name: a kill may have left weights of a later epoch beside them."""
        if self.best_epoch < 0:
            return None
        return self.checkpoints.load(
            self.checkpoints.folder / f"best-epoch-{self.best_epoch:05d}"
        ).model

    def stopped(self) -> bool:
        """True when `patience` has run out."""
        return bool(self.patience) and self._epochs - 1 - self.best_epoch >= self.patience

    def save(self) -> None:
        """Write a checkpoint to resume from."""
        ctx = self.ctx
        ctx.synchronise_buffers()
        if ctx.runtime.main:
            name = f"epoch-{ctx.position.epoch:05d}-step-{ctx.position.step:08d}"
            state = {"context": ctx.state_dict(), "monitor": self.state_dict()}
            self.checkpoints.save(name, ctx.model.state_dict(), self.method.state_dict(), state)
            self.checkpoints.prune()
        ctx.runtime.barrier()

    def restore(self, checkpoint: Checkpoint) -> None:
        """Stand where the checkpoint was taken; later lines of `metrics.jsonl` go."""
        ctx = self.ctx
        ctx.model.load_state_dict(checkpoint.model)
        self.method.load_state_dict(checkpoint.method)
        ctx.load_state_dict(checkpoint.state["context"])
        known = checkpoint.state["monitor"]
        self.best_metric = known["best_metric"]
        self.best_epoch = known["best_epoch"]
        self.seconds = known["seconds"]
        self._since = time.perf_counter()
        self._epochs = ctx.position.epoch
        path = self.folder / "metrics.jsonl"
        if ctx.runtime.main and path.exists():
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            replace_file(path, "".join(lines[: ctx.position.epoch]).encode())
        ctx.runtime.barrier()

    def state_dict(self) -> dict[str, Any]:
        return {
            "best_metric": self.best_metric,
            "best_epoch": self.best_epoch,
            "seconds": self.seconds,
        }

    def _tick(self) -> None:
        now = time.perf_counter()
        self.seconds = self.seconds + now - self._since
        self._since = now


def _finite(value: Any) -> Any:
    """Null for every number that JSON does not have: a mean over no sample, say."""
    if isinstance(value, dict):
        return {key: _finite(held) for key, held in value.items()}
    if isinstance(value, list):
        return [_finite(held) for held in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
