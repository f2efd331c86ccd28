"""A small transformer for feature sequences, BalanceMM's encoder on CMU-MOSEI.

Xu et al. BalanceBenchmark: A Survey for Multimodal Imbalance Learning. 2025.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from equipoise.batch import Input
from equipoise.checks import inside, integer, require
from equipoise.encoders.parts.checks import check_shape
from equipoise.encoders.parts.series import series_lengths


class SequenceTransformer(nn.Module):
    """A 1×1 convolution, post-norm transformer layers, and their output at the last step.

    As in BalanceMM's code, no positions are added and no step is masked, except for the padding of
    a series that comes with a mask: no step attends to it, and the last step is the last real one.

    Args:
        shape: (length, d) of one sequence.
        width: of every layer and of the feature; a multiple of `heads`.
        layers: number of transformer layers.
        heads: number of attention heads.
        hidden: width of the feed-forward layers.
        dropout: probability of dropout in every layer.

    Raises:
        ConfigError: a bad option or shape.
    """

    reads_mask = True

    def __init__(
        self,
        shape: tuple[int, ...],
        width: int = 1024,
        layers: int = 2,
        heads: int = 4,
        hidden: int = 2048,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        check_shape("SequenceTransformer", shape, len(shape) == 2, "(length, d)")
        counts = {"width": width, "layers": layers, "heads": heads, "hidden": hidden}
        require(
            "SequenceTransformer",
            *[integer(name, value, 1) for name, value in counts.items()],
            inside("dropout", dropout, "[0, 1)"),
        )
        require(
            "SequenceTransformer",
            ("width", width % heads == 0, f"a multiple of the {heads} heads", width),
        )
        self.width = width
        self.embedding = nn.Conv1d(shape[1], width, kernel_size=1, bias=False)
        self.layers = nn.Sequential(
            *(
                nn.TransformerEncoderLayer(width, heads, hidden, dropout, batch_first=True)
                for _ in range(layers)
            )
        )

    def forward(self, inputs: Input) -> Tensor:
        """Compute the feature, (B, width).

        Args:
            inputs: (B, L, d), or {"values": (B, L, d), "mask": bool (B, L)}.
        """
        values = inputs["values"] if isinstance(inputs, Mapping) else inputs
        lengths = series_lengths(inputs["mask"]) if isinstance(inputs, Mapping) else None
        steps: Tensor = self.embedding(values.transpose(1, 2)).transpose(1, 2)
        if lengths is None:
            steps = self.layers(steps)
            return steps[:, -1]
        padding = torch.arange(steps.shape[1], device=steps.device) >= lengths[:, None]
        for layer in self.layers:
            steps = layer(steps, src_key_padding_mask=padding)
        return steps[torch.arange(len(steps), device=steps.device), lengths - 1]
