"""Convolutions over words.

Kim. Convolutional Neural Networks for Sentence Classification. EMNLP 2014.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equipoise.checks import inside, integer, integer_list, require
from equipoise.encoders.parts.checks import check_shape, check_vocabulary
from equipoise.encoders.parts.projection import projection
from equipoise.encoders.parts.text import text_lengths


class TextCNN(nn.Module):
    """Kim's CNN-rand: learned word vectors, the maximum of each filter over the text, dropout.

    A window lies inside the text; one that is longer than the text sees zeros behind it. The
    padding of a text therefore does not change its feature. The paper's constraint on the norm of
    the classifier's rows (section 2.1) is left out, because the classifier belongs to the head.

    Args:
        shape: (length,) of a text.
        vocabulary: number of token ids.
        width: of the feature, reached by a linear layer; null for the number of filters (300 at
            the defaults).
        embedding: width of a word vector.
        windows: words in the window of each group of filters (section 3.1).
        filters: number of filters in each group.
        dropout: probability of dropout on the maxima of the filters.

    Raises:
        ConfigError: a bad option or shape, or a modality that is not text.
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
            integer("embedding", embedding, 1),
            integer("filters", filters, 1),
            integer_list("windows", windows),
            inside("dropout", dropout, "[0, 1)"),
        )
        own = len(windows) * filters
        self.embedding = nn.Embedding(count, embedding)
        # The range of unknown words in section 3.3 and in Kim's code.
        nn.init.uniform_(self.embedding.weight, -0.25, 0.25)
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
        """Take a filter's maximum over the windows inside the text.

        Args:
            convolution: the filters of one group.
            words: (B, embedding, L).
            lengths: (B, 1).

        Returns:
            (B, filters).
        """
        (size,) = convolution.kernel_size
        maps = F.relu(convolution(F.pad(words, (0, size - 1))))
        last = (lengths - size).clamp(min=0)
        outside = torch.arange(maps.shape[-1], device=words.device) > last
        # A map is never negative after the ReLU, so 0 never wins against a window inside the text.
        return maps.masked_fill(outside.unsqueeze(1), 0.0).amax(-1)
