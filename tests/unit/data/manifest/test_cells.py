"""Types of columns, and cells as numbers."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from equipoise.data.manifest.cells import CellColumn, has_two_readings, type_of
from equipoise.errors import DataError


@pytest.fixture
def rng(seed):
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["1", "-2.5", "1e3"], "number"),
        (["1", "?", "NA", "-"], "number"),
        (["True", "false"], "boolean"),
        (["false"], "boolean"),
        (["yes", "No"], "boolean"),
        (["yes"], "category"),
        (["f", "m"], "category"),
        (["1", "two"], "category"),
        (["2020-01-31", "2021-02-01T10:00:00"], "date"),
        (["31.12.2020", "01.02.2021"], "date %d.%m.%Y"),
        (["12/31/2020 10:00"], "date %m/%d/%Y %H:%M"),
        (["31/12/2020"], "date %d/%m/%Y"),
        (["10:15", "23:59"], "date %H:%M"),
        (["2020-01-31", "later"], "category"),
        (["room 12", "room 14"], "category"),
        ([], "category"),
    ],
)
def test_the_type_of_a_column(texts, expected):
    assert type_of(texts) == expected


def test_days_and_months_that_cannot_be_told_apart():
    for texts, both in ((["01/02/2020", "03/04/2020"], True), (["01/31/2020"], False)):
        assert has_two_readings(texts, type_of(texts)) == both


def read(cells, kind, name="x"):
    return CellColumn(name, cells).numbers(kind)


def test_numbers_are_read_from_every_dtype(rng):
    whole = rng.integers(-9, 9, 20)
    for cells in (
        pd.Series(whole),
        pd.Series(whole, dtype="Int64"),
        pd.Series(whole.astype(float)),
        pd.Series(whole.astype(str)),
        pd.Series(whole.astype(str), dtype="category"),
        pd.Series(whole, dtype=object),
    ):
        values, bad = read(cells, "number")
        assert np.array_equal(values, whole)
        assert not len(bad)


@pytest.mark.parametrize("dtype", [object, "Int64", "boolean", "string", "category"])
def test_gaps_are_nan_in_every_dtype(dtype):
    cells = pd.Series([1, None, 0, 1], dtype=object)
    if dtype == "boolean":
        cells = cells.map({1: True, 0: False})
    if dtype == "string":
        cells = cells.map({1: "1", 0: "0"})
    values, _ = read(cells.astype(dtype), "boolean")
    assert np.array_equal(values, [1, np.nan, 0, 1], equal_nan=True)


def test_dates_are_seconds():
    moment = datetime(2021, 3, 4, 5, 6, 7, tzinfo=UTC)
    for cells in (
        pd.Series(["2021-03-04 05:06:07", None]),
        pd.Series(["2021-03-04T06:06:07+01:00", ""]),
        pd.Series([moment, None]),
        pd.to_datetime(pd.Series(["2021-03-04 05:06:07", None])),
        pd.Series([pd.Timestamp(moment).tz_convert("Europe/Paris"), None]),
    ):
        values, bad = read(cells, "date")
        assert values[0] == moment.timestamp()
        assert np.isnan(values[1])
        assert not len(bad)


def test_dates_long_ago_and_far_ahead():
    for year in (1066, 1969, 9999):
        moment = datetime(year, 7, 8, tzinfo=UTC)
        text = f"{year:04d}-07-08"
        values, bad = read(pd.Series([text, "2020-01-01"]), type_of([text, "2020-01-01"]))
        assert values[0] == moment.timestamp()
        assert not len(bad)


def test_a_category_is_known_by_its_text_alone(rng):
    words = rng.choice(["a", "b", "c c", "1", "2.5"], 30)
    first, _ = read(pd.Series(words), "category")
    again, _ = read(pd.Series(words[::-1], dtype="category"), "category")
    assert np.array_equal(first, again[::-1])
    assert len(np.unique(first)) == len(np.unique(words))
    numbers, _ = read(pd.Series([1.0, 2.5]), "category")
    assert np.array_equal(numbers, read(pd.Series(["1", "2.5"]), "category")[0])


@pytest.mark.parametrize(
    ("kind", "cell"), [("number", "tall"), ("number", "inf"), ("boolean", "maybe"), ("date", "17")]
)
def test_a_cell_of_another_type_is_told_by_its_row(kind, cell):
    good = {"number": "1", "boolean": "true", "date": "2020-01-01"}[kind]
    _, bad = read(pd.Series([good, None, cell, good]), kind)
    assert bad.tolist() == [2]


def test_lists_are_refused():
    with pytest.raises(DataError, match="column 'x' holds lists"):
        CellColumn("x", pd.Series([[1], [2]]))


@pytest.mark.parametrize("texts", [["c1", "c2999"], ["x7", "y"], ["a.1", "b.2"], ["7th", "8th"]])
def test_what_cannot_be_a_date_is_not_tried_as_one(monkeypatch, texts):
    """Trying all formats on each of thousands of columns takes minutes."""
    monkeypatch.setattr(
        "equipoise.data.manifest.cells._dates", lambda *_: pytest.fail("a format was tried")
    )
    assert type_of(texts) == "category"
