"""Convolutions over words (Kim. Convolutional Neural Networks for Sentence Classification. EMNLP 2014)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equipoise.checks import inside, require, whole, whole_list
from equipoise.encoders.parts.checks import check_shape, check_vocabulary
from equipoise.encoders.parts.projection import projection
from equipoise.encoders.parts.text import text_lengths


class TextCNN(nn.Module):
    """Kim's CNN-rand: one channel of learned word vectors, each filter's maximum over the text,
    dropout.

    Windows lie inside the text; one longer than the text sees zeros behind it. So padding changes
    nothing. The constraint on the norm of the classifier's rows (section 2.1) is left out: the
    classifier is the head's.

    Args:
        shape: (length,) of a text.
        vocabulary: number of token ids.
        width: of the feature; null for the filters' own number (300), else a linear layer follows.
        embedding: width of a word vector.
        windows: in words, one per group of filters (section 3.1).
        filters: of each group.
        dropout: before the linear layer, or before the head if there is none.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        vocabulary: int | None = None,
        width: int | None = None,
        embedding: int = 300,
        windows: Sequence[int] = (3, 4, 5),
        filters: int = 100,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        count = check_vocabulary("TextCNN", vocabulary)
        check_shape("TextCNN", shape, len(shape) == 1, "(length,)")
        require(
            "TextCNN",
            whole("embedding", embedding, 1),
            whole("filters", filters, 1),
            whole_list("windows", windows),
            inside("dropout", dropout, "[0, 1)"),
        )
        own = len(windows) * filters
        self.embedding = nn.Embedding(count, embedding)
        nn.init.uniform_(
            self.embedding.weight, -0.25, 0.25
        )  # as the unknown words of section 3.3 and Kim's code
        self.convolutions = nn.ModuleList(nn.Conv1d(embedding, filters, size) for size in windows)
        self.dropout = nn.Dropout(dropout)
        self.projection = projection("TextCNN", own, width)
        self.width = own if width is None else width

    def forward(self, inputs: Tensor) -> Tensor:
        """Token ids int64 (B, L) → (B, width)."""
        lengths = text_lengths(inputs).unsqueeze(1)
        words = self.embedding(inputs) * (inputs != 0).unsqueeze(-1)
        words = words.transpose(1, 2)
        pooled = [
            self._strongest(cast(nn.Conv1d, module), words, lengths) for module in self.convolutions
        ]
        feature: Tensor = self.projection(self.dropout(torch.cat(pooled, dim=1)))
        return feature

    @staticmethod
    def _strongest(convolution: nn.Conv1d, words: Tensor, lengths: Tensor) -> Tensor:
        """Maximum over the windows inside the text: words (B, embedding, L), lengths (B, 1) → (B, filters)."""
        (size,) = convolution.kernel_size
        maps = F.relu(convolution(F.pad(words, (0, size - 1))))
        last = (lengths - size).clamp(min=0)
        outside = torch.arange(maps.shape[-1], device=words.device) > last
        return maps.masked_fill(outside.unsqueeze(1), 0.0).amax(-1)  # no map lies below 0
