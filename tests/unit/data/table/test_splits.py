"""Splits: proportions, groups that stay together, one clear line when it cannot be done."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

from equipoise.data.datasets.synthetic import load
from equipoise.data.table import splits
from equipoise.errors import DataError


def test_classes_are_spread_in_proportion():
    rng = np.random.default_rng()
    label = rng.permutation(np.repeat([0, 1, 2], [300, 200, 100]))
    drawn = splits.assign_splits(label, validation=0.2, test=0.3, seed=int(rng.integers(1000)))
    for name, share in (("train", 0.5), ("validation", 0.2), ("test", 0.3)):
        counts = np.bincount(label[drawn == name], minlength=3)
        assert counts == pytest.approx(share * np.array([300, 200, 100]), abs=1)


def test_groups_never_straddle():
    rng = np.random.default_rng()
    group = rng.integers(0, 12, 400)
    label = rng.integers(0, 3, 400)
    drawn = splits.assign_splits(
        label, validation=0.2, test=0.2, seed=int(rng.integers(1000)), group=group
    )
    assert set(drawn) == {"train", "validation", "test"}
    for g in range(12):
        assert len(set(drawn[group == g])) == 1


def test_the_seed_decides():
    label = np.arange(100) % 4
    a, b, c = (splits.assign_splits(label, validation=0.2, test=0.2, seed=s) for s in (1, 1, 2))
    assert (a == b).all()
    assert (a != c).any()


def test_too_few_to_split_is_one_line():
    with pytest.raises(DataError, match="too few samples of each class"):
        splits.assign_splits(np.array([0, 0, 0, 1]), validation=0.25, test=0.25, seed=0)
    with pytest.raises(DataError) as caught:  # a column of measurements, taken for the label
        splits.assign_splits(np.arange(1000), validation=0.2, test=0.2, seed=0)
    assert len(str(caught.value)) < 200
    with pytest.raises(DataError, match="too few groups"):
        splits.assign_splits(
            np.zeros(5, int), validation=0.2, test=0.2, seed=0, group=np.zeros(5, int)
        )


def test_groups_stay_on_one_side_of_the_holdout():
    rng = np.random.default_rng()
    table = load(samples=400).train
    table = replace(table, group=rng.integers(0, 9, len(table)))
    kept, held = splits.cut_holdout(table, 0.2, seed=int(rng.integers(1000)))
    assert len(kept) + len(held) == len(table)
    assert len(set(held.group)) == 2
    assert not set(kept.group) & set(held.group)


@pytest.fixture
def grouped():
    """Labels and groups: class 2 occurs in groups 0 and 1 alone, the others in all eight."""
    group = np.repeat(np.arange(8), 10)
    label = np.arange(80) % 2
    label[(group < 2) & (np.arange(80) % 10 < 4)] = 2
    return label, group


def outcome(cut):
    """The result of a cut, or its error, and its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = cut()
        except DataError as error:
            found = str(error)
    return found, [str(w.message) for w in caught]


def test_a_class_that_goes_with_its_groups_is_refused_in_train_and_told_elsewhere(grouped):
    label, group = grouped
    seen = set()
    for seed in range(60):
        found, told = outcome(
            lambda seed=seed: splits.assign_splits(
                label,
                validation=0.25,
                test=0.25,
                seed=seed,
                group=group,
                classes=("sad", "glad", "calm"),
            )
        )
        if isinstance(found, str):
            assert found.startswith(
                "no group of class 'calm' is left for the train split; draw again with another"
            )
            assert "--data.seed" in found
        else:
            lacking = [name for name in ("validation", "test") if 2 not in label[found == name]]
            assert [
                f"the {name} split" in line for name, line in zip(lacking, told, strict=True)
            ] == [True] * len(told)
            assert 2 in label[found == "train"]
            assert all("'calm'" in line and "\n" not in line for line in told)
        seen.add(found if isinstance(found, str) else len(told))
    assert len(seen) == 3, (
        "refused, one warning and two: 60 draws of 8 groups should meet all of them"
    )


def test_a_holdout_takes_no_class_away(grouped):
    label, group = grouped
    whole = load(samples=200, classes=3).train
    table = replace(whole.take(np.arange(80)), label=label, group=group)
    ends = set()
    for seed in range(60):
        found, told = outcome(lambda seed=seed: splits.cut_holdout(table, 0.5, seed=seed))
        if isinstance(found, str):
            assert found.startswith(
                "no group of class 'class 2' is left for the train split; try another --data.seed"
            )
            ends.add("refused")
        else:
            assert 2 in found[0].label
            assert len(told) == (2 not in found[1].label)
            assert all("'class 2' is left for the holdout split" in line for line in told)
            ends.add(len(told))
    assert ends == {"refused", 0, 1}


def test_rows_without_a_label_are_no_class(grouped):
    label, group = grouped
    label[group == 0] = -1
    label[label == 2] = 0
    found, told = outcome(
        lambda: splits.assign_splits(label, validation=0.25, test=0.0, seed=0, group=group)
    )
    assert not isinstance(found, str)
    assert not told


def test_holdout_is_cut_from_train():
    table = load(samples=400).train
    kept, held = splits.cut_holdout(table, 0.25, seed=1)
    assert not set(kept.ids) & set(held.ids)
    assert sorted(kept.ids + held.ids) == sorted(table.ids)
    assert len(held) == pytest.approx(0.25 * len(table), abs=1)
