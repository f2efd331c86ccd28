"""Shapley values of the modalities: of the fused logits (AGM), and of the game "is the prediction right?" (SMV).

With v(S) what the modalities S are worth while the others are deactivated, and v(∅) = 0, modality m is worth

    φ_m = Σ_{S ∌ m} |S|! (M−|S|−1)! / M! · (v(S ∪ m) − v(S)) = Σ_S c_m(S) v(S),      Σ_m φ_m = v(all)

In AGM v(S) = f(S), the fused logits, and φ_m is the modality's response o_m. In SMV (Wei, Feng, Wang, Hu. Enhancing
Multimodal Cooperation via Sample-level Modality Valuation. CVPR 2024), sample by sample, v(S) = |S| if the prediction
from S is right, else 0. For two modalities φ_a = (v(a) + v(av) − v(v)) / 2, one of −½, 0, ½, 1, 1½. A modality that a
sample lacks is a null player: it is worth 0, and the others' values are those of the game without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import factorial

import torch
from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.model import Model

Subset = tuple[str, ...]


def subsets(modalities: Sequence[str]) -> list[Subset]:
    """All but the empty one, each in the order of the modalities."""
    return [s for size in range(1, len(modalities) + 1) for s in combinations(modalities, size)]


def gain_weight(size: int, count: int) -> float:
    """|S|! (M−|S|−1)! / M!, the weight of what one of M modalities adds to `size` others."""
    return factorial(size) * factorial(count - size - 1) / factorial(count)


def share(modality: str, subset: Subset, count: int) -> float:
    """c_m(S), the coefficient of v(S) in the value of a modality, among `count` of them."""
    return gain_weight(len(subset) - 1, count) if modality in subset else -gain_weight(len(subset), count)


def shapley_value(modality: str, worth: Mapping[Subset, Tensor], count: int) -> Tensor:
    """φ_m (…) from {S: v(S) (…)} of all non-empty sets of `count` modalities."""
    return torch.stack([share(modality, s, count) * v for s, v in worth.items()]).sum(0)


def valuation(model: Model, output: Output, batch: Batch) -> Tensor:
    """φ (B, M) of a batch, in float64: the head reads the features of each set, with the others deactivated."""
    features = {m: z for m, z in output.features.items() if batch.counts[m]}
    worth = {}
    for only in subsets(model.modalities):
        right = model.read(features, batch.present, only).fused.argmax(1) == batch.label
        shown = torch.stack([batch.present[m] for m in only]).sum(0)
        worth[only] = (right * shown).double()
    return torch.stack([shapley_value(m, worth, len(model.modalities)) for m in model.modalities], 1)
