"""A copy of what some modules hold, to go back to; part of a method's memory, and hence of its checkpoints."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Snapshot(nn.Module):
    """Parameters and buffers of modules, as they were when last taken.

    Args:
        modules: they stay the model's own; only the copies are registered here.
    """

    def __init__(self, *modules: nn.Module) -> None:
        super().__init__()
        self._originals = modules  # a tuple is not registered
        for number, tensor in enumerate(self._tensors()):
            self.register_buffer(f"tensor{number}", tensor.clone())

    @torch.no_grad()
    def take(self) -> None:
        """Copy the modules as they stand."""
        for copied, tensor in zip(self.buffers(), self._tensors(), strict=True):
            copied.copy_(tensor)

    @torch.no_grad()
    def restore(self) -> None:
        """Put the copy back, bit for bit."""
        for copied, tensor in zip(self.buffers(), self._tensors(), strict=True):
            tensor.copy_(copied)

    def _tensors(self) -> list[Tensor]:
        return [tensor for module in self._originals for tensor in module.state_dict().values()]
