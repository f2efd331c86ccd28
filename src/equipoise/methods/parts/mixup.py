"""Mixup of one modality: inputs blended with those of another sample of the batch.

Zhang, Cisse, Dauphin, Lopez-Paz. mixup: Beyond Empirical Risk Minimization. ICLR 2018.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from equipoise.batch import Batch, Input, Output, map_input
from equipoise.methods.parts.losses import cross_entropy
from equipoise.training.context import Context


@dataclass(frozen=True)
class Blend:
    """A batch whose inputs are fraction · own + (1 − fraction) · partner's.

    Attributes:
        batch: the samples, blended.
        partner_label: int64 (B,).
        fraction: (B,); 1 where the sample or its partner lacks the modality.
    """

    batch: Batch
    partner_label: Tensor
    fraction: Tensor

    def loss(self, modality: str, output: Output, ctx: Context) -> Tensor:
        """Cross-entropies of the two labels, blended as the inputs are.

        Their mean is taken over the samples of all ranks that have the modality.
        """
        logits = output.logits[modality]
        own = cross_entropy(logits, self.batch.label)
        partner = cross_entropy(logits, self.partner_label)
        blended = self.fraction * own + (1 - self.fraction) * partner
        return ctx.sample_mean(blended, self.batch.present[modality])


def mixup(modality: str, batch: Batch, strength: float, ctx: Context) -> Blend:
    """Blend one modality of a batch; partners come from the batches of all ranks.

    Only floating-point inputs are blended. A modality without any, such as token ids, leaves the
    batch as it is, labels included.

    Args:
        modality: the one to blend.
        batch: this rank's samples.
        strength: a of Beta(a, a), from which one fraction is drawn per batch; 0 leaves the batch
            as it is.
        ctx: draws, and gathers the partners.
    """
    ones = torch.ones(len(batch), device=batch.label.device)
    if strength == 0 or not any(x.is_floating_point() for x in _tensors(batch.inputs[modality])):
        return Blend(batch, batch.label, ones)
    drawn = int(torch.randint(2**31, (), generator=ctx.rng))
    fraction = float(np.random.default_rng(drawn).beta(strength, strength))
    # The same permutation on every rank; each takes the partners of its own rows from it.
    owner = ctx.gather(torch.full_like(batch.label, ctx.runtime.rank))
    order = torch.randperm(len(owner), generator=ctx.rng).to(owner.device)
    partner = order[owner == ctx.runtime.rank]
    own = batch.present[modality]
    both = own & ctx.gather(own.to(torch.uint8))[partner].bool()
    fractions = torch.where(both, fraction, ones)

    def blend(x: Tensor) -> Tensor:
        if not x.is_floating_point():
            return x
        weight = fractions.to(x.dtype).view(-1, *(1,) * (x.dim() - 1))
        return weight * x + (1 - weight) * ctx.gather(x)[partner]

    inputs = {**batch.inputs, modality: map_input(batch.inputs[modality], blend)}
    return Blend(replace(batch, inputs=inputs), ctx.gather(batch.label)[partner], fractions)


def _tensors(value: Input) -> Iterable[Tensor]:
    return value.values() if isinstance(value, Mapping) else [value]
