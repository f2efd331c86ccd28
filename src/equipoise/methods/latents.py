"""CPM-Net's memory: a latent vector for every training sample, moved by Adam, and the class means of them all."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from equipoise.training.context import Context

BETAS, EPSILON = (0.9, 0.999), 1e-8


class Latents(nn.Module):
    """Latents h (N, K) and the state of their Adam, keyed by the row of the training table, alike on every rank.

    Args:
        labels: int64 (N,), the class of each row.
        classes: number of classes C.
        like: a tensor of the dtype and on the device to use.
        width: K.
    """

    latent: Tensor
    first: Tensor
    second: Tensor
    moves: Tensor
    label: Tensor

    def __init__(self, labels: Tensor, classes: int, like: Tensor, width: int) -> None:
        super().__init__()
        for name in ("latent", "first", "second"):
            self.register_buffer(name, like.new_zeros(len(labels), width))
        self.register_buffer("moves", like.new_zeros(len(labels), 1))
        self.register_buffer("label", labels.to(like.device))
        self.classes = classes

    def draw(self, generator: torch.Generator) -> None:
        """Start anew, Xavier-uniform."""
        bound = math.sqrt(6 / sum(self.latent.shape))
        drawn = torch.rand(self.latent.shape, generator=generator, dtype=torch.float64)
        self.latent.copy_((2 * drawn - 1) * bound)
        for buffer in (self.first, self.second, self.moves):
            buffer.zero_()

    def sums(self) -> tuple[Tensor, Tensor]:
        """Sum (C, K) of the latents of each class, and how many it has (C,)."""
        total = self.latent.new_zeros(self.classes, self.latent.shape[1]).index_add(0, self.label, self.latent)
        return total, torch.bincount(self.label, minlength=self.classes).to(total.dtype)

    def move(self, rows: Tensor, gradient: Tensor, rate: float, ctx: Context) -> None:
        """One step of Adam for these rows (B,) along gradients (B, K); every rank learns of all of them."""
        whole, slope = ctx.gather(rows), ctx.gather(gradient)
        moves = self.moves[whole] + 1
        first = BETAS[0] * self.first[whole] + (1 - BETAS[0]) * slope
        second = BETAS[1] * self.second[whole] + (1 - BETAS[1]) * slope.square()
        step = first / (1 - BETAS[0] ** moves) / ((second / (1 - BETAS[1] ** moves)).sqrt() + EPSILON)
        changed = (self.latent[whole] - rate * step, first, second, moves)
        for buffer, values in zip((self.latent, self.first, self.second, self.moves), changed, strict=True):
            buffer.index_copy_(0, whole, values)
