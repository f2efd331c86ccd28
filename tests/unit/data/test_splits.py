"""Splits: proportions, groups that stay together, one clear line when it cannot be done."""

import numpy as np
import pytest

from equipoise.data import splits
from equipoise.data.datasets.synthetic import load
from equipoise.errors import DataError


def test_classes_are_spread_in_proportion():
    rng = np.random.default_rng()
    label = rng.permutation(np.repeat([0, 1, 2], [300, 200, 100]))
    drawn = splits.draw(label, validation=0.2, test=0.3, seed=int(rng.integers(1000)))
    for name, share in (("train", 0.5), ("validation", 0.2), ("test", 0.3)):
        counts = np.bincount(label[drawn == name], minlength=3)
        assert counts == pytest.approx(share * np.array([300, 200, 100]), abs=1)


def test_groups_never_straddle():
    rng = np.random.default_rng()
    group = rng.integers(0, 12, 400)
    label = rng.integers(0, 3, 400)
    drawn = splits.draw(label, validation=0.2, test=0.2, seed=int(rng.integers(1000)), group=group)
    assert set(drawn) == {"train", "validation", "test"}
    for g in range(12):
        assert len(set(drawn[group == g])) == 1


def test_the_seed_decides():
    label = np.arange(100) % 4
    a, b, c = (splits.draw(label, validation=0.2, test=0.2, seed=s) for s in (1, 1, 2))
    assert (a == b).all()
    assert (a != c).any()


def test_too_few_to_split_is_one_line():
    with pytest.raises(DataError, match="too few samples of each class"):
        splits.draw(np.array([0, 0, 0, 1]), validation=0.25, test=0.25, seed=0)
    with pytest.raises(DataError) as caught:  # a column of measurements, taken for the label
        splits.draw(np.arange(1000), validation=0.2, test=0.2, seed=0)
    assert len(str(caught.value)) < 200
    with pytest.raises(DataError, match="too few groups"):
        splits.draw(np.zeros(5, int), validation=0.2, test=0.2, seed=0, group=np.zeros(5, int))


def test_groups_stay_on_one_side_of_the_holdout():
    table = load(samples=400).train
    rng = np.random.default_rng()
    table.group = rng.integers(0, 9, len(table))
    kept, held = splits.cut_holdout(table, 0.2, seed=int(rng.integers(1000)))
    assert len(kept) + len(held) == len(table)
    assert len(set(held.group)) == 2
    assert not set(kept.group) & set(held.group)


def test_holdout_is_cut_from_train():
    table = load(samples=400).train
    kept, held = splits.cut_holdout(table, 0.25, seed=1)
    assert not set(kept.ids) & set(held.ids)
    assert sorted(kept.ids + held.ids) == sorted(table.ids)
    assert len(held) == pytest.approx(0.25 * len(table), abs=1)
