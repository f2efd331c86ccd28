"""The rows of a search: folds, groups and weights."""

from dataclasses import replace

import numpy as np
import pytest

from equipoise.portfolio import material
from equipoise.portfolio.material import gather
from equipoise.settings import Settings
from equipoise.testing.world import fresh_seed, small_splits


def gathered(splits, **values):
    return gather(Settings.from_dict({"data": "synthetic", **values}), splits)


@pytest.mark.parametrize("count", [2, 3])
def test_every_labelled_row_is_held_out_once_and_the_validation_split_is_a_fold(count):
    splits = small_splits(count, fresh_seed(), missing=0.3)
    found = gathered(splits)
    held = [found.held(k) for k in range(found.folds)]
    np.testing.assert_array_equal(np.sort(np.concatenate(held)), np.arange(len(found.rows)))
    ids = [found.rows.ids[row] for row in found.held(0)]
    assert ids == splits.validation.ids
    assert len(found.trained(0)) == len(splits.train)
    for k in range(1, found.folds):
        assert not np.intersect1d(found.trained(k), found.held(k)).size
        assert np.intersect1d(found.trained(k), found.held(0)).size == len(splits.validation)


def test_no_group_is_trained_on_and_held_out_in_one_fold():
    splits = small_splits(2, fresh_seed())
    rng = np.random.default_rng(fresh_seed())
    splits = replace(
        splits,
        train=replace(splits.train, group=rng.integers(12, size=len(splits.train))),
        validation=replace(splits.validation, group=rng.integers(12, size=len(splits.validation))),
    )
    found = gathered(splits)
    for k in range(1, found.folds):
        group = found.rows.group
        assert not np.intersect1d(group[found.trained(k)], group[found.held(k)]).size


def test_many_rows_are_not_cut_into_folds(monkeypatch):
    monkeypatch.setattr(material, "FEW", 100)
    found = gathered(small_splits(2, fresh_seed()))
    assert found.folds == 1
    assert (found.fold[: found.training] == -1).all()


def test_modalities_of_slow_networks_are_cut_into_folds_only_where_rows_are_very_few(monkeypatch):
    splits = small_splits(2, fresh_seed())
    monkeypatch.setattr(material, "MEDIA", ("vector",))
    assert gathered(splits).folds > 1
    monkeypatch.setattr(material, "FEW_MEDIA", 10)
    assert gathered(splits).folds == 1


def test_rows_without_a_label_are_left_out():
    splits = small_splits(2, fresh_seed())
    label = splits.validation.label.copy()
    label[:5] = -1
    found = gathered(replace(splits, validation=replace(splits.validation, label=label)))
    assert len(found.held(0)) == len(label) - 5


def test_balanced_classes_weigh_the_same():
    splits = small_splits(2, fresh_seed())
    keep = (splits.train.label != 0) | (np.arange(len(splits.train)) % 4 == 0)
    splits = replace(splits, train=splits.train.take(np.flatnonzero(keep)))
    found = gathered(splits, class_weight="balanced")
    weight = found.weight[: found.training]
    label = found.rows.label[: found.training]
    sums = [weight[label == k].sum() for k in range(3)]
    np.testing.assert_allclose(sums, sums[0], rtol=1e-5)
