"""Missing masks against the closed forms of the exact sampler."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.data import missing
from equipoise.data.datasets.synthetic import load
from equipoise.errors import ConfigError


@given(st.integers(2, 5), st.floats(0.01, 0.99), st.integers(0, 10**6))
def test_every_row_keeps_a_modality(modalities, rate, seed):
    rate = min(rate, (modalities - 1) / modalities)
    mask = missing.draw(np.ones((50, modalities), bool), rate, np.random.default_rng(seed))
    assert mask.any(axis=1).all()


@pytest.mark.parametrize(("modalities", "rate", "complete"), [(3, 0.5, 0.0625), (2, 0.3, 0.4), (4, 0.7, 0.000296)])
def test_rate_and_share_of_complete_rows_match_the_closed_form(modalities, rate, complete):
    rows = 200_000
    mask = missing.draw(np.ones((rows, modalities), bool), rate, np.random.default_rng())
    assert (~mask).mean() == pytest.approx(rate, abs=0.005)
    assert mask.all(axis=1).mean() == pytest.approx(complete, abs=0.005)
    assert (~mask).mean(axis=0) == pytest.approx(np.full(modalities, rate), abs=0.01)  # symmetric


def test_exact_count_has_no_variance():
    for _ in range(5):
        mask = missing.draw(np.ones((101, 3), bool), 0.4, np.random.default_rng(), exact=True)
        assert (~mask).sum() == round(0.4 * 101 * 3)
        assert mask.any(axis=1).all()


def test_a_rate_that_cannot_be_reached_is_lowered_and_says_so():
    with pytest.warns(UserWarning, match=r"lowered to 0\.5"):
        mask = missing.draw(np.ones((100, 2), bool), 0.8, np.random.default_rng())
    assert (mask.sum(axis=1) == 1).all()


def test_absent_cells_stay_absent():
    rng = np.random.default_rng()
    present = rng.random((500, 3)) < 0.5
    present[~present.any(axis=1), 0] = True
    mask = missing.draw(present, 0.3, rng)
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
        missing.draw(np.ones((4, 2), bool), 1.5, np.random.default_rng())
