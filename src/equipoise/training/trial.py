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
    """The observer of a copy, which has only its training loss to go by; a signal stops the
    training it was made from.

    Args:
        original: the training that the copy was made from.
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
    """Copy a training at the start of an epoch; what happens to the copy does not change the
    original.

    Model, optimisers and schedules are copies; loaders, ranks and the seed are the same. The passes
    of the copy are not counted, its "validation" is the training loss, and a signal stops the
    original, from where it stands.

    Args:
        ctx: the training.
        model: to train instead of the copy, by fresh optimisers.
        optimiser: settings of these; those of the training by default.
        epochs: length of the learning-rate schedules; that of the training by default.
    """
    other = model
    if other is None:
        with ctx.passes.detached():  # its hooks would be copied with the model
            other = copy.deepcopy(ctx.model)
    twin = Context(
        other,
        ctx.train,
        holdout=ctx.holdout,
        optimiser=optimiser or ctx.optimisers.settings,
        epochs=epochs or ctx.epochs,
        seed=ctx.seed,
        runtime=ctx.runtime,
    )
    twin.observer = Trial(ctx, twin)
    twin.passes.close()
    if model is None:
        twin.optimisers.load_state_dict(copy.deepcopy(ctx.optimisers.state_dict()))
        twin.optimisers.forget_metric()
    twin.position = replace(ctx.position)
    twin.phase = ctx.phase
    twin.rng.set_state(ctx.rng.get_state())
    return twin


def try_out(twin: Context, method: Method, phase: Phase) -> Context:
    """Train a copy, made by `fork`, as a phase of this method would.

    Args:
        twin: the copy.
        method: needs no setup.
        phase: how many epochs, and of which modalities.

    Returns:
        The copy, trained.
    """
    twin.phase = phase
    for _ in range(phase.epochs):
        for batch in twin.steps():
            method.step(batch, twin)
        twin.end_epoch()
    return twin
