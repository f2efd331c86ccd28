"""Labels keep the type they come in, and columns that are no class labels are refused."""

from __future__ import annotations

import json
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from equipoise.data.manifest.columns import ColumnReader
from equipoise.data.manifest.labels import LabelType, doubtful_labels, in_order
from equipoise.data.manifest.sheet import read_sheet
from equipoise.errors import DataError

CODES = [0, 1, 1, 0, 1]
NAMES = ["no", "yes", "yes", "no", "yes"]

COLUMNS = {
    "integers": pd.Series(CODES),
    "small": pd.Series(CODES, dtype="int8"),
    "nullable": pd.Series(CODES, dtype="Int64"),
    "booleans": pd.Series(CODES, dtype=bool),
    "nullable booleans": pd.Series(CODES, dtype="boolean"),
    "texts": pd.Series(NAMES, dtype=object),
    "strings": pd.Series(NAMES, dtype="string"),
    "categories": pd.Series(pd.Categorical(NAMES, categories=["yes", "no", "never"])),
    "ordered": pd.Series(pd.Categorical(NAMES, categories=["no", "yes"], ordered=True)),
    "integer categories": pd.Series(pd.Categorical(CODES)),
    "objects": pd.Series([np.int64(c) for c in CODES], dtype=object),
}


def read(values, known=None):
    frame = pd.DataFrame({"label": values})
    return ColumnReader(read_sheet(frame)).labels("label", known)


@pytest.mark.parametrize("values", COLUMNS.values(), ids=COLUMNS)
def test_labels_come_back_in_their_type(values):
    labels, found = read(values)
    kept = LabelType.from_dict(json.loads(json.dumps(found.to_dict())))
    back = kept.series(json.loads(json.dumps(labels)), values.index)
    assert (back == values).all()
    if values.dtype != object:
        assert back.dtype == values.dtype


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([1.0, np.nan, 0.0], [1, None, 0]),
        ([Decimal(1), None, Decimal("2.0")], [1, None, 2]),
        ([True, None], [True, None]),
        (pd.array([1, None], dtype="Int64"), [1, None]),
        (["a", " ", None], ["a", None, None]),
        ([" a", "a "], [" a", "a "]),
    ],
)
def test_labels_of_a_frame(values, labels):
    found, _ = read(values)
    assert found == labels
    assert [type(label) for label in found] == [type(label) for label in labels]


@pytest.mark.parametrize(
    ("cells", "labels"),
    [
        (["0", " 1", "-2"], [0, 1, -2]),
        (["0.0", "1.0", ""], [0, 1, None]),
        (["True", "False"], [True, False]),
        (["true", "false"], [True, False]),
        (["007", "1"], ["007", "1"]),
        (["1", "1.0"], ["1", "1.0"]),
        (["1", "nan"], ["1", "nan"]),
        (["True", "FALSE"], ["True", "FALSE"]),
        (["1" * 30, "2"], ["1" * 30, "2"]),
    ],
)
def test_labels_of_a_csv(tmp_path, cells, labels):
    path = tmp_path / "m.csv"
    path.write_text("x,label\n" + "".join(f"1,{cell}\n" for cell in cells))
    found, _ = ColumnReader(read_sheet(path)).labels("label")
    assert found == labels
    assert [type(label) for label in found] == [type(label) for label in labels]


REFUSED = {
    "lists": ([["a", "b"], ["a"]], r"row 0: \['a', 'b'\] .*list of labels.*multi-label"),
    "written lists": (["['a', 'b']", "[]"], "list of labels.*multi-label"),
    "tuples": ([("a",), ("b",)], "list of labels"),
    "arrays": ([np.array([0, 1]), np.array([1, 0])], "list of labels"),
    "tables": ([{"a": 1}, {"a": 2}], "nested values"),
    "bytes": ([b"a", b"b"], "bytes; .*decode"),
    "dates": (pd.date_range("2020", periods=2), "date or time"),
    "intervals": (pd.cut([1, 2, 3], 2), "an interval"),
    "fractions": ([0.5, 1.0, 0.5], r"such as 0\.5 \(2 different values in 3 rows\).*regression"),
    "infinite": ([np.inf, 1.0], "such as inf"),
    "mixed": ([1, "a", "a"], "mixes 2 texts and 1 integer;"),
    "flags and counts": (pd.Series([True, 2], dtype=object), "mixes"),
    "ids": (range(100), "different value in every one of 100 rows.*id or a quantity"),
    "huge integers": ([2**70, 2**71], "an integer of more than 64 bits"),
    "more digits than Python writes": ([10**5000, 10**5000], "more than 64 bits"),
    "surrogates": (pd.Series(["\ud800", "b"], dtype=object), "no valid text"),
    "complex": ([1j, 2j], "type complex"),
}


