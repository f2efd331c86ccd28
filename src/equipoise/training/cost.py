"""What a method costs: encoder passes per trained minibatch, counted as they happen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from equipoise.model import Model


class PassCounter:
    """Counts forward and backward passes of the encoders while `active` is True.

    Ratios are per minibatch and modality that was stepped, so that joint training has 1 and 1,
    however many modalities there are and whether they train together or in turn.
    """

    def __init__(self, model: Model) -> None:
        self.active = False
        self.forwards = 0
        self.backwards = 0
        self.updates = 0
        self._watched: list[Model] = []
        self._handles: list[RemovableHandle] = []
        self.attach(model)

    def attach(self, model: Model) -> None:
        """Watch the encoders of this model too."""
        self._watched.append(model)
        self._handles += [
            encoder.register_forward_hook(self._forward) for encoder in model.encoders.values()
        ]

    def _forward(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        if self.active:
            self.forwards += 1
            if output.requires_grad:
                output.register_hook(self._backward)  # type: ignore[no-untyped-call]

    def _backward(self, gradient: Tensor) -> None:
        self.backwards += 1

    @contextmanager
    def paused(self) -> Iterator[None]:
        """For estimates made once in a while; they show in the seconds, not in the passes of a step."""
        before = self.active
        self.active = False
        try:
            yield
        finally:
            self.active = before

    @property
    def forward_passes(self) -> float:
        return self.forwards / max(self.updates, 1)

    @property
    def backward_passes(self) -> float:
        return self.backwards / max(self.updates, 1)

    def state_dict(self) -> dict[str, int]:
        return {"forwards": self.forwards, "backwards": self.backwards, "updates": self.updates}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.forwards = state["forwards"]
        self.backwards = state["backwards"]
        self.updates = state["updates"]

    @contextmanager
    def detached(self) -> Iterator[None]:
        """While the models are copied, hooks and all."""
        watched = self._watched
        self.close()
        try:
            yield
        finally:
            for model in watched:
                self.attach(model)

    def close(self) -> None:
        """Watch nothing any more."""
        for handle in self._handles:
            handle.remove()
        self._watched = []
        self._handles = []
