"""Late fusion: independent networks, one per modality, that meet at prediction only.

Gunes, Piccardi. Affect recognition from face and body: early fusion vs. late fusion. IEEE SMC 2005,
pp. 3437-3443 (the reference of the MLA paper, which uses it as a baseline).

L = Σ_m CE(v_m, y), v_m = z_m W_mᵀ + b_m. There is no loss on the fused prediction: with one it
would be the Sum baseline. The setting `optimiser.clip` bounds each modality's gradient by itself:
one norm over all would couple them. What validation decides still looks at all of them, as its
metric is the fused prediction's: the best epoch, `patience`, and the schedule `plateau`. Trainings
that are wholly apart are runs of `unimodal` with a `modality` each.

How the predictions meet is the head's affair. Head `late` averages probabilities (Gunes and
Piccardi's sum rule, of posteriors); the MLA paper does not say what its baseline averages, and its
code adds weighted logits, which are the head's options `fusion: mean` and `fusion: fixed`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.errors import ConfigError
from equipoise.methods.parts.losses import unimodal_loss
from equipoise.training.context import Context
from equipoise.training.method import Method


def update_apart(modalities: Sequence[str], ctx: Context) -> None:
    """Move modalities that nothing couples each by itself, so that `optimiser.clip` does not; together if some do."""
    for moving in [modalities] if ctx.model.shared else [(m,) for m in modalities]:
        ctx.update(moving)


class Late(Method):
    """The sum of the modalities' own losses."""

    def setup(self, ctx: Context) -> None:
        """Check that nothing couples the modalities.

        Raises:
            ConfigError: the head has parameters that serve several modalities.
        """
        if ctx.model.shared:
            raise ConfigError(
                f"independent training needs a head without shared parameters, and {type(ctx.model.head).__name__} "
                "has some; use head 'late' or 'per-modality'"
            )

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        return torch.stack([unimodal_loss(m, output, batch, ctx) for m in ctx.training]).sum()

    def step(self, batch: Batch, ctx: Context) -> None:
        """As every method's, except that each modality moves by itself, and those that do not train are not run."""
        output = ctx.model(batch, only=ctx.training)
        ctx.backward(self.loss(output, batch, ctx))
        update_apart(ctx.training, ctx)