@pytest.mark.parametrize(("values", "words"), REFUSED.values(), ids=REFUSED)
def test_columns_that_are_no_class_labels(values, words):
    with pytest.raises(DataError, match=words) as caught:
        read(values)
    assert "\n" not in str(caught.value)


def test_fractions_of_a_csv_are_refused(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("x,label\n1,0.5\n1,1\n1,0.5\n")
    with pytest.raises(DataError, match=r"m\.csv: .* such as 0\.5 .*single-label.*regression"):
        ColumnReader(read_sheet(path)).labels("label")


@pytest.mark.parametrize(
    ("kind", "cells", "labels"),
    [
        ("integer", ["1", "1.0", 1.0, 1, True, "x"], [1, 1, 1, 1, "True", "x"]),
        ("boolean", [True, "True", "false", 1, "x"], [True, True, False, "1", "x"]),
        ("text", ["a", 1, 1.0, True], ["a", "1", "1", "True"]),
    ],
)
def test_labels_of_new_data_take_the_type_of_the_run(kind, cells, labels):
    found, _ = read(pd.Series(cells, dtype=object), LabelType(kind))
    assert found == labels
    assert [type(label) for label in found] == [type(label) for label in labels]


@pytest.mark.parametrize(
    "pair",
    [
        ("calm", "Calm"),
        ("calm", " calm"),
        ("a b", "a  b"),
        ("1", "1.0"),
        ("caf\u00e9", "cafe\u0301"),
        ("b'happy'", "happy"),
        ("calm", "calm\u200b"),
    ],
)
def test_two_spellings_are_told_with_their_counts(pair):
    first, *_ = doubtful_labels({pair[0]: 7, pair[1]: 1, "glad": 9})
    assert "(7 rows)" in first
    assert "(1 row)" in first
    assert "2 classes" in first


def test_spellings_that_look_alike_are_shown_by_code_point():
    [told] = doubtful_labels({"caf\u00e9": 1, "cafe\u0301": 2})
    assert r"'caf\xe9'" in told
    assert r"'cafe\u0301'" in told


@pytest.mark.parametrize("name", ["nan", "NaN", "inf", "-inf", "None", "NULL", "N/A"])
def test_a_class_that_looks_like_an_empty_cell_is_told(name):
    [told] = doubtful_labels({name: 3, "glad": 9})
    assert f"the class {name!r} (3 rows)" in told


def test_joined_labels_are_told():
    [told] = doubtful_labels({"a|b": 2, "a": 3, "c": 4})
    assert "'a|b' (2 rows)" in told
    assert doubtful_labels({"rock, pop": 2, "jazz": 3}) == []


def test_clean_labels_are_not_doubted():
    assert doubtful_labels({"calm": 1, "none": 2, "glad": 3}) == []
    assert doubtful_labels({0: 1, 1: 2}) == []
    assert doubtful_labels({False: 1, True: 2}) == []


def test_few_of_many_findings_are_listed():
    many = {f"{letter}{case}": 1 for letter in "abcdefgh" for case in "xX"}
    told = doubtful_labels(many)
    assert len(told) == 6
    assert told[-1].startswith("3 more")


def test_classes_are_in_order_of_their_values():
    assert in_order({10, 9, -1}) == [-1, 9, 10]
    assert in_order({True, False}) == [False, True]
    assert in_order({"10", "9", "1"}) == ["1", "9", "10"]
