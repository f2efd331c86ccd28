"""The base class of methods. Most methods override `loss` and nothing else."""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterator

from torch import Tensor, nn

from equipoise.batch import Batch, Output
from equipoise.errors import ConfigError
from equipoise.training.context import Context
from equipoise.training.phase import Phase


class Method(nn.Module, ABC):
    """The base of all methods.

    A method never steps an optimiser, draws a random number or talks to other ranks itself:
    whatever changes a parameter or the method's memory comes from the context. Memory that outlives
    a step is a buffer, so that it is checkpointed and moved to the device.

    Attributes:
        needs_holdout: True where the method, as constructed, estimates something on `ctx.holdout`.
        holdout: fraction of the training samples that is then kept back, unless the settings say.
        compilable: False where the method, as constructed, differentiates one pass of an encoder
            more than once; a compiled encoder allows one backward pass only.
        takes_loss: False where the method, as constructed, has a loss of its own, which the
            settings `loss` and `label_smoothing` do not change.
        takes_weight: False where samples cannot be weighted in that loss.
        chooses_rows: True where the method, as constructed, chooses the rows that an epoch reads.

    Raises:
        ConfigError: the class overrides neither `loss` nor `step`.
    """

    needs_holdout = False
    holdout = 0.15
    compilable = True
    takes_loss = True
    takes_weight = True
    chooses_rows = False

    def __init__(self) -> None:
        super().__init__()
        kind = type(self)
        if kind.loss is Method.loss and kind.step is Method.step:
            raise ConfigError(
                f"method {kind.__name__} has nothing to train by; override 'loss', or 'step'"
            )

    def setup(self, ctx: Context) -> None:
        """Allocate memory, once the model's shapes are known."""

    def phases(self, epochs: int) -> Iterator[Phase]:
        """The phases of the training.

        They are a plan. It is read whole after `setup` and before the first step, and again when a
        training is resumed, so it must not depend on the course of the training.

        Args:
            epochs: how many times every modality is to see the training table.
        """
        yield Phase(epochs)

    def on_phase_start(self, ctx: Context) -> None:
        """Called before the first epoch of a phase."""

    def on_phase_end(self, ctx: Context) -> None:
        """Called after the last epoch of a phase."""

    def on_epoch_start(self, ctx: Context) -> None:
        """Called before the first step of an epoch."""

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        """The scalar that `step` minimises; a method with a `step` of its own does not need it.

        Raises:
            ConfigError: the method does not define it.
        """
        raise ConfigError(
            f"method {type(self).__name__} trains by a 'step' of its own and has no 'loss'"
        )

    def edit_gradients(self, output: Output, batch: Batch, ctx: Context) -> None:
        """Change the gradients, averaged over ranks already, before the optimiser steps."""

    def step(self, batch: Batch, ctx: Context) -> None:
        """Train on one minibatch."""
        output = ctx.model(batch)
        ctx.backward(self.loss(output, batch, ctx))
        self.edit_gradients(output, batch, ctx)
        ctx.update()
