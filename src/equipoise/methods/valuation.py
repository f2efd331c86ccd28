"""Joint training on a table to which samples are added, chosen by what each modality is worth on them (SMV)."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from equipoise.checks import require, whole
from equipoise.data.loader import Loader
from equipoise.methods.joint import Joint
from equipoise.methods.shapley import valuation
from equipoise.methods.short_run import warn_of_a_short_run
from equipoise.methods.table_values import table_values

if TYPE_CHECKING:
    from equipoise.training.context import Context


class Valuation(Joint):
    """What both levels of SMV share: a warm-up, then values from the model as it is, before every epoch.

    Args:
        name: of the method.
        warm_up: epochs on the plain table.

    Attributes:
        idle: True where the options add nothing.
    """

    idle = False

    def __init__(self, name: str, warm_up: int) -> None:
        super().__init__()
        require(type(self).__name__, whole("warm_up", warm_up, 0))
        self.name = name
        self.warm_up = warm_up

    def setup(self, ctx: Context) -> None:
        """Warn where the training ends within the warm-up."""
        if not self.idle:
            warn_of_a_short_run(self.name, self.warm_up, "warm_up", ctx)

    def on_epoch_start(self, ctx: Context) -> None:
        if self.idle or ctx.epoch < self.warm_up:
            return
        rows, kept = self.added(ctx)
        count = len(ctx.train.table)
        shown = {
            m: torch.cat([torch.ones(count, dtype=torch.bool), kept == k]) for k, m in enumerate(ctx.model.modalities)
        }
        ctx.resample(torch.cat([torch.arange(count), rows]), shown)

    @abstractmethod
    def added(self, ctx: Context) -> tuple[Tensor, Tensor]:
        """Rows (K,) of the training table to add, and the number (K,) of the one modality each keeps."""

    def values(self, loader: Loader, ctx: Context) -> tuple[Tensor, Tensor]:
        """φ (N, M) of a table, and bool (N, M), which cells it has; on the CPU."""
        found = table_values(ctx, loader, lambda output, batch: valuation(ctx.model, output, batch)).cpu()
        present = [torch.from_numpy(loader.table.present[m]) for m in ctx.model.modalities]
        return found, torch.stack(present, 1)
