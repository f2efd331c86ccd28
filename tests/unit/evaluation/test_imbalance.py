"""Shapley values against their axioms and the mean over all orders of arrival."""

from __future__ import annotations

from itertools import chain, combinations, permutations

import numpy as np
import pytest

from equipoise.evaluation.imbalance import gap, shapley

Game = dict[frozenset[str], float]


def subsets(players: str) -> list[frozenset[str]]:
    found = chain.from_iterable(combinations(players, size) for size in range(len(players) + 1))
    return [frozenset(s) for s in found]


def game(players: str) -> Game:
    return dict(zip(subsets(players), np.random.default_rng().random(2 ** len(players)), strict=True))


@pytest.mark.parametrize("players", ["a", "ab", "abc", "abcd"])
def test_is_the_mean_gain_over_all_orders_and_shares_out_everything(players: str) -> None:
    value = game(players)
    gains: dict[str, list[float]] = {p: [] for p in players}
    for order in permutations(players):
        for place, player in enumerate(order):
            gains[player].append(value[frozenset(order[: place + 1])] - value[frozenset(order[:place])])
    found = shapley(value, list(players))
    assert found == {p: pytest.approx(np.mean(g)) for p, g in gains.items()}
    assert sum(found.values()) == pytest.approx(value[frozenset(players)] - value[frozenset()])


def test_equal_players_get_equal_shares_and_idle_ones_nothing() -> None:
    worth = np.random.default_rng().random(3)
    value = {s: float(worth[len(s - {"c"})]) for s in subsets("abc")}
    found = shapley(value, ["a", "b", "c"])
    assert found["a"] == pytest.approx(found["b"])
    assert found["c"] == pytest.approx(0)


def test_adds_up_over_games() -> None:
    one, two = game("abc"), game("abc")
    both = shapley({s: one[s] + 2 * two[s] for s in one}, "abc")
    first, second = shapley(one, "abc"), shapley(two, "abc")
    assert both == {p: pytest.approx(first[p] + 2 * second[p]) for p in "abc"}


def test_gap_is_between_the_best_and_the_worst() -> None:
    assert gap({"a": 0.9, "b": 0.4, "c": 0.6}) == pytest.approx(0.5)
    assert gap({"a": 0.7}) == 0
