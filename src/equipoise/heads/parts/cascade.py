"""Cascade of residual autoencoders, for the heads of CRA, MMIN and IF-MMIN.

Tran, Liu, Zhou, Jin. Missing Modalities Imputation via Cascaded Residual Autoencoder. CVPR 2017.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from equipoise.checks import choice, integer, integer_list, require
from equipoise.heads.parts.feedforward import feedforward, xavier

FORMS = ("residual", "current", "legacy")


class Autoencoder(nn.Module):
    """Autoencoder of a vector, whose output is a correction of the vector.

    There is a LeakyReLU between the layers of the encoder, a ReLU between those of the decoder, and
    no activation on the code or on the correction.

    Args:
        width: D of the vectors.
        layers: widths of the encoder, the last one that of the code.
    """

    def __init__(self, width: int, layers: Sequence[int]) -> None:
        super().__init__()
        sizes = [width, *layers]
        self.encoder = feedforward(sizes, nn.LeakyReLU)
        self.decoder = feedforward(sizes[::-1])
        # Not the decoder: corrections that start small keep the values of a long cascade small.
        xavier(self.encoder)

    @property
    def last(self) -> nn.Linear:
        """Layer whose output is the correction."""
        layer = self.decoder[-1]
        assert isinstance(layer, nn.Linear)
        return layer

    def forward(self, vector: Tensor) -> tuple[Tensor, Tensor]:
        code = self.encoder(vector)
        return code, self.decoder(code)


class Cascade(nn.Module):
    """Blocks of which each corrects the result of the blocks before it: x_{k+1} = x_k + g_k(x_k).

    IF-MMIN adds an invariant vector I. With the correction Δ_k of block k, block k then reads
      residual:  x_k = x_{k−1} + Δ_{k−1} + I, Δ_0 = 0, and the result is x_B + Δ_B
      current:   x_k = Δ_{k−1} + I, Δ_0 = x, and the result is Δ_B
      legacy:    x_k = x + k I, and the result is x + B I + Δ_B
    "residual" without I is the recursion of CRA and MMIN.

    Args:
        owner: name of the head, for error messages.
        width: D of the vectors.
        blocks: number B of autoencoders.
        layers: widths of the encoder of each block, the last one that of its code.
        form: "residual", "current" or "legacy".

    Raises:
        ConfigError: an option out of its range.
    """

    def __init__(
        self, owner: str, width: int, blocks: int, layers: Sequence[int], form: str = "residual"
    ) -> None:
        super().__init__()
        require(
            owner,
            integer_list("layers", layers),
            integer("blocks", blocks, 1),
            choice("cascade", form, FORMS),
        )
        self.form = form
        self.blocks = nn.ModuleList(Autoencoder(width, layers) for _ in range(blocks))

    def forward(self, vector: Tensor, invariant: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Correct a vector.

        Args:
            vector: x (N, D).
            invariant: I (N, D), or None for none.

        Returns:
            The corrected vector (N, D), and the codes of all blocks side by side (N, B · K).
        """
        nothing = torch.zeros_like(vector)
        base = nothing if self.form == "current" else vector
        change = vector if self.form == "current" else nothing
        codes = []
        for block in self.blocks:
            seen = base if self.form == "legacy" else base + change
            seen = seen if invariant is None else seen + invariant
            code, change = block(seen)
            codes.append(code)
            if self.form != "current":
                base = seen
        return base + change, torch.cat(codes, 1)


def transition(width: int) -> nn.Sequential:
    """τ, the layers that close a cascade: Linear – ReLU – Linear, all D wide."""
    return feedforward([width, width, width])
