"""Fusion rules: from the logits of each modality to one prediction per sample.

Every rule except "entropy-batch" works sample by sample, and every rule gives an absent modality
the weight 0. `logits` is (M, B, C) and `present` is bool (M, B). A rule returns the fused logits
(B, C) and the weights (B, M), or None where it has none.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from equipoise.checks import choice, is_table, require

FusionRule = Callable[[Tensor, Tensor], tuple[Tensor, Tensor | None]]


def entropy(logits: Tensor) -> Tensor:
    """Shannon entropy in nats of softmax(logits) over the last axis."""
    log_probability = F.log_softmax(logits, dim=-1)
    return -(log_probability.exp() * log_probability).sum(-1)


def entropy_weights(logits: Tensor, present: Tensor) -> Tensor:
    """Weights λ (M, B) of MLA, Eq. 7-8: softmax over the present modalities of max_v e_v − e_m.

    e_m is the entropy of modality m. The maximum cancels: λ = softmax(−e).
    """
    return torch.where(present, -entropy(logits), -torch.inf).softmax(0)


def batch_entropy_weights(logits: Tensor, present: Tensor) -> Tensor:
    """Weights (M, B) of MLA's published code, for comparison with published numbers only.

    The softmax is over the *batch* axis and the entropy over batch and classes. That gives one
    weight per modality and batch: a prediction depends on the other samples of its batch.
    """
    there = present.unsqueeze(-1)
    log_probability = torch.where(there, logits, -torch.inf).log_softmax(1)
    of_batch = -torch.where(there, log_probability.exp() * log_probability, 0).sum((1, 2))
    return torch.where(present, -of_batch.unsqueeze(1), -torch.inf).softmax(0)


def weigh(logits: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Σ_m λ_m f_m (B, C) of logits (M, B, C) (MLA Eq. 6), and the weights (M, B) as (B, M)."""
    return (weights.unsqueeze(-1) * logits).sum(0), weights.T


def mean_weights(logits: Tensor, present: Tensor) -> Tensor:
    """Equal weights of the present modalities (M, B)."""
    return present.to(logits.dtype) / present.sum(0)


def fixed_weights(logits: Tensor, present: Tensor, given: tuple[float, ...]) -> Tensor:
    """Given weights (M,), renormalised over the present modalities (M, B)."""
    weights = logits.new_tensor(given).unsqueeze(1) * present
    return weights / weights.sum(0)


def sum_rule(logits: Tensor, present: Tensor) -> tuple[Tensor, None]:
    """Σ_m f_m over the present modalities."""
    return (logits * present.unsqueeze(-1)).sum(0), None


def probability_rule(logits: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
    """Logarithm of the mean probability of the present modalities, so that exp(fused) sums to 1."""
    log_probability = torch.where(present.unsqueeze(-1), F.log_softmax(logits, dim=-1), -torch.inf)
    fused = log_probability.logsumexp(0) - present.sum(0).log().unsqueeze(-1)
    return fused, mean_weights(logits, present).T


WEIGHTINGS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mean": mean_weights,
    "entropy": entropy_weights,
    "entropy-batch": batch_entropy_weights,
}
FUSION_RULES = ("sum", "probability", "fixed", *WEIGHTINGS)


def fusion_rule(
    owner: str, name: str, modalities: tuple[str, ...], given: dict[str, float] | None = None
) -> FusionRule:
    """The fusion rule of that name.

    Args:
        owner: name of the head, for the error message.
        name: one of `FUSION_RULES`.
        modalities: all modalities, in order.
        given: {modality: weight} for "fixed"; None for every other rule.

    Raises:
        ConfigError: unknown rule, or weights that do not give every modality a positive number.
    """
    fixed = "given with fusion 'fixed' and only with it"
    require(
        owner,
        choice("fusion", name, FUSION_RULES),
        ("fusion_weights", (name == "fixed") == (given is not None), fixed, given),
    )
    if given is not None:
        usable = is_table(given) and set(given) == set(modalities) and min(given.values()) > 0
        each = f"a positive number for each of {', '.join(modalities)}"
        require(owner, ("fusion_weights", usable, each, given))
        weighting = partial(fixed_weights, given=tuple(given[m] for m in modalities))
        return lambda logits, present: weigh(logits, weighting(logits, present))
    if name == "sum":
        return sum_rule
    if name == "probability":
        return probability_rule
    return lambda logits, present: weigh(logits, WEIGHTINGS[name](logits, present))
