"""The cost of a method: encoder passes per trained minibatch, counted as they happen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from equipoise.model import Model

COUNTED = 32
"""Steps of an epoch that are counted."""


class PassCounter:
    """Counts forward and backward passes of the encoders while `active` is True.

    Counting costs a few hooks in each pass. Only the first `COUNTED` steps of an epoch are counted,
    which is a function of the position: a resumed training counts what an uninterrupted one counts.

    The counts are divided by the number of updates, one per minibatch and modality. Joint training
    therefore has 1 forward and 1 backward pass, however many modalities there are, and whether they
    train together or in turn.

    Args:
        model: its encoders are watched.

    Attributes:
        active: True inside a step.
        forwards: forward passes of an encoder so far.
        backwards: backward passes of an encoder so far.
        updates: optimiser steps of a modality so far, of those steps that are counted.
    """

    def __init__(self, model: Model) -> None:
        self.active = False
        self.forwards = 0
        self.backwards = 0
        self.updates = 0
        self._watched: list[Model] = []
        self._handles: list[RemovableHandle] = []
        self._resting = False
        self.attach(model)

    def attach(self, model: Model) -> None:
        """Watch the encoders of this model too."""
        self._watched.append(model)
        if not self._resting:
            self._hook(model)

    def _hook(self, model: Model) -> None:
        self._handles += [
            encoder.register_forward_hook(self._forward) for encoder in model.encoders.values()
        ]

    def begin_step(self, batch: int) -> None:
        """Count this step, which is number `batch` of its epoch, if it is one of the first."""
        self.active = batch < COUNTED
        if self._resting == self.active:
            self._unhook()
            self._resting = not self.active
            for model in self._watched if self.active else ():
                self._hook(model)

    def end_step(self) -> None:
        """Count nothing until the next step begins."""
        self.active = False

    def moved(self, modalities: int) -> None:
        """Count the optimiser steps of so many modalities."""
        if not self._resting:
            self.updates += modalities

    def _forward(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        if self.active:
            self.forwards += 1
            if output.requires_grad:
                output.register_hook(self._backward)  # type: ignore[no-untyped-call]

    def _backward(self, gradient: Tensor) -> None:
        self.backwards += 1

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Count nothing for a while.

        For estimates made now and then: they count in the seconds of a run, not in the passes of a
        step.
        """
        before = self.active
        self.active = False
        try:
            yield
        finally:
            self.active = before

    @property
    def forward_passes(self) -> float:
        """Forward passes per update."""
        return self.forwards / max(self.updates, 1)

    @property
    def backward_passes(self) -> float:
        """Backward passes per update."""
        return self.backwards / max(self.updates, 1)

    def state_dict(self) -> dict[str, int]:
        return {"forwards": self.forwards, "backwards": self.backwards, "updates": self.updates}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.forwards = state["forwards"]
        self.backwards = state["backwards"]
        self.updates = state["updates"]

    @contextmanager
    def detached(self) -> Iterator[None]:
        """Take the hooks off the models for a while: a model would be copied with its hooks."""
        watched = self._watched
        self.close()
        try:
            yield
        finally:
            for model in watched:
                self.attach(model)

    def close(self) -> None:
        """Stop watching all models."""
        self._unhook()
        self._watched = []

    def _unhook(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []
