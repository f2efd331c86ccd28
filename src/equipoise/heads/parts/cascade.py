"""The cascade of residual autoencoders that CRA, MMIN and IF-MMIN share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from equipoise.checks import choice, require, whole, whole_list
from equipoise.heads.parts.feedforward import feedforward, xavier

FORMS = ("residual", "current", "legacy")


class Autoencoder(nn.Module):
    """Code and correction of a vector; LeakyReLU on the way in, ReLU on the way out, none at either
    end.

    Args:
        width: D of the vectors.
        layers: widths down to the code's.
    """

    def __init__(self, width: int, layers: Sequence[int]) -> None:
        super().__init__()
        sizes = [width, *layers]
        self.encoder = feedforward(sizes, nn.LeakyReLU)
        self.decoder = feedforward(sizes[::-1])
        xavier(
            self.encoder
        )  # not the decoder: corrections that start small keep a long cascade from growing

    @property
    def last(self) -> nn.Linear:
        """The layer whose output is the correction."""
        layer = self.decoder[-1]
        assert isinstance(layer, nn.Linear)
        return layer

    def forward(self, vector: Tensor) -> tuple[Tensor, Tensor]:
        code = self.encoder(vector)
        return code, self.decoder(code)


class Cascade(nn.Module):
    """Blocks that each correct what the last left wrong: x_{k+1} = x_k + g_k(x_k).

    With an invariant vector I (IF-MMIN) and Δ_k the correction of block k, block k reads
      residual:  x_k = x_{k−1} + Δ_{k−1} + I, Δ_0 = 0, and the result is x_B + Δ_B
      current:   x_k = Δ_{k−1} + I, Δ_0 = x, and the result is Δ_B
      legacy:    x_k = x + k I, and the result is x + B I + Δ_B
    "residual" without I is the recursion of CRA and MMIN.

    Args:
        owner: who asks, for error messages.
        width: D of the vectors.
        blocks: number B of autoencoders.
        layers: widths of each block down to its code.
        form: "residual", "current" or "legacy".
    """

    def __init__(
        self, owner: str, width: int, blocks: int, layers: Sequence[int], form: str = "residual"
    ) -> None:
        super().__init__()
        require(
            owner,
            whole_list("layers", layers),
            whole("blocks", blocks, 1),
            choice("cascade", form, FORMS),
        )
        self.form = form
        self.blocks = nn.ModuleList(Autoencoder(width, layers) for _ in range(blocks))

    def forward(self, vector: Tensor, invariant: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The corrected vector (B, D) and the codes of all blocks side by side."""
        nothing = torch.zeros_like(vector)
        base, change = (nothing, vector) if self.form == "current" else (vector, nothing)
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
