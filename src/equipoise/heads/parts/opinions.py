"""Subjective opinions on classes: evidence, its Dirichlet distribution, and the reduced rule of
Dempster and Shafer.

Han, Zhang, Fu, Zhou. Trusted Multi-View Classification. ICLR 2021.

Evidence e ≥ 0 for each of K classes makes the Dirichlet parameters α = e + 1 of strength S = Σ_k
α_k, the beliefs e_k / S, the uncertainty u = K / S (beliefs and uncertainty sum to 1) and the
expected probabilities α_k / S. An opinion is kept as log α: its softmax is the expected
probability, so that it serves as logits, and its exponential the distribution.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def opinion(outputs: Tensor) -> Tensor:
    """log α (…, K) of the evidence softplus(outputs), never in half precision."""
    return F.softplus(outputs.to(torch.promote_types(outputs.dtype, torch.float32))).log1p()


def combine(opinions: Tensor, present: Tensor) -> Tensor:
    """The combined opinion (B, K) of opinions log α (M, B, K); one that is absent, by `present` (M,
    B), is vacuous.

    Folding Dempster's rule over the opinions has the closed form e = K (Π_m (1 + e_m / K) − 1). It
    is associative and commutative, and free of the rule's division by 1 − conflict, which fails
    when sure opinions contradict each other.
    """
    classes = opinions.shape[-1]
    shares = (opinions.expm1() / classes).log1p()
    return (classes * torch.where(present.unsqueeze(-1), shares, 0.0).sum(0).expm1()).log1p()


def uncertainty(opinions: Tensor) -> Tensor:
    """u = K / S (…) of opinions log α (…, K): 1 without any evidence, towards 0 with much."""
    return (math.log(opinions.shape[-1]) - opinions.logsumexp(-1)).exp()
