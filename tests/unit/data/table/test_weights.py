"""Class weights, balanced sampling and a column of weights."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from equipoise import data
from equipoise.data.datasets.synthetic import load
from equipoise.data.table.loader import Loader
from equipoise.data.table.weights import class_weights, weighted, weighted_to_train
from equipoise.errors import ConfigError, DataError
from equipoise.settings import DataSettings, Settings


@pytest.fixture
def rng():
    seed = int(np.random.SeedSequence().generate_state(1)[0])
    print(f"seed {seed}")
    return np.random.default_rng(seed)


@pytest.fixture
def table(rng):
    """A training table with classes of unequal size."""
    whole = load(samples=200, classes=4, seed=int(rng.integers(1000))).train
    kept = [np.flatnonzero(whole.label == c)[: 30 // (c + 1)] for c in range(4)]
    return whole.take(rng.permutation(np.concatenate(kept)))


def test_balanced_weights_are_those_of_scikit_learn(table):
    found = class_weights("balanced", table)
    classes = np.unique(table.label)
    expected = compute_class_weight("balanced", classes=classes, y=table.label)
    np.testing.assert_allclose(found[classes], expected)
    rows = weighted(table, found).weight
    sums = np.bincount(table.label, weights=rows)
    np.testing.assert_allclose(sums, sums[0], rtol=1e-6)


def test_rows_of_unequal_weight_count_by_it(table, rng):
    heavy = replace(table, weight=rng.random(len(table)).astype(np.float32))
    rows = weighted(heavy, class_weights("balanced", heavy)).weight
    sums = np.bincount(table.label, weights=rows)
    np.testing.assert_allclose(sums, sums[0], rtol=1e-5)
    np.testing.assert_array_equal(weighted(heavy, None).weight, heavy.weight)


def test_named_weights(table):
    names = [str(name) for name in table.classes]
    found = class_weights({names[2]: 3.0, names[0]: 0.0}, table)
    np.testing.assert_array_equal(found, [0, 1, 3, 1])
    assert class_weights("none", table) is None
    with pytest.raises(ConfigError, match="no class 'nobody'"):
        class_weights({"nobody": 1.0}, table)
    with pytest.raises(ConfigError, match="every class weighs 0"):
        class_weights(dict.fromkeys(names, 0.0), table)


@pytest.mark.parametrize("setting", ["none", "balanced", {"class 0": 7.0, "class 2": 0.0}])
def test_rows_that_train_have_a_mean_weight_of_one(table, rng, setting):
    own = rng.random(len(table)).astype(np.float32)
    for rows in (table, replace(table, weight=own)):
        train, held = weighted_to_train(rows, rows, setting, "uniform")
        if setting == "none" and rows is table:
            assert train is held is table
            continue
        np.testing.assert_allclose(train.weight.mean(), 1, rtol=1e-6)
        np.testing.assert_array_equal(train.weight, held.weight)
        before = weighted(rows, class_weights(setting, rows)).weight
        np.testing.assert_allclose(train.weight / train.weight.sum(), before / before.sum(), 1e-5)
        drawn, none = weighted_to_train(rows, None, setting, "balanced")
        assert none is None
        means = [drawn.weight[table.label == c].mean() for c in np.unique(table.label)]
        np.testing.assert_allclose(np.mean(means), 1, rtol=1e-6)


def test_a_class_without_training_rows_has_no_weight(table):
    fewer = table.take(np.flatnonzero(table.label != 1))
    found = class_weights("balanced", fewer)
    assert found[1] == 0
    assert np.isfinite(found).all()


@pytest.mark.parametrize("world", [2, 3])
def test_balanced_sampling_is_even_exact_over_ranks_and_as_long(table, world):
    options = {"seed": 3, "shuffle": True, "balanced": True}
    loader = Loader(table, 16, **options)
    assert len(loader) == len(Loader(table, 16, seed=3, shuffle=True))
    epochs = []
    for epoch in range(3):
        whole = [batch.index for batch in loader.batches(epoch)]
        rows = torch.cat(whole).numpy()
        assert len(rows) == len(table)
        counts = np.bincount(table.label[rows], minlength=4)
        assert counts.max() - counts.min() <= 1
        for code in range(4):  # no row more than once more often than another of its class
            often = np.bincount(rows, minlength=len(table))[table.label == code]
            assert often.max() - often.min() <= 1
        parts = [
            [b.index for b in Loader(table, 16, rank=r, world=world, **options).batches(epoch)]
            for r in range(world)
        ]
        for number, batch in enumerate(whole):
            assert torch.equal(batch, torch.cat([part[number] for part in parts]))
        rest = [batch.index for batch in loader.batches(epoch, start=1)]
        assert all(torch.equal(a, b) for a, b in zip(whole[1:], rest, strict=True))
        epochs.append(rows.tolist())
    assert epochs[0] != epochs[1]
    assert [b.index.tolist() for b in loader.batches(1)] == [
        b.index.tolist() for b in Loader(table, 16, **options).batches(1)
    ]


@pytest.fixture
def frame(rng):
    return pd.DataFrame(
        {
            "x": rng.standard_normal(60),
            "y": rng.standard_normal(60),
            "label": np.arange(60) % 2,
            "cost": rng.random(60) + 0.5,
        }
    )


def settings(frame, **options):
    return DataSettings(source=frame, modality=["a=x", "b=y"], **options)


def test_a_column_of_weights_reaches_every_batch(frame):
    parts = data.load(settings(frame, weight="cost", missing=0.3, holdout=0.2))
    for table in (parts.train, parts.holdout):
        expected = frame["cost"].to_numpy(np.float32)[[int(i) for i in table.ids]]
        np.testing.assert_array_equal(table.weight, expected)
        for batch in Loader(table, 8, seed=1, shuffle=True).batches(0):
            np.testing.assert_array_equal(batch.weight, expected[batch.index])
            shown = batch.hide({m: torch.ones(len(batch), dtype=torch.bool) for m in "ab"})
            assert torch.equal(shown.rows(slice(0, 3)).weight, batch.weight[:3])
    plain = data.load(settings(frame))
    assert plain.train.weight is None
    assert plain.digest != data.load(settings(frame, weight="cost")).digest


def test_no_pattern_takes_the_column_of_weights_for_a_modality(frame):
    parts = data.load(DataSettings(source=frame, modality=["a=*"], weight="cost"))
    assert parts.train.specs["a"].shape == (2,)


@pytest.mark.parametrize(
    ("cell", "words"), [(-1.5, "-1.5"), (np.nan, "None"), ("many", "many"), (np.inf, "inf")]
)
def test_a_cell_that_is_no_weight_is_refused_with_its_row(frame, cell, words):
    frame["cost"] = frame["cost"].astype(object)
    frame.loc[4, "cost"] = cell
    with pytest.raises(DataError, match=f"row 4.*{words}.*cost|row 4.*cost.*{words}"):
        data.load(settings(frame, weight="cost"))


def test_rows_that_all_weigh_nothing_are_refused(frame):
    with pytest.raises(DataError, match="all training rows weigh 0"):
        data.load(settings(frame.assign(cost=0), weight="cost"))


def test_a_gamma_without_the_focal_loss_is_refused():
    with pytest.raises(
        ConfigError, match="'focal_gamma' must be left out unless the loss is focal"
    ):
        Settings.from_dict({"focal_gamma": 1})
    assert Settings.from_dict({"focal_gamma": 1, "loss": "focal"}).focal_gamma == 1


def test_wrong_class_weights_are_refused_at_once():
    for wrong in ("even", {"a": -1}, {"a": "much"}, 3):
        with pytest.raises(ConfigError, match="class_weight"):
            Settings.from_dict({"class_weight": wrong})
    assert Settings.from_dict({"class_weight": {1: 2}}).class_weight == {"1": 2.0}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Settings.from_dict({"class_weight": None}).class_weight == "none"
