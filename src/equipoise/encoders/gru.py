"""A gated recurrent unit over the words of a text or the steps of a sequence.

Cho et al. Learning Phrase Representations using RNN Encoder–Decoder for Statistical Machine
Translation. EMNLP 2014.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from equipoise.batch import Input
from equipoise.checks import choice, flag, integer, is_integer, require
from equipoise.encoders.parts.checks import check_shape
from equipoise.encoders.parts.projection import projection
from equipoise.encoders.parts.series import series_lengths
from equipoise.encoders.parts.text import text_lengths

WORD_WIDTH = 300


class GRU(nn.Module):
    """One recurrent layer, read at its last step or averaged over all steps.

    The padding behind a text or a series is skipped, so its length does not change the feature.

    Args:
        shape: (length,) of a text, or (length, d) of a sequence of vectors.
        vocabulary: number of token ids of a text; null for vectors.
        width: of the feature, reached by a linear layer; null for the width of the recurrent layer
            (`hidden`, or twice that if bidirectional).
        hidden: width of the state in each direction.
        bidirectional: add a second unit that reads backwards.
        pooling: "last" for the state after the last step of each direction, "mean" for the mean
            over the steps.
        embedding: width of a word vector; "auto" for 300. Sequences of vectors have no words.

    Raises:
        ConfigError: a bad option, or a shape that is neither a text's nor a sequence's.
    """

    reads_mask = True

    def __init__(
        self,
        shape: tuple[int, ...],
        vocabulary: int | None = None,
        width: int | None = None,
        hidden: int = 128,
        bidirectional: bool = False,
        pooling: str = "last",
        embedding: int | str = "auto",
    ) -> None:
        super().__init__()
        text = vocabulary is not None
        check_shape(
            "GRU",
            shape,
            len(shape) == (1 if text else 2),
            "(length,) of a text" if text else "(length, d)",
        )
        words = WORD_WIDTH if embedding == "auto" else embedding
        require(
            "GRU",
            integer("hidden", hidden, 1),
            flag("bidirectional", bidirectional),
            choice("pooling", pooling, ("last", "mean")),
            ("embedding", is_integer(words, 1), "'auto' or an integer of at least 1", embedding),
            ("embedding", text or embedding == "auto", "'auto' for a sequence", embedding),
        )
        own = 2 * hidden if bidirectional else hidden
        self.pooling = pooling
        self.embedding = None if vocabulary is None else nn.Embedding(vocabulary, int(words))
        self.gru = nn.GRU(
            int(words) if text else shape[1], hidden, batch_first=True, bidirectional=bidirectional
        )
        self.projection = projection("GRU", own, width)
        self.width = own if width is None else width

    def forward(self, inputs: Input) -> Tensor:
        """Compute the feature, (B, width).

        Args:
            inputs: token ids int64 (B, L), vectors (B, L, d), or those and their mask as
                {"values": (B, L, d), "mask": bool (B, L)}.
        """
        feature: Tensor = self.projection(self._pooled(inputs))
        return feature

    def _pooled(self, inputs: Input) -> Tensor:
        if isinstance(inputs, Mapping):
            return self._read_packed(inputs["values"], series_lengths(inputs["mask"]))
        if self.embedding is not None:
            return self._read_packed(self.embedding(inputs), text_lengths(inputs))
        states, final = self.gru(inputs)
        return states.mean(1) if self.pooling == "mean" else _both(final)

    def _read_packed(self, steps: Tensor, lengths: Tensor) -> Tensor:
        """Read steps (B, L, d) up to the length of each sample, (B,)."""
        packed = pack_padded_sequence(steps, lengths.cpu(), batch_first=True, enforce_sorted=False)
        states, final = self.gru(packed)
        if self.pooling == "last":
            return _both(final)
        # Unpacking puts zeros behind the end of a sample, so they do not add to the sum.
        total = pad_packed_sequence(states, batch_first=True)[0].sum(1)
        return total / lengths.unsqueeze(1)


def _both(final: Tensor) -> Tensor:
    """Join the last states of all directions, (directions, B, d) → (B, directions · d)."""
    return torch.cat(list(final), dim=1)
