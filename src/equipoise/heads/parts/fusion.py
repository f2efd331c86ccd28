"""Fusion rules: from the logits of each modality to one prediction per sample.

Every rule is per sample and gives an absent modality the weight 0. `logits` is (M, B, C), `present`
is bool (M, B); a rule returns the fused logits (B, C) and the weights (B, M), or None where it has
none.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from equipoise.checks import choice, is_table, require

Rule = Callable[[Tensor, Tensor], tuple[Tensor, Tensor | None]]


def entropy(logits: Tensor) -> Tensor:
    """Shannon entropy in nats of softmax(logits) over the last axis."""
    log_probability = F.log_softmax(logits, dim=-1)
    return -(log_probability.exp() * log_probability).sum(-1)


def entropy_weights(logits: Tensor, present: Tensor) -> Tensor:
    """MLA Eq. 6-7: λ_m = softmax over the present modalities of (max_v e_v − e_m), which is softmax(−e); (M, B)."""
    return torch.where(present, -entropy(logits), -torch.inf).softmax(0)


def batch_entropy_weights(logits: Tensor, present: Tensor) -> Tensor:
    """The weights (M, B) of MLA's published code: softmax over the *batch* axis, entropy over batch
    and classes.

    One weight per modality and batch, so that a prediction depends on which samples share the
    batch; for comparison with published numbers only.
    """
    there = present.unsqueeze(-1)
    log_probability = torch.where(there, logits, -torch.inf).log_softmax(1)
    whole = -torch.where(there, log_probability.exp() * log_probability, 0).sum((1, 2))
    return torch.where(present, -whole.unsqueeze(1), -torch.inf).softmax(0)


def weigh(logits: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Σ_m λ_m f_m (MLA Eq. 8) and the weights as (B, M)."""
    return (weights.unsqueeze(-1) * logits).sum(0), weights.T


def mean_weights(logits: Tensor, present: Tensor) -> Tensor:
    """Equal weights of the present modalities (M, B)."""
    return present.to(logits.dtype) / present.sum(0)


def fixed_weights(logits: Tensor, present: Tensor, share: tuple[float, ...]) -> Tensor:
    """Given weights, renormalised over the present modalities (M, B)."""
    weights = logits.new_tensor(share).unsqueeze(1) * present
    return weights / weights.sum(0)


def sum_rule(logits: Tensor, present: Tensor) -> tuple[Tensor, None]:
    """Σ_m f_m over the present modalities."""
    return (logits * present.unsqueeze(-1)).sum(0), None


def probability_rule(logits: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
    """log of the mean of the present modalities' probabilities, so that exp(fused) sums to 1."""
    log_probability = torch.where(present.unsqueeze(-1), F.log_softmax(logits, dim=-1), -torch.inf)
    return log_probability.logsumexp(0) - present.sum(0).log().unsqueeze(-1), mean_weights(
        logits, present
    ).T


WEIGHTINGS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mean": mean_weights,
    "entropy": entropy_weights,
    "entropy-batch": batch_entropy_weights,
}
RULES = ("sum", "probability", "fixed", *WEIGHTINGS)


def rule(
    owner: str, name: str, modalities: tuple[str, ...], share: dict[str, float] | None = None
) -> Rule:
    """The fusion rule of that name.

    Args:
        owner: who asks, for the error message.
        name: one of `RULES`.
        modalities: all of them, in order.
        share: {modality: weight}, for "fixed" and only for it.

    Raises:
        ConfigError: unknown rule, or weights that do not name every modality with a positive
            number.
    """
    fixed = "given with fusion 'fixed' and only with it"
    require(
        owner,
        choice("fusion", name, RULES),
        ("fusion_weights", (name == "fixed") == (share is not None), fixed, share),
    )
    if share is not None:
        usable = is_table(share) and set(share) == set(modalities) and min(share.values()) > 0
        each = f"a positive number for each of {', '.join(modalities)}"
        require(owner, ("fusion_weights", usable, each, share))
        weighting = partial(fixed_weights, share=tuple(share[m] for m in modalities))
        return lambda logits, present: weigh(logits, weighting(logits, present))
    if name == "sum":
        return sum_rule
    if name == "probability":
        return probability_rule
    return lambda logits, present: weigh(logits, WEIGHTINGS[name](logits, present))
