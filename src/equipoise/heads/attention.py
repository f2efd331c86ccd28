r"""Attention: self-attention over one token per modality.

The common transformer fusion (Vaswani et al. Attention Is All You Need. NeurIPS 2017): the feature
of each modality becomes a token, the tokens attend to each other, and one vector is classified.

$$t_m = z_m P_m^\top + p_m \qquad [r; t'_1; \dots] = \mathrm{Transformer}([\mathrm{cls}; t_1; \dots;
t_M]) \qquad f = r W_o^\top + b_o$$

The bias $p_m$ tells the modalities apart, so there are no positions and the order of the modalities
does not matter. Nothing attends to the token of an absent modality. The logits of one modality
alone are the output for its token only.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from equipoise.checks import choice, inside, integer, require
from equipoise.heads.parts.joint import JointHead


class Attention(JointHead):
    """Pre-norm transformer layers over one token per modality, and a linear classifier.

    Args:
        width: of the tokens; a multiple of `heads`.
        layers: number of transformer layers, each with a feed-forward layer of four times the
            width.
        heads: number of attention heads.
        read_out: vector that is classified: "cls" for an extra learned token, "mean" for the mean
            of the present modalities' tokens.
        dropout: in every layer.

    Raises:
        ConfigError: an option out of its range, or a width that the heads do not divide.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        classes: int,
        width: int = 128,
        layers: int = 1,
        heads: int = 4,
        read_out: str = "cls",
        dropout: float = 0.0,
    ) -> None:
        super().__init__(widths, classes)
        require(
            "Attention",
            integer("width", width, 1),
            integer("layers", layers, 1),
            integer("heads", heads, 1),
            choice("read_out", read_out, ("cls", "mean")),
            inside("dropout", dropout, "[0, 1)"),
        )
        require(
            "Attention", ("width", width % heads == 0, f"a multiple of the {heads} heads", width)
        )
        for modality, size in widths.items():
            self.blocks[modality] = nn.Linear(size, width)
        if read_out == "mean":
            # A single token has all the attention, so the logits of one modality alone do not
            # depend on queries and keys.
            self.fused_only = "queries and keys"
        self.cls = nn.Parameter(torch.randn(width) * 0.02) if read_out == "cls" else None
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, heads, 4 * width, dropout, batch_first=True, norm_first=True
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        self.classifier = nn.Linear(width, classes)

    def read(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        if not features:
            return self.classifier.bias.expand(len(next(iter(present.values()))), -1)
        shown = torch.stack([present[m] for m in features], dim=1)
        tokens = torch.stack([self.blocks[m](z) for m, z in features.items()], dim=1)
        if self.cls is not None:
            cls = self.cls.to(tokens.dtype).expand(len(tokens), 1, -1)
            tokens = torch.cat([cls, tokens], dim=1)
            shown = torch.cat([torch.ones_like(shown[:, :1]), shown], dim=1)
        # A row without any token hides none: attention over nothing would be 0/0.
        hidden = ~shown & shown.any(1, keepdim=True)
        for layer in self.layers:
            tokens = layer(tokens, src_key_padding_mask=hidden)
        tokens = self.norm(tokens)
        read_out = _mean(tokens, shown) if self.cls is None else tokens[:, 0]
        logits: Tensor = self.classifier(read_out)
        return logits


def _mean(tokens: Tensor, shown: Tensor) -> Tensor:
    """Mean (B, d) over the shown tokens (B, K, d); zeros in a row without any."""
    there = shown.unsqueeze(-1).to(tokens.dtype)
    return (tokens * there).sum(1) / there.sum(1).clamp_min(1)
