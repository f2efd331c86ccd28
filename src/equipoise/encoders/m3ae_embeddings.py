"""From image or text to the tokens of M3AE: content + fixed position + learned type (Geng et al., 2022)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from equipoise.encoders.positions import sine_cosine_1d, sine_cosine_2d
from equipoise.encoders.transformer import xavier_linear

PATCH = 16  # pixels a side
STD = 0.02  # of learned tokens at the start


def learned_token(width: int) -> nn.Parameter:
    """(1, 1, width), drawn from N(0, 0.02²)."""
    return nn.Parameter(torch.randn(1, 1, width) * STD)


class PatchEmbedding(nn.Module):
    """Patches of 16 × 16 pixels, row by row.

    The pixels of a patch are ordered (row, column, channel), as the published kernel's rows are. MLA's port feeds
    (channel, row, column) to the same weights, which scrambles every patch; that is not offered.
    """

    positions: Tensor

    def __init__(self, shape: tuple[int, ...], width: int) -> None:
        super().__init__()
        channels, height, across = shape
        self.content = xavier_linear(PATCH * PATCH * channels, width)
        self.type_embedding = learned_token(width)
        self.register_buffer("positions", sine_cosine_2d(height // PATCH, across // PATCH, width), persistent=False)

    def forward(self, images: Tensor) -> tuple[Tensor, None]:
        """(B, C, H, W) → tokens (B, N, width), all of them valid."""
        batch, channels, height, width = images.shape
        pixels = images.reshape(batch, channels, height // PATCH, PATCH, width // PATCH, PATCH)
        flat = pixels.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)
        return self.content(flat) + self.positions + self.type_embedding, None


class TextEmbedding(nn.Module):
    """Word pieces; id 0 is padding."""

    positions: Tensor

    def __init__(self, length: int, vocabulary: int, width: int) -> None:
        super().__init__()
        self.content = nn.Embedding(vocabulary, width)  # starts N(0, 1), as published
        self.type_embedding = learned_token(width)
        self.register_buffer("positions", sine_cosine_1d(length, width), persistent=False)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Ids (B, L) → tokens (B, L, width) and which of them are no padding (B, L)."""
        return self.content(ids) + self.positions + self.type_embedding, ids != 0
