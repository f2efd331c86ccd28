"""Shapley values against their axioms and the mean over all orders of arrival."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest
import torch
from torch import Tensor

from equipoise.evaluation.shapley import Subset, shapley_value, subsets

Game = dict[Subset, Tensor]


def game(players: str) -> Game:
    worth = np.random.default_rng().random(2 ** len(players) - 1)
    return {s: torch.tensor(w) for s, w in zip(subsets(players), worth, strict=True)}


def values(worth: Game, players: str) -> dict[str, float]:
    return {p: float(shapley_value(p, worth, len(players))) for p in players}


def lookup(worth: Game, players: str) -> Callable[[set[str]], float]:
    """v(S) for a set in any order; nobody is worth nothing."""
    return lambda chosen: float(worth[tuple(p for p in players if p in chosen)]) if chosen else 0.0


@pytest.mark.parametrize("players", ["a", "ab", "abc", "abcd"])
def test_is_the_mean_gain_over_all_orders_and_shares_out_everything(players: str) -> None:
    worth = game(players)
    value = lookup(worth, players)
    gains: dict[str, list[float]] = {p: [] for p in players}
    for order in permutations(players):
        for place, player in enumerate(order):
            gains[player].append(value({*order[: place + 1]}) - value({*order[:place]}))
    found = values(worth, players)
    assert found == {p: pytest.approx(np.mean(g)) for p, g in gains.items()}
    assert sum(found.values()) == pytest.approx(value(set(players)))


def test_equal_players_get_equal_shares_and_idle_ones_nothing() -> None:
    levels = torch.rand(3, dtype=torch.float64)
    levels[0] = 0
    worth = {s: levels[len({*s} - {"c"})] for s in subsets("abc")}
    found = values(worth, "abc")
    assert found["a"] == pytest.approx(found["b"])
    assert found["c"] == pytest.approx(0)


def test_adds_up_over_games() -> None:
    one = game("abc")
    two = game("abc")
    both = values({s: one[s] + 2 * two[s] for s in one}, "abc")
    first = values(one, "abc")
    second = values(two, "abc")
    assert both == {p: pytest.approx(first[p] + 2 * second[p]) for p in "abc"}
