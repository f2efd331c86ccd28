"""What the encoders' trainable parameters once were; part of a method's memory, and hence of its checkpoints."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from equipoise.model import Model


class EncoderCopy(nn.Module):
    """A copy of each encoder's trainable parameters, without running statistics.

    Args:
        model: whose encoders; they stay the model's own, only the copies are registered here.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self._originals = {m: [p for p in model.group(m).encoder if p.requires_grad] for m in model.modalities}
        for modality, parameters in self._originals.items():
            for number, parameter in enumerate(parameters):
                self.register_buffer(f"{modality}_{number}", parameter.detach().clone())

    @torch.no_grad()
    def take(self) -> None:
        """Copy all encoders as they stand."""
        for modality in self._originals:
            for parameter, copied in self.pairs(modality):
                copied.copy_(parameter)

    def pairs(self, modality: str) -> list[tuple[nn.Parameter, Tensor]]:
        """Each trainable parameter of a modality's encoder, and its copy."""
        parameters = self._originals[modality]
        return [(p, self.get_buffer(f"{modality}_{number}")) for number, p in enumerate(parameters)]
