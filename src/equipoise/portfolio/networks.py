"""Members that the engine trains: any method on the default encoders, within a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equipoise.configuration.layers import overlay
from equipoise.data.decoding.cache import cache_folder
from equipoise.data.table.table import Splits, Table
from equipoise.errors import TrainingError
from equipoise.evaluation.predict import predict
from equipoise.model import Model
from equipoise.portfolio.ensemble import log_loss, log_softmax, temperature
from equipoise.runs.build import build_method, build_model
from equipoise.runs.frozen_features import cache_features
from equipoise.runs.lengths import settle
from equipoise.runs.run import make_context
from equipoise.settings import Settings, settled
from equipoise.training.context import Context
from equipoise.training.loop import fit
from equipoise.training.runtime import Runtime, pick_device

SAFE = 0.9
"""Fraction of the time that the epochs of a training are planned to take."""
FEWEST_EPOCHS = 3
"""Epochs under which a network has not learned enough to be worth its time."""


class Stopped(Exception):
    """The search was asked to stop."""


class _TimeUpError(Exception):
    """The deadline of the training has come."""


@dataclass(frozen=True)
class Trained:
    """A trained network.

    Attributes:
        model: with the chosen weights, in evaluation mode.
        logits: float32 (N, C), of the held-out rows.
        epoch: number of epochs after which the weights were taken.
    """

    model: Model
    logits: np.ndarray
    epoch: int


def network_settings(base: Settings, options: Mapping[str, Any], rows: int) -> Settings:
    """The settings of a network member, with numbers in place of `auto`.

    Args:
        base: of the search.
        options: nested settings of the member, such as its method.
        rows: number of training rows.
    """
    made = Settings.from_dict(overlay(base.to_dict(), options))
    return settle(replace(made, data=replace(made.data, source=base.data.source)), rows)


def fitting_epochs(
    settings: Settings, train: Table, held: Table, deadline: float, stop: Callable[[], bool]
) -> int:
    """The epochs that fit before a deadline, by the time that one of them takes.

    A schedule that is cut in the middle leaves weights that still move fast, so its length follows
    the time.

    Args:
        settings: of the member; its epochs are the most.
        train: training rows.
        held: rows that are predicted after each epoch.
        deadline: by `time.monotonic`.
        stop: asked after each step whether the search ends.

    Raises:
        TrainingError: less than `FEWEST_EPOCHS` fit.
    """
    one = replace(settings, epochs=1)
    train_network(one, train, held, deadline=deadline, epochs=1, stop=stop)  # the first is slower
    since = time.monotonic()
    train_network(one, train, held, deadline=deadline, epochs=1, stop=stop)
    seconds = max(time.monotonic() - since, 1e-3)
    left = deadline - time.monotonic()
    most = settled(settings.epochs)
    fitting = int(SAFE * left / seconds)
    if fitting < min(FEWEST_EPOCHS, most):
        raise TrainingError(
            f"an epoch takes {seconds:.1f} s, of {max(left, 0):.1f} s that are left"
        )
    return min(most, fitting)


def train_network(
    settings: Settings,
    train: Table,
    held: Table,
    *,
    deadline: float,
    epochs: int | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Trained:
    """Train on some rows, and predict others.

    Args:
        settings: of the member.
        train: training rows.
        held: labelled rows to predict.
        deadline: by `time.monotonic`; the training ends then, with its best epoch so far.
        epochs: end after so many epochs and take the last weights, so that `held` decides nothing;
            None to take the epoch with the lowest log-loss on `held`.
        stop: asked after each step whether the search ends.

    Raises:
        Stopped: it does.
        TrainingError: a loss or logit is not finite.
    """
    device = pick_device(settings.device)
    runtime = Runtime(device=device)
    method = build_method(settings)
    splits = Splits(train, held, held.take(np.arange(0)))
    with torch.random.fork_rng():
        model = build_model(settings, train.specs, train.classes).to(device)
        splits = cache_features(splits, model, cache_folder(settings.data.cache), device)
        ctx = make_context(settings, splits, model, runtime)
        method.setup(ctx)
        method.to(device)
        watch = Watch(ctx, splits.validation, settled(settings.patience), deadline, epochs, stop)
        ctx.observer = watch
        with suppress(_TimeUpError):
            fit(method, ctx, ctx.epochs)
        epoch = watch.finish()
        logits = predict(model, splits.validation, runtime=runtime).fused
    return Trained(model.eval(), logits, epoch)


class Watch:
    """The observer of a network member: it chooses the epoch and keeps the deadline.

    Args:
        ctx: the training.
        held: rows that choose the epoch.
        patience: epochs without a better one after which the training ends; 0 for no limit.
        deadline: by `time.monotonic`.
        epochs: end after so many, and let `held` choose nothing.
        stop: asked after each step whether the search ends.
    """

    def __init__(
        self,
        ctx: Context,
        held: Table,
        patience: int,
        deadline: float,
        epochs: int | None,
        stop: Callable[[], bool],
    ) -> None:
        self.ctx = ctx
        self.held = held
        self.patience = patience
        self.deadline = deadline
        self.epochs = epochs
        self.stop = stop
        self.best_loss = np.inf
        self.best_epoch = -1
        self._best: dict[str, Tensor] | None = None

    def after_step(self) -> None:
        if self.stop():
            raise Stopped
        if time.monotonic() > self.deadline:
            raise _TimeUpError

    def heed(self) -> None:
        self.after_step()

    def validate(self) -> float:
        """The negative log-loss on the held-out rows, as a temperature would make it."""
        if self.epochs is not None:
            return 0.0
        with self.ctx.average.applied():
            return self._judge()

    def _judge(self) -> float:
        logits = predict(self.ctx.model, self.held, runtime=self.ctx.runtime).fused
        label = self.held.label
        weight = self.held.weight
        # Networks grow too sure before they grow worse, and the members are tempered afterwards.
        tempered = logits / temperature(logits, label, weight)
        loss = log_loss(np.exp(log_softmax(tempered)), label, weight)
        epoch = self.ctx.position.epoch
        if loss <= self.best_loss and self.ctx.plan.selectable(epoch):
            self.best_loss = loss
            self.best_epoch = epoch
            self._best = _copied(self.ctx.model)
        return -loss

    def record(self) -> None: ...

    def best_weights(self) -> Mapping[str, Tensor] | None:
        return self._best

    def stopped(self) -> bool:
        epoch = self.ctx.position.epoch
        if self.epochs is not None:
            return epoch >= self.epochs
        if not self.patience or self.best_epoch < 0:
            return False
        return self.ctx.plan.waited(self.best_epoch, epoch) >= self.patience

    def finish(self) -> int:
        """Put the chosen weights into the model, and return the number of epochs they took."""
        if self._best is not None:
            self.ctx.model.load_state_dict(self._best)
            return self.best_epoch
        with self.ctx.average.applied():
            last = _copied(self.ctx.model)
        self.ctx.model.load_state_dict(last)
        return self.ctx.position.epoch


def _copied(model: Model) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
