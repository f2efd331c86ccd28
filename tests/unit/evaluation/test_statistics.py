"""Statistics of several seeds, and the coverage of the bootstrap's interval."""

from __future__ import annotations

import numpy as np
import pytest

from equipoise.evaluation.statistics import mean_and_std, paired_bootstrap


@pytest.fixture
def rng() -> np.random.Generator:
    seed = int(np.random.SeedSequence().generate_state(1)[0])
    print(f"seed {seed}")
    return np.random.default_rng(seed)


def test_standard_deviation_is_that_of_a_sample() -> None:
    assert mean_and_std([1.0, 2.0, 6.0]) == (3.0, pytest.approx(7**0.5))
    assert mean_and_std([0.4]) == (0.4, None)


def test_the_interval_covers_the_true_difference(rng: np.random.Generator) -> None:
    """95 % nominal; with seeds drawn anew as well it is wider rather than narrower."""
    covered = 0
    true = 0.1
    for trial in range(60):
        hard = rng.random(150)  # both methods find the same samples hard, shares far from 0 and 1
        a, b = (hard + 0.1 * rng.standard_normal((3, 150)) < share for share in (0.7, 0.7 - true))
        found = paired_bootstrap(a, b, draws=300, seed=trial)
        assert found.difference == pytest.approx(a.mean() - b.mean())
        assert found.low <= found.difference <= found.high
        covered += found.low <= true <= found.high
    assert covered >= 50


def test_the_interval_covers_other_seeds(rng: np.random.Generator) -> None:
    """Half of the seeds are right everywhere, half nowhere: samples alone would give no width."""
    a = np.zeros((4, 50), dtype=bool)
    a[:2] = True
    found = paired_bootstrap(a, np.zeros((1, 50), dtype=bool))
    assert found.difference == 0.5
    assert (found.low, found.high) == (0, 1)


def test_the_interval_is_one_of_95_percent(rng: np.random.Generator) -> None:
    """Against the normal interval of a mean: one of 90 % is narrower by a sixth."""
    right = rng.random((1, 2000)) < 0.6
    found = paired_bootstrap(right, np.zeros((1, 2000), dtype=bool), draws=8000)
    width = 2 * 1.96 * np.sqrt(right.var() / 2000)
    assert found.high - found.low == pytest.approx(width, rel=0.06)


def test_pairing_narrows_the_interval(rng: np.random.Generator) -> None:
    a = rng.random((1, 400)) < 0.7
    b = a ^ (rng.random((1, 400)) < 0.02)
    paired = paired_bootstrap(a, b)
    apart = paired_bootstrap(a, b[:, rng.permutation(400)])
    assert paired.high - paired.low < 0.5 * (apart.high - apart.low)


def test_the_same_predictions_differ_by_nothing(rng: np.random.Generator) -> None:
    right = rng.random((1, 100)) < 0.6
    found = paired_bootstrap(right, right)
    assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_exchanging_the_methods_turns_the_sign_and_a_seed_repeats(rng: np.random.Generator) -> None:
    a, b = rng.random((1, 200)) < 0.8, rng.random((1, 200)) < 0.6
    one, other = paired_bootstrap(a, b, seed=5), paired_bootstrap(b, a, seed=5)
    assert (one.difference, one.low, one.high) == pytest.approx(
        (-other.difference, -other.high, -other.low)
    )
    assert one.p == other.p
    assert one == paired_bootstrap(a, b, seed=5)
    assert len({paired_bootstrap(a, b, seed=seed) for seed in range(8)}) > 1


def test_a_clear_difference_has_a_small_p_and_never_zero(rng: np.random.Generator) -> None:
    found = paired_bootstrap(np.ones((2, 300), dtype=bool), rng.random((2, 300)) < 0.5, draws=500)
    assert found.p == pytest.approx(2 / 500)
    assert found.low > 0


def test_one_method_may_have_more_seeds(rng: np.random.Generator) -> None:
    a, b = rng.random((4, 90)) < 0.5, rng.random((1, 90)) < 0.5
    assert paired_bootstrap(a, b).difference == pytest.approx(a.mean() - b.mean())
