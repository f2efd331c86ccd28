r"""Late fusion: independent networks, one per modality, that meet at prediction only.

Gunes, Piccardi. Affect recognition from face and body: early fusion vs. late fusion. IEEE SMC 2005,
pp. 3437-3443 (the reference of the MLA paper, which uses it as a baseline).

Idea:
    Each modality trains its own encoder and classifier. There is no loss on the fused prediction:
    with one it would be the baseline Sum. The setting `optimiser.clip` bounds the gradient of each
    modality by itself, since one norm over all would couple them.

    Three decisions still depend on all modalities: the best epoch and `patience`, as the metric is
    that of the fused prediction, and the schedule `plateau`, as the training loss is the sum.
    Trainings that share nothing at all are runs of `unimodal` with a `modality` each.

Equations:
    $$L = \sum_m \mathrm{CE}(v_m, y) \qquad v_m = z_m W_m^\top + b_m$$

    The head decides how the predictions meet. Head `late` averages probabilities (Gunes and
    Piccardi's sum rule, of posteriors). The method `late-sum` is the same training under head
    `sum`, which adds the logits. The MLA paper does not say what its baseline averages.

Where published code departs:
    the MLA paper's code adds weighted logits           head options `fusion: mean`, `fusion: fixed`
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.errors import ConfigError
from equipoise.methods.parts.auxiliary import require_fused_classifiers
from equipoise.methods.parts.losses import unimodal_loss
from equipoise.training.context import Context
from equipoise.training.method import Method


def update_apart(modalities: Sequence[str], ctx: Context) -> None:
    """Move each modality by itself, or all together where the head has shared parameters.

    A single update would couple modalities that nothing else couples: `optimiser.clip` would bound
    one norm over all of them.
    """
    if ctx.model.shared:
        ctx.update(modalities)
        return
    for modality in modalities:
        ctx.update((modality,))


class Late(Method):
    """The sum of the modalities' own losses."""

    def setup(self, ctx: Context) -> None:
        """Check that nothing couples the modalities.

        Raises:
            ConfigError: the head has parameters that serve several modalities, or that no loss of
                a modality trains.
        """
        if ctx.model.shared:
            raise ConfigError(
                "independent training needs a head without shared parameters, and "
                f"{type(ctx.model.head).__name__} has some; use head 'late' or 'per-modality'"
            )
        require_fused_classifiers("independent training", ctx.model.head, "late")

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        return torch.stack([unimodal_loss(m, output, batch, ctx) for m in ctx.training]).sum()

    def step(self, batch: Batch, ctx: Context) -> None:
        """Run the modalities that train, and no other, and move each by itself."""
        output = ctx.model(batch, only=ctx.training)
        ctx.backward(self.loss(output, batch, ctx))
        update_apart(ctx.training, ctx)
