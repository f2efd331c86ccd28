"""Attention: self-attention over one token per modality.

The common transformer fusion (Vaswani et al. Attention Is All You Need. NeurIPS 2017): each
modality's feature becomes a token, the tokens attend to each other, and one vector is classified.

    t_m = z_m P_mᵀ + p_m        [r; t'_1; …] = Transformer([cls; t_1; …; t_M])        f = r W_oᵀ + b_o

The bias p_m tells the modalities apart, so there are no positions and the order of the modalities
does not matter. Nothing attends to the token of an absent modality. One modality alone is what the
head says to its token only.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from equipoise.checks import choice, inside, require, whole
from equipoise.heads.parts.joint import JointHead


class Attention(JointHead):
    """A token per modality, pre-norm transformer layers with a mask over absent ones, and a linear
    classifier.

    Args:
        width: of the tokens; a multiple of `heads`.
        layers: number of transformer layers, each with a feed-forward layer of four times the
            width.
        heads: of the attention.
        read_out: "cls" for an extra learned token, "mean" for the mean of the present modalities'
            tokens.
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
            whole("width", width, 1),
            whole("layers", layers, 1),
            whole("heads", heads, 1),
            choice("read_out", read_out, ("cls", "mean")),
            inside("dropout", dropout, "[0, 1)"),
        )
        require(
            "Attention", ("width", width % heads == 0, f"a multiple of the {heads} heads", width)
        )
        for modality, size in widths.items():
            self.blocks[modality] = nn.Linear(size, width)
        if read_out == "mean":
            self.fused_only = (
                "queries and keys"  # a single token has all the attention, whatever they say
            )
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
            tokens = torch.cat(
                [self.cls.to(tokens.dtype).expand(len(tokens), 1, -1), tokens], dim=1
            )
            shown = torch.cat([torch.ones_like(shown[:, :1]), shown], dim=1)
        hidden = ~shown & shown.any(1, keepdim=True)  # attention over nothing would be 0/0
        for layer in self.layers:
            tokens = layer(tokens, src_key_padding_mask=hidden)
        tokens = self.norm(tokens)
        logits: Tensor = self.classifier(
            tokens[:, 0] if self.cls is not None else _mean(tokens, shown)
        )
        return logits


def _mean(tokens: Tensor, shown: Tensor) -> Tensor:
    """Mean over the shown tokens (B, K, d) → (B, d); zeros without any."""
    there = shown.unsqueeze(-1).to(tokens.dtype)
    return (tokens * there).sum(1) / there.sum(1).clamp_min(1)
