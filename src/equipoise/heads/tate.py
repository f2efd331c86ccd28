"""TATE's head: a transformer encoder over one token per modality, each with a tag that says what is missing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor, nn

from equipoise.checks import inside, require, whole
from equipoise.heads.parts.joint import JointHead

PUBLISHED_WIDTH = 300


class Reading(NamedTuple):
    """What the head makes of features; W is the token's width with its tag."""

    tagged: Tensor  # (B, M, W), what the transformer encoder reads
    encoded: Tensor  # (B, M, W)
    pooled: Tensor  # (B, W)
    logits: Tensor  # (B, C)


def missing_tag(present: Mapping[str, Tensor]) -> Tensor:
    """The tag bool (B, M + 1): nothing is missing, then for each modality in alphabetical order that it is."""
    missing = torch.stack([~present[m] for m in sorted(present)], 1)
    return torch.cat([~missing.any(1, keepdim=True), missing], 1)


class GatedPool(nn.Module):
    """Σ_t softmax_t(w · (U h_t ⊙ σ(G h_t))) h_t over tokens (B, T, W)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.unit = nn.Linear(width, width, bias=False)
        self.gate = nn.Linear(width, width, bias=False)
        self.score = nn.Linear(width, 1, bias=False)

    def weights(self, tokens: Tensor) -> Tensor:
        """(B, T, 1), of sum 1 over the tokens."""
        score: Tensor = self.score(self.unit(tokens) * self.gate(tokens).sigmoid())
        return score.softmax(1)

    def forward(self, tokens: Tensor) -> Tensor:
        return (self.weights(tokens) * tokens).sum(1)


class TATE(JointHead):
    """Token C_i = [H_i W_ij for every other modality j], with one W_ij for both of a pair, and the
    tag behind it.

    H_m is one transformer layer on the projected feature, zero where absent. A transformer encoder
    layer reads the tagged tokens, gated attention pools them, two linear layers classify (the
    pooled vector over the root of its
    width: its entries have variance one, and SGD diverges on a sum of so many). `decoder` serves
        training only.
    Modalities go in alphabetical order.

    Args:
        width: of H_m. None for the published 300, or for the widest feature's where all are
            narrower, rounded up to a multiple of the heads. The pair projections have width/(M −
            1), rounded down.
        heads: attention heads; the tag is padded with zeros to a multiple of them.
        dropout: of the transformer layers; 0.2 as published.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        classes: int,
        width: int | None = None,
        heads: int = 4,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(widths, classes)
        require("TATE", whole("heads", heads, 1), inside("dropout", dropout, "[0, 1)"))
        others = len(widths) - 1
        if width is None:
            width = max(min(PUBLISHED_WIDTH, max(widths.values())), others)
            width += -width % heads
        require("TATE", whole("width", width, 1))
        fits = width % heads == 0 and width >= others
        require(
            "TATE", ("width", fits, f"a multiple of {heads} heads, and at least {others}", width)
        )
        self.width = width
        for modality, features in widths.items():
            self.blocks[modality] = nn.ModuleDict(
                {
                    "project": nn.Linear(features, width, bias=False),
                    "layer": _layer(width, heads, dropout),
                }
            )
        self.names = sorted(widths)
        self.pairs = nn.ModuleDict(
            {
                _pair(a, b): nn.Linear(width, width // others, bias=False)
                for a, b in combinations(self.names, 2)
            }
        )
        token = width // others * others if others else width
        self.padding = -(token + len(widths) + 1) % heads
        tagged = token + len(widths) + 1 + self.padding
        self.encoder = _layer(tagged, heads, dropout)
        self.decoder = _layer(tagged, heads, dropout)
        self.pool = GatedPool(tagged)
        self.classifier = nn.Sequential(
            nn.Linear(tagged, width, bias=False), nn.Linear(width, classes)
        )

    def reading_layer(self, modality: str) -> nn.Linear:
        projection: nn.Linear = self.blocks[modality]["project"]  # type: ignore[index]
        return projection

    def hidden(
        self, features: Mapping[str, Tensor], present: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """{modality: H_m (B, width)}, zeros where absent."""
        rows = len(next(iter(present.values())))
        like = next(iter(features.values()), self.pool.score.weight)
        found = dict.fromkeys(self.names, like.new_zeros(rows, self.width))
        for m, z in features.items():
            block = self.blocks[m]
            projected = block["project"](z).unsqueeze(1)  # type: ignore[index]
            found[m] = block["layer"](projected).squeeze(1) * present[m].unsqueeze(1)  # type: ignore[index]
        return found

    def tokens(self, hidden: Mapping[str, Tensor]) -> Tensor:
        """C (B, M, token width)."""
        if len(self.names) == 1:
            return hidden[self.names[0]].unsqueeze(1)
        rows = [
            torch.cat(
                [self.pairs[_pair(*sorted((m, n)))](hidden[m]) for n in self.names if n != m], 1
            )
            for m in self.names
        ]
        return torch.stack(rows, 1)

    def interpret(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Reading:
        """All stages from features {modality: (B, d_m)} to logits."""
        tokens = self.tokens(self.hidden(features, present))
        tag = missing_tag(present).to(tokens.dtype)
        tag = torch.cat([tag, tag.new_zeros(len(tag), self.padding)], 1)
        tagged = torch.cat([tokens, tag.unsqueeze(1).expand(-1, len(self.names), -1)], 2)
        encoded = self.encoder(tagged)
        pooled = self.pool(encoded)
        return Reading(
            tagged, encoded, pooled, self.classifier(pooled / math.sqrt(pooled.shape[1]))
        )

    def tag_error(self, pooled: Tensor, tag: Tensor) -> Tensor:
        """(B,): mean absolute error of the tag (B, M + 1) as the pooled vector (B, W) tells it, through a sigmoid."""
        end = pooled.shape[1] - self.padding
        told = pooled[:, end - tag.shape[1] : end].sigmoid()
        return (told - tag.to(told.dtype)).abs().mean(1)

    def read(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        return self.interpret(features, present).logits


def _layer(width: int, heads: int, dropout: float) -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(width, heads, 4 * width, dropout, batch_first=True)


def _pair(first: str, second: str) -> str:
    return f"{first}|{second}"  # no modality has a bar in its name
