"""Temperatures, weights and the cross-fitted estimate, against closed forms."""

import numpy as np
import pytest

from equipoise.portfolio.ensemble import (
    Blend,
    average,
    cross_fitted,
    log_loss,
    log_softmax,
    select,
    temperature,
)


def draw(rng, rows, classes, sharpness):
    """Labels drawn from softmax(x), so that x itself is calibrated."""
    logits = sharpness * rng.standard_normal((rows, classes))
    probability = np.exp(log_softmax(logits))
    label = np.array([rng.choice(classes, p=p) for p in probability])
    return logits, label


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("factor", [0.25, 3.0])
def test_temperature_finds_the_scale_of_calibrated_logits(classes, factor):
    logits, label = draw(np.random.default_rng(classes), 4000, classes, 2.0)
    assert temperature(factor * logits, label) == pytest.approx(factor, rel=0.1)


def test_temperature_without_rows_changes_nothing():
    assert temperature(np.empty((0, 3)), np.empty(0, dtype=int)) == 1


def test_average_leaves_out_members_without_an_opinion():
    probabilities = np.array([[[0.9, 0.1], [0.9, 0.1], [0.9, 0.1]], [[0.2, 0.8]] * 3])
    available = np.array([[True, False, False], [True, True, False]])
    found = average(probabilities, available, np.array([0.75, 0.25]), np.array([0.6, 0.4]))
    np.testing.assert_allclose(found, [[0.725, 0.275], [0.2, 0.8], [0.6, 0.4]])


def test_weights_do_not_collapse_where_every_member_is_right():
    true = np.full((8, 30), 0.99)
    weights = select(true, np.ones_like(true, dtype=bool), np.full(30, 0.5), seed=0)
    assert weights.sum() == pytest.approx(1)
    assert (weights > 0).sum() >= 5


@pytest.mark.parametrize("seed", range(3))
def test_weights_prefer_members_that_err_on_different_rows(seed):
    """Two good members and a useless one: the mean of the good ones beats each of them."""
    rng = np.random.default_rng(seed)
    label = rng.integers(3, size=600)
    signal = 3 * np.eye(3)[label]
    good = [signal + 2 * rng.standard_normal((600, 3)) for _ in range(2)]
    logits = np.stack([*good, 5 * rng.standard_normal((600, 3))])
    available = np.ones((3, 600), dtype=bool)
    blend = Blend.fit(logits, available, label)
    assert blend.weights[2] < 0.2
    together = log_loss(blend(logits, available), label)
    single = [log_loss(np.exp(log_softmax(x / temperature(x, label))), label) for x in good]
    assert together < np.mean(single)


def test_the_cross_fitted_estimate_is_no_better_than_chance_on_noise():
    """Weights that are chosen among many members of noise must not look good."""
    rng = np.random.default_rng(0)
    label = rng.integers(2, size=60)
    logits = rng.standard_normal((40, 60, 2)) * 3
    available = np.ones((40, 60), dtype=bool)
    fold = rng.permutation(np.arange(60) % 5)
    honest = log_loss(cross_fitted(logits, available, label, fold), label)
    seen = log_loss(Blend.fit(logits, available, label)(logits, available), label)
    assert seen < np.log(2)
    assert honest > 0.97 * np.log(2)


def test_a_row_does_not_shape_its_own_estimate():
    rng = np.random.default_rng(1)
    label = rng.integers(3, size=50)
    logits = rng.standard_normal((4, 50, 3))
    available = np.ones((4, 50), dtype=bool)
    fold = np.arange(50) % 5
    before = cross_fitted(logits, available, label, fold)
    changed = label.copy()
    changed[fold == 2] = (changed[fold == 2] + 1) % 3
    after = cross_fitted(logits, available, changed, fold)
    np.testing.assert_array_equal(after[fold == 2], before[fold == 2])


def test_a_row_of_weight_two_counts_as_two_rows():
    rng = np.random.default_rng(2)
    label = rng.integers(3, size=40)
    logits = rng.standard_normal((40, 3)) + np.eye(3)[label]
    weight = rng.integers(1, 4, size=40)
    repeated = np.repeat(np.arange(40), weight)
    assert temperature(logits, label, weight.astype(float)) == pytest.approx(
        temperature(logits[repeated], label[repeated]), rel=1e-3
    )
    probability = np.exp(log_softmax(logits))
    assert log_loss(probability, label, weight) == pytest.approx(
        log_loss(probability[repeated], label[repeated])
    )
