"""Mixup of one modality (Zhang et al. 2018): inputs blended with those of another sample of the batch."""

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
    """A batch whose inputs are share · own + (1 − share) · partner's."""

    batch: Batch
    partner_label: Tensor  # int64 (B,)
    share: Tensor  # (B,); 1 where sample or partner lacks the modality

    def loss(self, modality: str, output: Output, ctx: Context) -> Tensor:
        """The two labels' cross-entropies in the same shares, averaged over the samples of all ranks that have it."""
        logits = output.logits[modality]
        own = cross_entropy(logits, self.batch.label)
        partner = cross_entropy(logits, self.partner_label)
        return ctx.sample_mean(
            self.share * own + (1 - self.share) * partner, self.batch.present[modality]
        )


def mixup(modality: str, batch: Batch, strength: float, ctx: Context) -> Blend:
    """Blend one modality of a batch; partners come from the whole batch of all ranks.

    Only floating-point inputs are blended. Without any (token ids, say) the batch stays as it is,
    labels included.

    Args:
        modality: the one to blend.
        batch: this rank's samples.
        strength: a of Beta(a, a), from which one share is drawn per batch; 0 leaves the batch
            alone.
        ctx: draws, and gathers the partners.
    """
    ones = torch.ones(len(batch), device=batch.label.device)
    if strength == 0 or not any(x.is_floating_point() for x in _tensors(batch.inputs[modality])):
        return Blend(batch, batch.label, ones)
    drawn = int(torch.randint(2**31, (), generator=ctx.rng))
    share = float(np.random.default_rng(drawn).beta(strength, strength))
    owner = ctx.gather(torch.full_like(batch.label, ctx.runtime.rank))
    order = torch.randperm(len(owner), generator=ctx.rng).to(owner.device)
    partner = order[owner == ctx.runtime.rank]
    both = (
        batch.present[modality]
        & ctx.gather(batch.present[modality].to(torch.uint8))[partner].bool()
    )
    shares = torch.where(both, share, ones)

    def blend(x: Tensor) -> Tensor:
        if not x.is_floating_point():
            return x
        weight = shares.to(x.dtype).view(-1, *(1,) * (x.dim() - 1))
        return weight * x + (1 - weight) * ctx.gather(x)[partner]

    inputs = {**batch.inputs, modality: map_input(batch.inputs[modality], blend)}
    return Blend(replace(batch, inputs=inputs), ctx.gather(batch.label)[partner], shares)


def _tensors(value: Input) -> Iterable[Tensor]:
    return value.values() if isinstance(value, Mapping) else [value]
