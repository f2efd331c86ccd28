"""The observer of a run: it validates, keeps the best weights, writes `metrics.jsonl` and
checkpoints, and stops for a signal."""

from __future__ import annotations

import json
import math
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from equipoise.data.table.table import Table
from equipoise.errors import Interrupted
from equipoise.evaluation.calibration import with_fused_tempered
from equipoise.evaluation.metrics import measure, worth
from equipoise.evaluation.predict import predict
from equipoise.files import force, in_haste, naming, replace_file
from equipoise.heads.base import Head
from equipoise.methods.parts.auxiliary import own_classifier
from equipoise.runs.callbacks import Callbacks
from equipoise.runs.folder import resume_command
from equipoise.runs.interrupt import Interrupt
from equipoise.settings import LAST, Settings, settled
from equipoise.training.checkpoint import Checkpoint, Checkpoints
from equipoise.training.context import Context
from equipoise.training.finite import remedy
from equipoise.training.method import Method

CURVES = ("accuracy", "log_loss")
"""The metrics of every epoch, fused and of each modality, beside the one that chooses."""

FEWEST_TO_JUDGE = 5
"""Epochs from which a training is judged to be too short; fewer are a first look."""
LAST_PART = 0.25
CLEARLY = (0.02, 0.01)
"""Training was still going on if the last part of the epochs made the log-loss smaller by more than
this fraction of it, and by more than this."""


