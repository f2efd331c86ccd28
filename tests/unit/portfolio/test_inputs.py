"""What the members of scikit-learn read: scaled by training rows, with gaps filled and marked."""

import numpy as np
import pytest

from equipoise.portfolio.features import Features, Reader
from equipoise.portfolio.inputs import Inputs
from equipoise.testing.world import fresh_seed, small_splits


def draw(count, rng, rows=40):
    """Features of several modalities, each with rows of which it is absent."""
    present = rng.random((rows, count)) < 0.7
    present[:, 0] |= ~present.any(axis=1)
    names = [f"m{k}" for k in range(count)]
    dense = {
        m: (rng.normal(3, 2 + k, size=(rows, k + 2)) * present[:, [k]]).astype(np.float32)
        for k, m in enumerate(names)
    }
    return names, Features(dense, {}, {m: present[:, k] for k, m in enumerate(names)})


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("scaling", ["columns", "rows"])
def test_blocks_have_the_same_length_and_gaps_are_marked(count, scaling):
    names, features = draw(count, np.random.default_rng(fresh_seed()))
    matrix = Inputs.fit(features, names, scaling, sparse=False)(features)
    at = 0
    for m in names:
        width = features.dense[m].shape[1]
        here = features.present[m]
        block = matrix[:, at : at + width]
        assert np.square(block[here]).sum() / here.sum() == pytest.approx(1 / count, rel=1e-4)
        assert (block[~here] == 0).all()
        at += width
        if not here.all():
            np.testing.assert_allclose(matrix[:, at], ~here / np.sqrt(count), rtol=1e-6)
            at += 1
    assert at == matrix.shape[1]


def test_trees_get_the_numbers_as_they_are_with_the_mean_in_gaps():
    names, features = draw(2, np.random.default_rng(fresh_seed()))
    matrix = Inputs.fit(features, names, "none", sparse=False)(features)
    here = features.present["m1"]
    block = matrix[:, -4:-1] if not here.all() else matrix[:, -3:]
    np.testing.assert_array_equal(block[here], features.dense["m1"][here])
    mean = features.dense["m1"][here].mean(axis=0)
    np.testing.assert_allclose(block[~here], np.tile(mean, ((~here).sum(), 1)), rtol=1e-5)


def test_a_row_is_read_alike_whatever_rows_are_beside_it():
    names, features = draw(3, np.random.default_rng(fresh_seed()))
    inputs = Inputs.fit(features, names, "columns", sparse=False)
    rows = np.array([7, 3, 30])
    np.testing.assert_array_equal(inputs(features)[rows], inputs(features.take(rows)))


def test_counts_are_weighted_and_scaled_by_row():
    rng = np.random.default_rng(fresh_seed())
    counts = rng.poisson(0.2, size=(30, 12)).astype(np.float32)
    features = Features({"words": counts}, {}, {"words": np.ones(30, dtype=bool)})
    matrix = Inputs.fit(features, ["words"], "rows", sparse=False)(features)
    weights = np.log(31 / (1 + (counts > 0).sum(axis=0))) + 1
    by_hand = np.log1p(counts) * weights
    filled = counts.any(axis=1)
    by_hand[filled] /= np.linalg.norm(by_hand[filled], axis=1, keepdims=True)
    np.testing.assert_allclose(
        matrix / np.linalg.norm(matrix[filled][0]), by_hand, rtol=1e-4, atol=1e-6
    )


def test_what_a_reader_learns_is_the_same_without_the_later_rows():
    """Features of training rows are those of vectors as they are stored."""
    splits = small_splits(2, fresh_seed())
    reader = Reader.fit(splits.train)
    found = reader(splits.train)
    store = splits.train.arrays["alpha"]
    np.testing.assert_array_equal(found.dense["alpha"], store[splits.train.store_rows])
