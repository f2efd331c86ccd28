"""Losses that draw the modalities of one sample together (LFM, section 3.2)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional as F

from equipoise.batch import Batch, Output
from equipoise.errors import ConfigError
from equipoise.training.context import Context

ALIGNMENTS = ("infonce", "js", "kl-mean")


def similarities(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Cosines (N, N) between two modalities' features (N, d) of the same N samples, over τ."""
    return F.normalize(first, dim=1) @ F.normalize(second, dim=1).T / temperature


def info_nce(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Symmetric InfoNCE () of two modalities' features (N, d) of the same N samples.

    Similarity is the cosine over the temperature τ.
    """
    similarity = similarities(first, second, temperature)
    partner = torch.arange(len(first), device=first.device)
    return (F.cross_entropy(similarity, partner) + F.cross_entropy(similarity.T, partner)) / 2


def _with_mean(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """log p, log q (B, C) of two modalities' logits (B, C), and log m of m = (p + q) / 2."""
    p = first.log_softmax(1)
    q = second.log_softmax(1)
    return p, q, torch.stack([p, q]).logsumexp(0) - math.log(2)


def jensen_shannon(first: Tensor, second: Tensor) -> Tensor:
    """Jensen-Shannon divergence (B,) between the softmax of two modalities' logits (B, C).

    It is ½ [KL(p ‖ m) + KL(q ‖ m)] with m = (p + q) / 2, in nats, and at most log 2.
    """
    p, q, m = _with_mean(first, second)
    return ((p.exp() * (p - m)).sum(1) + (q.exp() * (q - m)).sum(1)) / 2


def mean_divergence(first: Tensor, second: Tensor) -> Tensor:
    """½ [KL(m ‖ p) + KL(m ‖ q)] (B,) of the softmax of two modalities' logits (B, C), m their mean.

    LFM's published code uses it. The arguments of the divergences are the other way round than in
    Jensen-Shannon's, and it has no upper bound.
    """
    p, q, m = _with_mean(first, second)
    return (m.exp() * (2 * m - p - q)).sum(1) / 2


DIVERGENCES = {"js": jensen_shannon, "kl-mean": mean_divergence}
"""{name: loss (B,) of two modalities' logits}"""


@dataclass(frozen=True)
class Softmax:
    """A softmax inside a loss: the loss is `reduce` of one value for each row of logits.

    Attributes:
        logits: (N, K).
        reduce: (N,) → (), linear.
    """

    logits: Tensor
    reduce: Callable[[Tensor], Tensor]


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
        kind: "infonce" compares features, against the samples of all ranks; "js" and "kl-mean"
            compare logits.
        output: of the model on the batch.
        batch: the samples.
        ctx: exchanges between ranks.
        temperature: τ of InfoNCE.
        pairs: of modalities; None for all M(M − 1)/2 that train.
    """
    pairs = list(combinations(ctx.training, 2)) if pairs is None else pairs
    total = output.fused.new_zeros(())
    for first, second in pairs:
        if kind == "infonce":
            features = _gathered((first, second), output, batch, ctx)
            if len(features[0]):
                total = total + info_nce(*features, temperature)
        else:
            both = batch.present[first] & batch.present[second]
            divergence = DIVERGENCES[kind](output.logits[first], output.logits[second])
            total = total + ctx.sample_mean(divergence, both)
    return total / max(len(pairs), 1)


def alignment_softmaxes(
    kind: str, output: Output, batch: Batch, ctx: Context, temperature: float
) -> list[Softmax]:
    """The softmaxes of `alignment_loss` over all pairs of modalities that train."""
    pairs = list(combinations(ctx.training, 2))
    half = 0.5 / max(len(pairs), 1)
    found = []
    for first, second in pairs:
        if kind == "infonce":
            features = _gathered((first, second), output, batch, ctx)
            if len(features[0]):
                similarity = similarities(*features, temperature)
                for logits in (similarity, similarity.T):
                    found.append(Softmax(logits, _scaled(half, torch.mean)))
        else:
            both = batch.present[first] & batch.present[second]
            mean = partial(ctx.sample_mean, where=both)
            for modality in (first, second):
                found.append(Softmax(output.logits[modality], _scaled(half, mean)))
    return found


def _scaled(factor: float, reduce: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda rows: factor * reduce(rows)


def _gathered(
    pair: tuple[str, str], output: Output, batch: Batch, ctx: Context
) -> tuple[Tensor, Tensor]:
    """Features (N, d) of both modalities of the samples of all ranks that have both.

    Every rank computes the whole loss from the rows of all ranks, so that the mean of their
    gradients is exact.
    """
    both = batch.present[pair[0]] & batch.present[pair[1]]
    complete = all(batch.counts[m] == len(batch) for m in pair)
    rows = slice(None) if complete else both.nonzero(as_tuple=True)[0]
    first, second = (ctx.gather(_attached(m, output, ctx)[rows]) for m in pair)
    return first, second


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
