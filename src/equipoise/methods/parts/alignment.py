"""Losses that draw the modalities of one sample together (LFM, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional as F

from equipoise.batch import Batch, Output
from equipoise.errors import ConfigError
from equipoise.training.context import Context

ALIGNMENTS = ("infonce", "js")


def info_nce(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Symmetric InfoNCE () of two modalities' features (N, d) of the same N samples.

    Similarity is the cosine over the temperature τ.
    """
    similarity = F.normalize(first, dim=1) @ F.normalize(second, dim=1).T / temperature
    partner = torch.arange(len(first), device=first.device)
    return (F.cross_entropy(similarity, partner) + F.cross_entropy(similarity.T, partner)) / 2


def jensen_shannon(first: Tensor, second: Tensor) -> Tensor:
    """Jensen-Shannon divergence (B,) between the softmax of two modalities' logits (B, C), in nats.

    LFM's published code uses it.
    """
    p = first.log_softmax(1)
    q = second.log_softmax(1)
    middle = torch.stack([p, q]).logsumexp(0) - torch.tensor(2.0, dtype=p.dtype).log()
    return ((p.exp() * (p - middle)).sum(1) + (q.exp() * (q - middle)).sum(1)) / 2


def alignment_loss(
    kind: str,
    output: Output,
    batch: Batch,
    ctx: Context,
    temperature: float,
    pairs: Sequence[tuple[str, str]] | None = None,
) -> Tensor:
    """Mean of the alignment loss over pairs of modalities.

    A sample enters a pair only where both are present.

    Args:
        kind: "infonce" compares features, against the samples of all ranks; "js" compares logits.
        output: of the model on the batch.
        batch: the samples.
        ctx: exchanges between ranks.
        temperature: τ of InfoNCE.
        pairs: of modalities; None for all M(M − 1)/2 that train.
    """
    pairs = list(combinations(ctx.training, 2)) if pairs is None else pairs
    total = output.fused.new_zeros(())
    for pair in pairs:
        both = batch.present[pair[0]] & batch.present[pair[1]]
        if kind == "js":
            total = total + ctx.sample_mean(
                jensen_shannon(output.logits[pair[0]], output.logits[pair[1]]), both
            )
        else:
            total = total + _info_nce_over_ranks(pair, output, both, batch, ctx, temperature)
    return total / max(len(pairs), 1)


def _info_nce_over_ranks(
    pair: tuple[str, str],
    output: Output,
    both: Tensor,
    batch: Batch,
    ctx: Context,
    temperature: float,
) -> Tensor:
    """InfoNCE of one pair over the samples of all ranks.

    Every rank computes the whole loss from the rows of all ranks, so that the mean of their
    gradients is exact.
    """
    complete = all(batch.counts[m] == len(batch) for m in pair)
    rows = slice(None) if complete else both.nonzero(as_tuple=True)[0]
    first, second = (ctx.gather(_attached(m, output, ctx)[rows]) for m in pair)
    return info_nce(first, second, temperature) if len(first) else output.fused.new_zeros(())


def _attached(modality: str, output: Output, ctx: Context) -> Tensor:
    """Features (B, d) that depend on the encoder even where this rank has no such sample.

    The backward pass exchanges gradients between ranks, and all of them must take part.
    """
    features = output.features[modality]
    if ctx.runtime.world > 1 and torch.is_grad_enabled() and not features.requires_grad:
        return features + 0 * sum(p.sum() for p in ctx.model.group(modality).encoder)
    return features


def require_partners(owner: str, ctx: Context, remedy: str) -> None:
    """Check that there are at least two modalities to align.

    Args:
        owner: name for the message.
        ctx: holds the model.
        remedy: advice that ends the message.

    Raises:
        ConfigError: there is a single one.
    """
    if len(ctx.model.modalities) < 2:
        raise ConfigError(
            f"{owner} aligns modalities with each other, and there is only "
            f"{ctx.model.modalities[0]!r}; {remedy}"
        )
