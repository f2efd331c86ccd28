"""The loss of one opinion: fit of its Dirichlet distribution, and an annealed price on misleading evidence.

Han, Zhang, Fu, Zhou. Trusted Multi-View Classification. ICLR 2021. The losses are those of Sensoy, Kaplan, Kandemir.
Evidential Deep Learning to Quantify Classification Uncertainty. NeurIPS 2018.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

FITS = ("cross-entropy", "squared-error")


def expected_cross_entropy(alpha: Tensor, label: Tensor) -> Tensor:
    """A (B,) = ψ(S) − ψ(α_y): the cross-entropy expected under Dirichlet(α), α (B, K), for labels (B,)."""
    true = alpha.gather(1, label.unsqueeze(1)).squeeze(1)
    return torch.digamma(alpha.sum(1)) - torch.digamma(true)


def expected_squared_error(alpha: Tensor, label: Tensor) -> Tensor:
    """Σ_k (y_k − p_k)² + p_k (1 − p_k) / (S + 1), (B,): the squared error expected under Dirichlet(α)."""
    strength = alpha.sum(1, keepdim=True)
    probability = alpha / strength
    variance = probability * (1 - probability) / (strength + 1)
    return ((_one_hot(alpha, label) - probability).square() + variance).sum(1)


def misleading_evidence(alpha: Tensor, label: Tensor) -> Tensor:
    """KL (B,) of Dirichlet(α̃) from the uniform one, where α̃ = y + (1 − y) α has the true class's evidence removed."""
    other = torch.where(_one_hot(alpha, label).bool(), 1.0, alpha)
    strength = other.sum(1)
    normaliser = torch.lgamma(strength) - torch.lgamma(other).sum(1) - math.lgamma(alpha.shape[1])
    distance = torch.digamma(other) - torch.digamma(strength).unsqueeze(1)
    return normaliser + ((other - 1) * distance).sum(1)


def opinion_loss(opinions: Tensor, label: Tensor, weight: float, fit: str = "cross-entropy") -> Tensor:
    """A(α) + λ KL(α̃), (B,), of opinions log α (B, K)."""
    alpha = opinions.exp()
    error = expected_cross_entropy if fit == "cross-entropy" else expected_squared_error
    return error(alpha, label) + weight * misleading_evidence(alpha, label)


def annealed(epoch: int, epochs: int, first: int) -> float:
    """λ = min(1, t / T) in epoch number `epoch` from 0, with t counted from `first` and T = `epochs`."""
    return min(1.0, (epoch + first) / epochs)


def _one_hot(alpha: Tensor, label: Tensor) -> Tensor:
    return torch.nn.functional.one_hot(label, alpha.shape[1]).to(alpha.dtype)
