"""Trials: copies of a training to try things on, which leave the training itself as it is."""

from __future__ import annotations

import copy
from dataclasses import replace

from equipoise.model import Model
from equipoise.settings import OptimiserSettings
from equipoise.training.context import Context
from equipoise.training.method import Method
from equipoise.training.observer import Silent
from equipoise.training.phase import Phase


class Trial(Silent):
    """The observer of a copy.

    A copy has no validation split, so its training loss stands in for the metric. A signal stops
    the original: only the original has a folder to write a checkpoint to.

    Args:
        original: the training that was copied.
        twin: the copy.
    """

    def __init__(self, original: Context, twin: Context) -> None:
        self._original = original
        self._twin = twin

    def after_step(self) -> None:
        self._original.observer.heed()

    def validate(self) -> float:
        return -float(self._twin.read_journal()["loss"])


def fork(
    ctx: Context,
    model: Model | None = None,
    optimiser: OptimiserSettings | None = None,
    epochs: int | None = None,
) -> Context:
    """Copy a training at the start of an epoch; training the copy does not change the original.

    Model, optimisers and schedules are copied, the average of the weights is not. Loaders, ranks
    and the seed are shared. Passes of the copy are not counted, its validation metric is its
    training loss, and a signal stops the original where it stands.

    Args:
        ctx: the training.
        model: trained by the copy instead of a copy of `ctx.model`, with fresh optimisers.
        optimiser: settings of the fresh optimisers; those of the training by default.
        epochs: length of the learning-rate schedules; that of the training by default.

    Returns:
        The copy, to be trained by `try_out` or step by step.
    """
    if model is None:
        with ctx.passes.detached():
            trained = copy.deepcopy(ctx.model)
    else:
        trained = model
    twin = Context(
        trained,
        ctx.train,
        holdout=ctx.holdout,
        optimiser=replace(optimiser or ctx.optimisers.settings, average=0.0),
        epochs=epochs or ctx.epochs,
        seed=ctx.seed,
        runtime=ctx.runtime,
    )
    twin.observer = Trial(ctx, twin)
    twin.passes.close()
    if model is None:
        twin.optimisers.load_state_dict(copy.deepcopy(ctx.optimisers.state_dict()))
        # The copy may have another loss, and has no metric of validation.
        twin.optimisers.forget_values()
    # The copy draws what the original would draw at this position.
    twin.position = replace(ctx.position)
    twin.phase = ctx.phase
    twin.rng.set_state(ctx.rng.get_state())
    return twin


def try_out(twin: Context, method: Method, phase: Phase) -> Context:
    """Train a copy, made by `fork`, as a phase of this method would.

    Args:
        twin: the copy.
        method: its `step` is called, and no other hook; it needs no setup.
        phase: the number of epochs, and the modalities that train.

    Returns:
        The copy, trained.
    """
    twin.phase = phase
    for _ in range(phase.epochs):
        for batch in twin.steps():
            method.step(batch, twin)
        twin.end_epoch()
    return twin