class Monitor:
    """The observer of a run that has a folder.

    Args:
        folder: the run folder.
        checkpoints: where they are written.
        ctx: the training that is observed.
        method: its memory is saved with the model.
        validation: the split that selects the epoch; the monitor does not know the test split.
        settings: of the run; `select`, `patience`, `checkpoint_every` and `keep_epochs` are read.
        interrupt: says whether a signal came.
        callbacks: called with each epoch's record; may stop the training.
    """

    def __init__(
        self,
        folder: Path,
        checkpoints: Checkpoints,
        ctx: Context,
        method: Method,
        validation: Table,
        settings: Settings,
        interrupt: Interrupt,
        callbacks: Callbacks,
    ) -> None:
        self.folder = folder
        self.checkpoints = checkpoints
        self.ctx = ctx
        self.method = method
        self.validation = validation
        self.settings = settings
        self.interrupt = interrupt
        self.callbacks = callbacks
        self.asked_to_stop = False
        # The metric as a worth, and the log-loss that decides between equals.
        self.best_metric = -math.inf
        self.best_loss = math.inf
        self.best_epoch = -1
        # From here patience counts: a lower log-loss at an equal metric does not restart it.
        self.improved_epoch = -1
        self.seconds = 0.0
        self._since = time.perf_counter()
        self._metrics: dict[str, Any] = {}
        # Before `restore`, so that a resumed training is compared with the initialisation, too.
        self._classifiers = ClassifierWatch(settings.method["name"], ctx.model.head)

    def after_step(self) -> None:
        """Stop for a signal; else checkpoint inside an epoch where the settings ask for it."""
        self.heed()
        every = self.settings.checkpoint_every
        position = self.ctx.position
        # The last step of an epoch is left to `record`, which checkpoints after validation.
        inside = position.batch < self.ctx.steps_per_epoch
        if every and position.step % every == 0 and inside:
            self._checkpoint()

    def heed(self) -> None:
        """Checkpoint and stop if a signal came.

        Raises:
            Interrupted: a signal came.
        """
        ctx = self.ctx
        # All ranks stop together, whichever of them got the signal.
        if ctx.runtime.any(self.interrupt.requested):
            self._checkpoint()
            untrained = ctx.plan.untrained(ctx.epoch) if self.best_epoch < 0 else []
            waiting = ", before an epoch could be chosen" if untrained else ""
            raise Interrupted(
                f"stopped by a signal after step {ctx.position.step} of epoch {ctx.epoch}"
                f"{waiting}; a checkpoint is written, "
                f"go on with: {resume_command(self.folder, ctx.runtime.world)}"
            )

    def _checkpoint(self) -> None:
        self._tick()
        self.ctx.require_finite()
        self.save()

    def validate(self) -> float:
        """Read the validation split, once, and save the weights if they are the best so far."""
        ctx = self.ctx
        at = ctx.position
        with ctx.average.applied():
            predictions = predict(
                ctx.model,
                self.validation,
                runtime=ctx.runtime,
                when=f" on the validation split after epoch {at.epoch - 1}, step {at.step}",
                remedy=remedy(self.settings.optimiser),
            )
        # Judged as it will be used. Without the temperature, an early epoch would be chosen, after
        # which predictions still improve, but the network is too sure of them.
        if self.settings.calibrates:
            predictions = with_fused_tempered(predictions)
        select = self.settings.select
        # No more than what chooses the epoch and what the curves of a report show: metrics of
        # ranks sort every class anew, which would be a good part of a short epoch.
        self._metrics = measure(predictions, tuple(dict.fromkeys((*CURVES, select))), CURVES)
        fused = self._metrics["fused"]
        value = worth(select, fused[select])
        loss = -worth("log_loss", fused["log_loss"])
        better = value > self.best_metric or (value == self.best_metric and loss < self.best_loss)
        # However good: a modality that has yet to train would be missing from the result.
        if better and ctx.plan.selectable(at.epoch):
            if value > self.best_metric:
                self.improved_epoch = at.epoch - 1
            self.best_metric = value
            self.best_loss = loss
            self._choose_last()
        return value

    def conclude(self) -> None:
        """At the end of a training, warn of one that could not be judged, or was too short.

        Where no epoch could be chosen, the last one is. No plan of a method in this library ends
        so, but that of another method may.
        """
        epochs = self.ctx.position.epoch
        if epochs == 0:
            return
        if LAST in self.settings.keep_epochs:
            self._keep()
        self._warn_of_epochs_that_never_came(epochs)
        if self.best_epoch >= 0:
            self._warn_of_unfinished_training()
            return
        self._choose_last()
        if self.ctx.runtime.main:
            untrained = ", ".join(map(repr, self.ctx.plan.untrained(epochs)))
            reason = f"{untrained} did not train" if untrained else "no phase of it allows a choice"
            warnings.warn(
                f"method {self.settings.method['name']!r} ended before an epoch could be chosen on "
                f"validation: {reason}; the weights of the last epoch are kept",
                stacklevel=2,
            )
        self.ctx.runtime.barrier()

    def _keep(self) -> None:
        """Keep the weights, as they were validated."""
        if self.ctx.runtime.main:
            with self.ctx.average.applied():
                self.checkpoints.keep_epoch(self.ctx.position.epoch, self.ctx.model.state_dict())
        self.ctx.runtime.barrier()

    def _warn_of_epochs_that_never_came(self, done: int) -> None:
        asked = self.settings.keep_epochs
        missed = [epoch for epoch in asked if not isinstance(epoch, str) and epoch > done]
        if missed and self.ctx.runtime.main:
            warnings.warn(
                f"the training ended after epoch {done}, so no weights of epoch "
                f"{', '.join(map(str, missed))} are kept (keep_epochs)",
                stacklevel=3,
            )

    def _warn_of_unfinished_training(self) -> None:
        """Warn where the last epoch is the best, and those before it were clearly worse."""
        done = self.ctx.position.epoch
        ended = done >= sum(phase.epochs for phase in self.ctx.plan.phases)
        ended = ended and self.best_epoch == done - 1
        if not ended or done < FEWEST_TO_JUDGE or not self.ctx.runtime.main:
            return
        lines = (self.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        losses = [json.loads(line)["validation"]["fused"].get("log_loss") for line in lines]
        before = losses[-1 - math.ceil(done * LAST_PART)]
        now = losses[-1]
        if before is None or now is None or before - now < max(CLEARLY[0] * before, CLEARLY[1]):
            return
        # A method in turns splits the epochs that were asked for into more, shorter ones.
        planned = settled(self.settings.epochs)
        warnings.warn(
            f"the last of {done} epochs is the best, and the log-loss on validation was still "
            f"falling ({before:.3g} → {now:.3g}): train for longer, with --epochs {2 * planned} "
            f"instead of {planned}, or faster, with a larger --optimiser.lr",
            RuntimeWarning,
            stacklevel=3,
        )

    def _choose_last(self) -> None:
        self.best_epoch = self.ctx.position.epoch - 1
        if self.ctx.runtime.main:
            with self.ctx.average.applied():
                self.checkpoints.save(self._best_name(), self.ctx.model.state_dict())

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
            "learning_rate": ctx.learning_rate,
            "method": {name.removeprefix("method/"): value for name, value in values.items()},
            "validation": self._metrics,
            "selectable": ctx.plan.selectable(ctx.position.epoch),
        }
        if ctx.runtime.main:
            path = self.folder / "metrics.jsonl"
            with naming(path), path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(_finite(line), allow_nan=False) + "\n")
                file.flush()
                force(file.fileno())
        # Before the checkpoint, so that a run that is killed in between keeps them once more.
        if ctx.position.epoch in self.settings.keep_epochs:
            self._keep()
        self.save()
        if ctx.runtime.main:
            # Only now: a checkpoint on disk names the best epoch, whose weights must be there.
            self.checkpoints.prune_best(self._best_name())
            self._classifiers.check()
            self.asked_to_stop = self.callbacks.on_epoch(line)
        # Only the first process has callbacks, and all ranks stop together.
        self.asked_to_stop = ctx.runtime.any(self.asked_to_stop)
        if self.asked_to_stop:
            self.save()  # once more, so that a resumed run does not train on

    def best_weights(self) -> dict[str, Tensor] | None:
        """The weights of `best_epoch`; None before any epoch may be chosen.

        They are found by name, because a kill may have left weights of a later epoch beside them.
        """
        if self.best_epoch < 0:
            return None
        return self.checkpoints.load(self.checkpoints.folder / self._best_name()).model

    def stopped(self) -> bool:
        """True when a callback has asked for it, or `patience` has run out.

        Patience counts the epochs that every modality has trained for since the metric last
        improved. Where modalities take turns, a phase of one of them cannot use up the patience of
        the others.
        """
        if self.asked_to_stop:
            return True
        patience = settled(self.settings.patience)
        if not patience or self.best_epoch < 0:
            return False
        return self.ctx.plan.waited(self.improved_epoch + 1, self.ctx.position.epoch) >= patience

    def save(self) -> None:
        """Write a checkpoint to resume from."""
        ctx = self.ctx
        ctx.synchronise_buffers()
        # A folder that is thrown away is never resumed.
        if ctx.runtime.main and not in_haste():
            name = f"epoch-{ctx.position.epoch:05d}-step-{ctx.position.step:08d}"
            state = {"context": ctx.state_dict(), "monitor": self.state_dict()}
            self.checkpoints.save(name, ctx.model.state_dict(), self.method.state_dict(), state)
            self.checkpoints.prune()
        ctx.runtime.barrier()

    def restore(self, checkpoint: Checkpoint) -> None:
        """Return to where the checkpoint was taken; later lines of `metrics.jsonl` are removed."""
        ctx = self.ctx
        ctx.model.load_state_dict(checkpoint.model)
        self.method.load_state_dict(checkpoint.method)
        ctx.load_state_dict(checkpoint.state["context"])
        known = checkpoint.state["monitor"]
        self.best_metric = known["best_metric"]
        self.best_epoch = known["best_epoch"]
        # Version 0.1 knew none of these three.
        self.best_loss = known.get("best_loss", math.inf)
        self.improved_epoch = known.get("improved_epoch", self.best_epoch)
        self.asked_to_stop = known.get("asked_to_stop", False)
        self.seconds = known["seconds"]
        self._since = time.perf_counter()
        path = self.folder / "metrics.jsonl"
        if ctx.runtime.main and path.exists():
            lines = path.read_bytes().splitlines(keepends=True)
            replace_file(path, b"".join(lines[: ctx.position.epoch]))
        ctx.runtime.barrier()

    def state_dict(self) -> dict[str, Any]:
        return {
            "best_metric": self.best_metric,
            "best_loss": self.best_loss,
            "best_epoch": self.best_epoch,
            "improved_epoch": self.improved_epoch,
            "seconds": self.seconds,
            "asked_to_stop": self.asked_to_stop,
        }

    def _best_name(self) -> str:
        return f"best-epoch-{self.best_epoch:05d}"

    def _tick(self) -> None:
        """Add the time since the last call, so that the seconds of a resumed run add up."""
        now = time.perf_counter()
        self.seconds = self.seconds + now - self._since
        self._since = now


