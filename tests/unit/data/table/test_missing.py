"""Missing masks against the closed forms of the exact sampler."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from equipoise import data
from equipoise.configuration.layers import make_settings, nest
from equipoise.data.datasets.synthetic import load
from equipoise.data.table import missing
from equipoise.errors import ConfigError
from equipoise.methods.baselines.joint import Joint
from equipoise.runs.run import load_splits
from equipoise.settings import DataSettings
from equipoise.testing.world import fresh_seed


@given(st.integers(2, 5), st.floats(0.01, 0.99), st.integers(0, 10**6))
def test_every_row_keeps_a_modality(modalities, rate, seed):
    rate = min(rate, (modalities - 1) / modalities)
    mask = missing.hide_cells(np.ones((50, modalities), bool), rate, np.random.default_rng(seed))
    assert mask.any(axis=1).all()


@pytest.mark.parametrize(
    ("modalities", "rate", "complete"), [(3, 0.5, 0.0625), (2, 0.3, 0.4), (4, 0.7, 0.000296)]
)
def test_rate_and_share_of_complete_rows_match_the_closed_form(modalities, rate, complete):
    rows = 200_000
    mask = missing.hide_cells(np.ones((rows, modalities), bool), rate, np.random.default_rng())
    assert (~mask).mean() == pytest.approx(rate, abs=0.005)
    assert mask.all(axis=1).mean() == pytest.approx(complete, abs=0.005)
    assert (~mask).mean(axis=0) == pytest.approx(np.full(modalities, rate), abs=0.01)  # symmetric


def test_exact_count_has_no_variance():
    for _ in range(5):
        mask = missing.hide_cells(np.ones((101, 3), bool), 0.4, np.random.default_rng(), exact=True)
        assert (~mask).sum() == round(0.4 * 101 * 3)
        assert mask.any(axis=1).all()


def test_exact_count_of_incomplete_rows_is_the_one_expected_of_them():
    rng = np.random.default_rng()
    present = rng.random((80, 3)) < 0.6
    present[~present.any(axis=1), 1] = True
    masks = [
        missing.hide_cells(present, 0.4, rng, exact=exact) for exact in [True] * 20 + [False] * 2000
    ]
    assert all(not (mask & ~present).any() and mask.any(axis=1).all() for mask in masks)
    hidden = [int((present & ~mask).sum()) for mask in masks]
    assert len(set(hidden[:20])) == 1
    assert hidden[0] == pytest.approx(np.mean(hidden[20:]), abs=1)


def test_exact_count_treats_modalities_and_rows_alike():
    rng = np.random.default_rng()
    hidden = (
        sum(~missing.hide_cells(np.ones((20, 3), bool), 0.5, rng, exact=True) for _ in range(4000))
        / 4000
    )
    assert hidden == pytest.approx(np.full((20, 3), 0.5), abs=0.05)


def test_exact_count_of_one_modality():
    rng = np.random.default_rng()
    present = rng.random((200, 3)) < 0.7
    present[~present.any(axis=1), 0] = True
    droppable = present[:, 1] & present[:, [0, 2]].any(axis=1)
    kept = missing.hide_modality(present, 0.35, 1, rng, exact=True)
    assert (present & ~kept).sum() == round(0.35 * droppable.sum())
    assert kept.any(axis=1).all()
    assert (kept[:, [0, 2]] == present[:, [0, 2]]).all()


@pytest.mark.parametrize("modality", [None, "hard"])
def test_the_exact_share_is_a_setting_of_every_split(modality):
    splits = load_splits(
        make_settings(
            [
                nest(
                    {
                        "data": {
                            "source": "synthetic",
                            "options": {"samples": 157},
                            "seed": fresh_seed(),
                        },
                        "data.holdout": 0.2,
                        "missing": 0.3,
                        "missing_test": 0.2,
                        "missing_exact": True,
                        "missing_modality": modality,
                    }
                )
            ]
        ),
        Joint(),
    )
    for name, rate in {"train": 0.3, "holdout": 0.3, "validation": 0.2, "test": 0.2}.items():
        table = getattr(splits, name)
        hidden = sum(int((~p).sum()) for p in table.present.values())
        assert hidden == round(rate * len(table) * (2 if modality is None else 1)), name
        assert modality is None or table.present["easy"].all()


def test_a_rate_that_cannot_be_reached_is_lowered_and_says_so():
    with pytest.warns(UserWarning, match=r"lowered to 0\.5"):
        mask = missing.hide_cells(np.ones((100, 2), bool), 0.8, np.random.default_rng())
    assert (mask.sum(axis=1) == 1).all()


def test_absent_cells_stay_absent():
    rng = np.random.default_rng()
    present = rng.random((500, 3)) < 0.5
    present[~present.any(axis=1), 0] = True
    mask = missing.hide_cells(present, 0.3, rng)
    assert not (mask & ~present).any()
    assert mask.any(axis=1).all()


def test_mask_is_a_pure_function_of_seed_and_split():
    table = load(samples=200).train
    same = [missing.mask(table, 0.4, seed=3, split="train").present for _ in range(2)]
    other = missing.mask(table, 0.4, seed=3, split="test").present
    assert all((same[0][m] == same[1][m]).all() for m in table.modalities)
    assert any((same[0][m] != other[m]).any() for m in table.modalities)
    assert missing.mask(table, 0.0, seed=3, split="train") is table


def test_hidden_content_is_unavailable():
    table = missing.mask(load(samples=200).train, 0.4, seed=1, split="train")
    rows = np.arange(len(table))
    batch = table.rows(rows)
    for modality in table.modalities:
        hidden = ~table.present[modality]
        assert hidden.any()
        assert (batch.inputs[modality][hidden] == 0).all()
        assert (batch.inputs[modality][~hidden] != 0).any(dim=1).all()


def test_rate_outside_its_range_is_refused():
    with pytest.raises(ConfigError, match=r"in \[0, 1\), found 1.5"):
        missing.hide_cells(np.ones((4, 2), bool), 1.5, np.random.default_rng())


def test_one_modality_alone_is_hidden_in_that_share_of_the_samples():
    rng = np.random.default_rng()
    present = rng.random((40_000, 3)) < 0.7
    present[~present.any(axis=1), 0] = True
    kept = missing.hide_modality(present, 0.4, 1, rng)
    assert (kept[:, [0, 2]] == present[:, [0, 2]]).all()
    assert not (kept & ~present).any()
    assert kept.any(axis=1).all()
    droppable = present[:, 1] & present[:, [0, 2]].any(axis=1)
    assert 1 - kept[droppable, 1].mean() == pytest.approx(0.4, abs=0.02)


def test_one_modality_can_be_hidden_in_training_alone():
    both = {"samples": 300, "modalities": {"a": {}, "b": {}}}
    splits = data.load(
        DataSettings("synthetic", options=both, missing=0.6, missing_test=0.0, missing_modality="b")
    )
    assert splits.train.present["a"].all()
    assert splits.train.present["b"].mean() == pytest.approx(0.4, abs=0.15)
    assert all(t.present["b"].all() for t in (splits.validation, splits.test))
    with pytest.raises(ConfigError, match="no modality 'c'"):
        data.load(DataSettings("synthetic", options=both, missing_modality="c"))


def test_strictly_hidden_content_does_not_exist():
    table = missing.mask(load(samples=200).train, 0.4, seed=fresh_seed(), split="train")
    batch = table.rows(np.arange(len(table)))
    assert batch.revealed() is batch
    assert batch.existing is batch.present


def test_simulated_content_is_revealed_and_not_shown():
    whole, seed = load(samples=200).train, fresh_seed()
    strict, simulated = (
        missing.mask(whole, 0.4, seed=seed, split="train", simulated=s) for s in (False, True)
    )
    rows = np.random.default_rng().permutation(len(whole))[:50]
    shown, batch, truth = (t.rows(rows) for t in (strict, simulated, whole))
    for m in whole.modalities:
        assert torch.equal(batch.present[m], shown.present[m])
        assert torch.equal(batch.inputs[m], shown.inputs[m])
        assert batch.existing[m].all()
        assert torch.equal(batch.revealed().inputs[m], truth.inputs[m])
    some = batch.rows(torch.tensor([3, 1]))
    assert torch.equal(some.revealed().inputs[m], truth.inputs[m][[3, 1]])
    assert some.to("cpu").revealed().counts[m] == 2
    part = simulated.take(rows).rows(np.arange(50))
    assert torch.equal(part.revealed().inputs[m], truth.inputs[m])


def test_what_a_simulated_run_lacks_by_itself_cannot_be_revealed():
    seed = fresh_seed()
    table = missing.mask(load(samples=200).train, 0.3, seed=seed, split="own")
    batch = missing.mask(table, 0.3, seed=seed, split="train", simulated=True).rows(
        np.arange(len(table))
    )
    for m in table.modalities:
        assert np.array_equal(batch.existing[m].numpy(), table.present[m])
        assert (batch.present[m] <= batch.existing[m]).all()
        assert not torch.equal(batch.present[m], batch.existing[m])
        assert (batch.revealed().inputs[m][~batch.existing[m]] == 0).all()


def test_only_training_is_simulated():
    splits = data.load(
        DataSettings(
            "synthetic",
            options={"samples": 300},
            holdout=0.2,
            missing=0.5,
            missing_regime="simulated",
        )
    )
    hides = {}
    for name in ("train", "holdout", "validation", "test"):
        batch = getattr(splits, name).rows(np.arange(20))
        hides[name] = batch.revealed() is not batch
    assert hides == {"train": True, "holdout": True, "validation": False, "test": False}
    with pytest.raises(ConfigError, match="strict or simulated"):
        data.load(DataSettings("synthetic", missing_regime="loose"))


def test_a_batch_hides_more_and_reveals_all_that_was_there():
    table = missing.mask(
        load(samples=200).train, 0.3, seed=fresh_seed(), split="train", simulated=True
    )
    batch = table.rows(np.arange(40))
    shown = {m: torch.rand(40) < 0.5 for m in table.modalities}
    hidden = batch.hide(shown)
    for m in table.modalities:
        assert torch.equal(hidden.present[m], batch.present[m] & shown[m])
        assert (hidden.inputs[m][~hidden.present[m]] == 0).all()
        assert torch.equal(hidden.inputs[m][hidden.present[m]], batch.inputs[m][hidden.present[m]])
    assert hidden.revealed() is batch.revealed()
