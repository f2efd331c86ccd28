"""A trained model as a plain module of PyTorch: tensors in, logits out."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from equipoise.batch import Batch, Input
from equipoise.model import Model


class PlainModule(nn.Module):
    """A model that takes {modality: tensor} and returns the fused logits.

    Gradients flow through it, so that tools that explain, export or prune networks can use it.

    Args:
        model: the trained model, whose parameters it shares.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Mapping[str, Input]) -> Tensor:
        """Fused logits (B, C).

        Args:
            inputs: {modality: (B, …)}, transformed as `Finished.read` and `own` give them. A
                modality that is left out is absent in every row.
        """
        first = next(iter(inputs.values()))
        like = next(iter(first.values())) if isinstance(first, Mapping) else first
        rows = torch.zeros(len(like), dtype=torch.int64, device=like.device)
        given = {m: inputs.get(m, rows) for m in self.model.modalities}
        present = {
            m: torch.full_like(rows, m in inputs, dtype=torch.bool) for m in self.model.modalities
        }
        fused: Tensor = self.model(Batch(given, present, rows, rows)).fused
        return fused
