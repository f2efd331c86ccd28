r"""TATE's head: a transformer encoder over one token per modality, tagged with what is missing.

Zeng, Liu, Zhou. Tag-assisted Multimodal Sentiment Analysis under Uncertain Missing Modalities.
SIGIR 2022.

$$H_m = \mathrm{Layer}_m(z_m P_m^\top) \qquad C_i = [H_i W_{ij}]_{j \ne i} \qquad
\mathrm{tagged}_i = [C_i; \mathrm{tag}]$$

$$\mathrm{encoded} = \mathrm{Encoder}(\mathrm{tagged}) \qquad
\mathrm{pooled} = \mathrm{GatedPool}(\mathrm{encoded}) \qquad
f = \mathrm{pooled} / \sqrt{W} \; A^\top B^\top + b$$

$H_m$ is zero where modality $m$ is absent, and a pair of modalities has one $W_{ij} = W_{ji}$. The
pooled vector of width $W$ is divided by $\sqrt{W}$ since its entries have variance one, and SGD
diverges on a sum of so many. The modalities are in alphabetical order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from equipoise.checks import inside, integer, require
from equipoise.heads.parts.joint import JointHead

PUBLISHED_WIDTH = 300


class Interpretation(NamedTuple):
    """All stages from features to logits; W is the width of a token with its tag."""

    tagged: Tensor  # (B, M, W), the input of the transformer encoder
    encoded: Tensor  # (B, M, W)
    pooled: Tensor  # (B, W)
    logits: Tensor  # (B, C)


def missing_tag(present: Mapping[str, Tensor]) -> Tensor:
    """The tag bool (B, M + 1).

    Its first entry is True if nothing is missing. Then there is an entry for each modality, in
    alphabetical order, that is True if the modality is missing.
    """
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
        """Weights (B, T, 1) of the tokens, whose sum is 1."""
        score: Tensor = self.score(self.unit(tokens) * self.gate(tokens).sigmoid())
        return score.softmax(1)

    def forward(self, tokens: Tensor) -> Tensor:
        return (self.weights(tokens) * tokens).sum(1)


class TATE(JointHead):
    """A transformer encoder over tagged tokens, gated pooling, and two linear layers.

    `decoder` restores the tagged tokens, in training only.

    Args:
        width: of H_m. "auto" for the published 300, or for the width of the widest features where
            all are narrower, rounded up to a multiple of the heads. The pair projections have
            width/(M − 1), rounded down.
        heads: number of attention heads; the tag is padded with zeros to a multiple of them.
        dropout: of the transformer layers; 0.2 as published.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        classes: int,
        width: int | Literal["auto"] = "auto",
        heads: int = 4,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(widths, classes)
        require("TATE", integer("heads", heads, 1), inside("dropout", dropout, "[0, 1)"))
        others = len(widths) - 1
        least = max(min(PUBLISHED_WIDTH, max(widths.values())), others)
        hidden = least + -least % heads if width == "auto" else width
        require("TATE", integer("width", hidden, 1))
        fits = hidden % heads == 0 and hidden >= others
        require(
            "TATE", ("width", fits, f"a multiple of {heads} heads, and at least {others}", hidden)
        )
        self.width = hidden
        for modality, features in widths.items():
            self.blocks[modality] = nn.ModuleDict(
                {
                    "project": nn.Linear(features, hidden, bias=False),
                    "layer": _layer(hidden, heads, dropout),
                }
            )
        self.names = sorted(widths)
        self.pairs = nn.ModuleDict(
            {
                _pair(a, b): nn.Linear(hidden, hidden // others, bias=False)
                for a, b in combinations(self.names, 2)
            }
        )
        token = hidden // others * others if others else hidden
        self.padding = -(token + len(widths) + 1) % heads
        tagged = token + len(widths) + 1 + self.padding
        self.encoder = _layer(tagged, heads, dropout)
        self.decoder = _layer(tagged, heads, dropout)
        self.pool = GatedPool(tagged)
        self.classifier = nn.Sequential(
            nn.Linear(tagged, hidden, bias=False), nn.Linear(hidden, classes)
        )

    def reading_layer(self, modality: str) -> nn.Linear:
        projection: nn.Linear = self.blocks[modality]["project"]  # type: ignore[index]
        return projection

    def hidden(
        self, features: Mapping[str, Tensor], present: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Hidden features {modality: H_m (B, width)}, zeros where absent."""
        rows = len(next(iter(present.values())))
        like = next(iter(features.values()), self.pool.score.weight)
        found = dict.fromkeys(self.names, like.new_zeros(rows, self.width))
        for m, z in features.items():
            block = self.blocks[m]
            projected = block["project"](z).unsqueeze(1)  # type: ignore[index]
            found[m] = block["layer"](projected).squeeze(1) * present[m].unsqueeze(1)  # type: ignore[index]
        return found

    def tokens(self, hidden: Mapping[str, Tensor]) -> Tensor:
        """Tokens C (B, M, token width) without their tag."""
        if len(self.names) == 1:
            return hidden[self.names[0]].unsqueeze(1)
        tokens = []
        for m in self.names:
            others = [self.pairs[_pair(*sorted((m, n)))] for n in self.names if n != m]
            tokens.append(torch.cat([project(hidden[m]) for project in others], 1))
        return torch.stack(tokens, 1)

    def interpret(
        self, features: Mapping[str, Tensor], present: Mapping[str, Tensor]
    ) -> Interpretation:
        """All stages from features to logits.

        Args:
            features: {modality: (B, d_m)} of the modalities with at least one present row.
            present: {modality: bool (B,)} of every modality.
        """
        tokens = self.tokens(self.hidden(features, present))
        tag = missing_tag(present).to(tokens.dtype)
        tag = torch.cat([tag, tag.new_zeros(len(tag), self.padding)], 1)
        tagged = torch.cat([tokens, tag.unsqueeze(1).expand(-1, len(self.names), -1)], 2)
        encoded = self.encoder(tagged)
        pooled = self.pool(encoded)
        logits = self.classifier(pooled / math.sqrt(pooled.shape[1]))
        return Interpretation(tagged, encoded, pooled, logits)

    def tag_error(self, pooled: Tensor, tag: Tensor) -> Tensor:
        """Mean absolute error (B,) between the tag and the pooled vector's entries in its place.

        Args:
            pooled: (B, W); its entries pass a sigmoid.
            tag: bool (B, M + 1).
        """
        end = pooled.shape[1] - self.padding
        predicted = pooled[:, end - tag.shape[1] : end].sigmoid()
        return (predicted - tag.to(predicted.dtype)).abs().mean(1)

    def read(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        return self.interpret(features, present).logits


def _layer(width: int, heads: int, dropout: float) -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(width, heads, 4 * width, dropout, batch_first=True)


def _pair(first: str, second: str) -> str:
    """Name of the projection of a pair; no modality has a bar in its name."""
    return f"{first}|{second}"
