"""Shapley values of the modalities, sample by sample, in the game "is the prediction right?".

Wei, Feng, Wang, Hu. Enhancing Multimodal Cooperation via Sample-level Modality Valuation. CVPR 2024.

A set S of modalities is worth v(S) = |S| if the prediction from S is right, else 0; v(∅) = 0. Modality m is worth

    φ_m = Σ_{S ∌ m} |S|! (M−|S|−1)! / M! · (v(S ∪ m) − v(S)),      Σ_m φ_m = M · 1[the prediction from all is right].

For two modalities φ_a = (v(a) + v(av) − v(v)) / 2, one of −½, 0, ½, 1, 1½. A modality that a sample lacks is a null
player: it is worth 0, and the others' values are those of the game without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import factorial

import torch
from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.model import Model


def shapley_values(worth: Mapping[frozenset[str], Tensor], modalities: tuple[str, ...]) -> Tensor:
    """φ (B, M) from the worth (B,) of every non-empty set of modalities."""
    count = len(modalities)
    zero = torch.zeros_like(worth[frozenset(modalities)])
    columns = []
    for modality in modalities:
        total = zero
        for with_it, value in worth.items():
            if modality in with_it:
                size = len(with_it) - 1
                weight = factorial(size) * factorial(count - size - 1) / factorial(count)
                total = total + weight * (value - worth.get(with_it - {modality}, zero))
        columns.append(total)
    return torch.stack(columns, 1)


def subsets(modalities: tuple[str, ...]) -> list[frozenset[str]]:
    """Every non-empty set of modalities."""
    sets = [frozenset[str]()]
    for modality in modalities:
        sets += [s | {modality} for s in sets]
    return sets[1:]


def valuation(model: Model, output: Output, batch: Batch) -> Tensor:
    """φ (B, M) of a batch, in float64: the head reads the features of each set, with the others deactivated."""
    features = {m: z for m, z in output.features.items() if batch.counts[m]}
    worth = {}
    for chosen in subsets(model.modalities):
        only = [m for m in model.modalities if m in chosen]
        right = model.read(features, batch.present, only).fused.argmax(1) == batch.label
        shown = torch.stack([batch.present[m] for m in only]).sum(0)
        worth[chosen] = (right * shown).double()
    return shapley_values(worth, model.modalities)
