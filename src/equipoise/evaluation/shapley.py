"""Shapley values of the modalities.

Let v(S) be the worth of a set S of modalities while the others are deactivated, and v(∅) = 0. The
value of modality m is

    φ_m = Σ_{S ∌ m} |S|! (M−|S|−1)! / M! · (v(S ∪ m) − v(S)) = Σ_S c_m(S) v(S)

The values add up: Σ_m φ_m = v(all).

Shapley. A Value for n-Person Games. Contributions to the Theory of Games II, 1953.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import factorial

import torch
from torch import Tensor

Subset = tuple[str, ...]


def subsets(modalities: Sequence[str]) -> list[Subset]:
    """All subsets except the empty one, each in the order of the modalities."""
    return [s for size in range(1, len(modalities) + 1) for s in combinations(modalities, size)]


def gain_weight(size: int, count: int) -> float:
    """The weight |S|! (M−|S|−1)! / M! of what one of M modalities adds to |S| = `size` others."""
    return factorial(size) * factorial(count - size - 1) / factorial(count)


def coefficient(modality: str, subset: Subset, count: int) -> float:
    """The coefficient c_m(S) of v(S) in the value of one of `count` modalities."""
    if modality in subset:
        return gain_weight(len(subset) - 1, count)
    return -gain_weight(len(subset), count)


def shapley_value(modality: str, worth: Mapping[Subset, Tensor], count: int) -> Tensor:
    """The value φ_m of a modality.

    Args:
        modality: m.
        worth: {S: v(S) (…)} for all non-empty sets of modalities.
        count: number of modalities, M.

    Returns:
        φ_m (…), of the shape of the worths.
    """
    return torch.stack([coefficient(modality, s, count) * v for s, v in worth.items()]).sum(0)