class ClassifierWatch:
    """Warns if the first epoch has not trained any modality's own classifier.

    Such a classifier keeps its initial weights, although the results show what it predicts. The
    watch looks at which weights have moved, and not at what a method declares, so that all options
    and methods of other packages are covered alike.

    Args:
        method: name of the method.
        head: with its initial weights.
    """

    def __init__(self, method: str, head: Head) -> None:
        self.method = method
        self.head = head
        trained = []
        if head.own_classifiers:
            for modality in head.modalities:
                classifier = head.own_only(modality) or own_classifier(head, modality)
                trained += [p for p in classifier.parameters() if p.requires_grad]
        self._start = [(p, p.detach().clone()) for p in trained]

    def check(self) -> None:
        """Warn after the first epoch; later calls do nothing."""
        if self._start and all(torch.equal(now, start) for now, start in self._start):
            warnings.warn(
                f"method {self.method!r} does not train the classifiers of "
                f"{type(self.head).__name__} that predict from one modality alone, and the "
                "per-modality results are those of untrained classifiers; use head 'concat' or "
                "'sum', whose fused loss trains what they are read from",
                stacklevel=2,
            )
        self._start = []


def _finite(value: Any) -> Any:
    """The value with null for every number that JSON does not have, such as a mean of nothing."""
    if isinstance(value, dict):
        return {key: _finite(held) for key, held in value.items()}
    if isinstance(value, list):
        return [_finite(held) for held in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
