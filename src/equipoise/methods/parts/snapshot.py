"""Copies of the weights of some modules, to go back to.

They are part of a method's memory, and hence of its checkpoints.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from equipoise.model import Model


class EncoderCopy(nn.Module):
    """A copy of each encoder's trainable parameters, without running statistics.

    Args:
        model: holds the encoders. Only the copies are registered here.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        # A dictionary of lists is not registered: the parameters stay the model's alone.
        self._originals = {
            m: [p for p in model.group(m).encoder if p.requires_grad] for m in model.modalities
        }
        for modality, parameters in self._originals.items():
            for number, parameter in enumerate(parameters):
                self.register_buffer(f"{modality}_{number}", parameter.detach().clone())

    @torch.no_grad()
    def take(self) -> None:
        """Copy all encoders as they are now."""
        for modality in self._originals:
            for parameter, copied in self.pairs(modality):
                copied.copy_(parameter)

    def pairs(self, modality: str) -> list[tuple[nn.Parameter, Tensor]]:
        """Each trainable parameter of a modality's encoder, and its copy."""
        parameters = self._originals[modality]
        return [(p, self.get_buffer(f"{modality}_{number}")) for number, p in enumerate(parameters)]


class Snapshot(nn.Module):
    """Parameters and buffers of modules, as they were when last taken.

    Args:
        modules: to copy. Only the copies are registered here.
    """

    def __init__(self, *modules: nn.Module) -> None:
        super().__init__()
        self._originals = modules  # a tuple is not registered: the modules stay the model's alone
        for number, tensor in enumerate(self._tensors()):
            self.register_buffer(f"tensor{number}", tensor.clone())

    @torch.no_grad()
    def take(self) -> None:
        """Copy the modules as they are now."""
        for copied, tensor in zip(self.buffers(), self._tensors(), strict=True):
            copied.copy_(tensor)

    @torch.no_grad()
    def restore(self) -> None:
        """Put the copy back, bit for bit."""
        for copied, tensor in zip(self.buffers(), self._tensors(), strict=True):
            tensor.copy_(copied)

    def _tensors(self) -> list[Tensor]:
        return [tensor for module in self._originals for tensor in module.state_dict().values()]
