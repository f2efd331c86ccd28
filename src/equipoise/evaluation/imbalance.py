"""How unequal the modalities of a model are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from equipoise.methods.shapley import gain_weight


def shapley(value: Mapping[frozenset[str], float], players: Sequence[str]) -> dict[str, float]:
    """Exact Shapley values of a game.

    Args:
        value: worth of each of the 2^M subsets, the empty one included.
        players: the modalities.

    Returns:
        {modality: its mean marginal worth over all orders of arrival}; they sum to value(all) − value(none).
    """
    total = len(players)
    shares = {}
    for player in players:
        others = [p for p in players if p != player]
        share = 0.0
        for size in range(total):
            weight = gain_weight(size, total)
            for subset in combinations(others, size):
                share += weight * (value[frozenset((*subset, player))] - value[frozenset(subset)])
        shares[player] = share
    return shares


def gap(accuracy: Mapping[str, float]) -> float:
    """Difference between the best and the worst modality."""
    return max(accuracy.values()) - min(accuracy.values())
