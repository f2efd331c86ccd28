"""Rows of any columns as vectors, against closed forms and scikit-learn."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import OneHotEncoder

from equipoise.data.transforms.tabular import CUT, Inputs, Tabular
from equipoise.errors import ConfigError

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@pytest.fixture
def rng(seed):
    return np.random.default_rng(seed)


def fitted(block, kinds, **options):
    transform = Tabular({f"c{k}": kind for k, kind in enumerate(kinds)}, **options)
    learned = json.loads(json.dumps(transform.learn(np.asarray(block, dtype=np.float64))))
    return Inputs(transform.types, learned)


def test_numbers_are_centred_by_quartiles(rng):
    values = rng.normal(3, 7, 501)
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    found = fitted(values[:, None], ["number"])(values[:, None])[:, 0]
    assert found == pytest.approx((values - middle) / ((high - low) / 1.349), abs=1e-5)


def test_an_outlier_is_cut_and_moves_no_other(rng):
    values = rng.normal(size=200)
    plain = fitted(values[:, None], ["number"])(values[:, None])
    wild = np.append(values, -1e12)[:, None]
    found = fitted(wild, ["number"])(wild)
    assert found[-1] == -CUT
    assert np.abs(found[:-1] - plain).max() < 0.2


def test_skewed_numbers_lose_their_skewness(rng):
    values = np.exp(rng.normal(5, 2, 2000))
    found = fitted(values[:, None], ["number"])(values[:, None])[:, 0]
    centred = found - found.mean()
    assert abs((centred**3).mean() / found.std() ** 3) < 1
    assert np.array_equal(np.argsort(found, kind="stable"), np.argsort(values, kind="stable"))
    mirrored = fitted(-values[:, None], ["number"])(-values[:, None])[:, 0]
    assert mirrored == pytest.approx(-found, abs=1e-6)


def test_a_gap_is_the_median_with_an_input_of_its_own(rng):
    values = rng.normal(size=(99, 2))
    values[::3, 0] = np.nan
    found = fitted(values, ["number", "number"])(values)
    assert found.shape == (99, 3)
    assert np.array_equal(found[:, 2], np.isnan(values[:, 0]))
    assert (found[::3, 0] == 0).all()
    new = np.array([[0.5, np.nan]])
    assert fitted(values, ["number", "number"])(new)[0, 1] == 0


@given(
    st.lists(st.one_of(FINITE, st.just(np.nan)), min_size=1, max_size=12),
    st.lists(st.one_of(FINITE, st.just(np.nan)), min_size=1, max_size=5),
)
def test_inputs_are_always_finite_and_bounded(known, new):
    inputs = fitted(np.array(known)[:, None], ["number"])
    found = inputs(np.array(new)[:, None])
    assert found.shape == (len(new), inputs.width)
    assert found.dtype == np.float32
    assert (np.abs(found) <= CUT).all()


def test_categories_are_as_of_scikit_learn(rng):
    codes = rng.choice(6, 200, p=[0.4, 0.3, 0.2, 0.08, 0.01, 0.01]).astype(float)
    new = np.array([0.0, 3, 77, 4])
    theirs = OneHotEncoder(
        min_frequency=5, handle_unknown="infrequent_if_exist", sparse_output=False
    ).fit(codes[:, None])
    inputs = fitted(codes[:, None], ["category"], rare=5)
    assert np.array_equal(inputs(codes[:, None]), theirs.transform(codes[:, None]))
    assert np.array_equal(inputs(new[:, None]), theirs.transform(new[:, None]))


def test_values_that_training_did_not_have_are_zeros():
    codes = np.repeat([1.0, 2.0], 10)[:, None]
    inputs = fitted(codes, ["category"])
    assert inputs(np.array([[2.0], [5.0], [np.nan]])).tolist() == [[0, 1], [0, 0], [0, 0]]


def test_an_empty_category_has_its_own_input():
    codes = np.array([*[1.0] * 5, np.nan, 2.0])[:, None]
    found = fitted(codes, ["category"])(codes)
    assert found[4:].tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0]]


def test_the_most_frequent_values_are_kept(rng):
    codes = np.repeat(np.arange(9.0), np.arange(1, 10))[:, None]
    inputs = fitted(codes, ["category"], rare=1, most=3, shared=1)
    assert inputs(np.arange(9.0)[:, None]).argmax(1).tolist() == [3] * 6 + [0, 1, 2]


def test_values_beyond_the_most_frequent_share_inputs_evenly():
    codes = np.repeat(np.arange(20.0), [1, *[5] * 12, *[9] * 7])[:, None]
    inputs = fitted(codes, ["category"], most=7, shared=5)
    found = inputs(np.array([[*np.arange(20.0), 99.0]]).T)
    places = found.argmax(1)
    assert inputs.width == 7 + 5 + 1
    assert (found.sum(1) == 1).all()
    assert places[13:20].tolist() == [*range(7)]
    assert np.bincount(places[1:13] - 7).tolist() == [3, 3, 2, 2, 2]
    assert places[[0, 20]].tolist() == [12, 12], "rare and new values share one"
    transform = Tabular({"0": "category"}, most=7, shared=5)
    (remark,) = transform.remarks(transform.learn(codes))
    assert remark == "0: 19 values, 7 with an input each, the others share 5"


def test_numbers_can_be_scaled_plainly_or_not_at_all(rng):
    values = np.exp(rng.normal(3, 2, (50, 1)))
    new = np.array([[1e6], [np.nan], [0.0]])
    plain = fitted(values, ["number"], normalise="fit")
    expected = (new - values.mean()) / values.std()
    np.testing.assert_allclose(plain(new)[:, 0], np.nan_to_num(expected)[:, 0], rtol=1e-5)
    assert fitted(values, ["number"], normalise="none")(new)[:, 0].tolist() == [1e6, 0, 0]
    days = 86_400.0 * np.arange(20)[:, None]
    dates = [fitted(days, ["date"], normalise=n)(days) for n in ("auto", "none")]
    np.testing.assert_array_equal(*dates)


def test_dates_are_points_on_circles():
    day = 86_400.0
    monday = 4 * day  # 5 January 1970
    seconds = monday + day * np.arange(15)
    found = fitted(seconds[:, None], ["date"])(seconds[:, None])
    # elapsed, the year and the week; all are at midnight, so there is no part of the day
    assert found.shape == (15, 5)
    assert found[0] == pytest.approx(
        found[7] * [0, 0, 0, 1, 1] + found[0] * [1, 1, 1, 0, 0], abs=1e-6
    )
    assert (np.diff(found[:, 0]) > 0).all()
    assert found[:, 1] == pytest.approx(np.sin(2 * np.pi * np.arange(4, 19) / 366), abs=1e-6)
    hours = np.array([[0.0], [day / 4], [np.nan]])
    turned = fitted(hours, ["date"])(hours)
    assert turned[:, 2:].tolist() == [
        pytest.approx(row, abs=1e-6) for row in ([0, 1], [1, 0], [0, 0])
    ]


def test_a_column_without_any_value_has_one_silent_input():
    nothing = np.full((4, 3), np.nan)
    found = fitted(nothing, ["number", "category", "date"])(np.array([[3.0, 2.0, 1.0]]))
    assert np.isfinite(found).all()


@pytest.mark.parametrize(
    "options",
    [
        {"types": {"x": "colour"}},
        {"types": ["number"]},
        {"rare": 0},
        {"most": 1.5},
        {"shared": 0},
        {"normalise": "quartiles"},
    ],
)
def test_bad_options(options):
    with pytest.raises(ConfigError, match="tabular: "):
        Tabular(**options)
