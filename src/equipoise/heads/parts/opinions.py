r"""Subjective opinions on classes, and the reduced rule of Dempster and Shafer.

Han, Zhang, Fu, Zhou. Trusted Multi-View Classification. ICLR 2021.

Evidence $e \ge 0$ for each of $K$ classes gives the parameters $\alpha$ of a Dirichlet distribution
of strength $S$, beliefs $b$ and an uncertainty $u$ that sum to 1, and expected probabilities $p$:

$$\alpha = e + 1, \qquad S = \sum_k \alpha_k, \qquad b_k = e_k / S, \qquad u = K / S, \qquad
p_k = \alpha_k / S$$

An opinion is stored as $\log \alpha$. Its softmax is the expected probability, so it serves as
logits; its exponential is the parameter of the distribution.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def opinion(outputs: Tensor) -> Tensor:
    """Opinion log α (…, K) of the evidence softplus(outputs), never in half precision."""
    return F.softplus(outputs.to(torch.promote_types(outputs.dtype, torch.float32))).log1p()


def combine_opinions(opinions: Tensor, present: Tensor) -> Tensor:
    """Combine opinions by Dempster's rule.

    Folding the rule over the opinions has the closed form e = K (Π_m (1 + e_m / K) − 1). It is
    associative and commutative. It also avoids the rule's division by 1 − conflict, which fails
    when sure opinions contradict each other.

    Args:
        opinions: log α (M, B, K).
        present: bool (M, B); an absent opinion is vacuous.

    Returns:
        The combined opinion log α (B, K).
    """
    classes = opinions.shape[-1]
    log_factors = (opinions.expm1() / classes).log1p()
    return (classes * torch.where(present.unsqueeze(-1), log_factors, 0.0).sum(0).expm1()).log1p()


def uncertainty(opinions: Tensor) -> Tensor:
    """Uncertainty u = K / S (…) of opinions log α (…, K): 1 without evidence, near 0 with much."""
    return (math.log(opinions.shape[-1]) - opinions.logsumexp(-1)).exp()
