"""A tabular modality: from any table through training to predictions on new rows."""

import json

import numpy as np
import pandas as pd
import pytest

import equipoise
from equipoise import data
from equipoise.errors import ConfigError, DataError
from equipoise.settings import DataSettings

TABULAR = "patient=age,job,smoker,seen,dose:tabular"


@pytest.fixture
def rng(seed):
    return np.random.default_rng(seed)


@pytest.fixture
def frame(rng):
    """120 patients, whose label follows from age, job and the day, and two vectors beside them."""
    rows = 120
    label = np.arange(rows) % 2
    found = pd.DataFrame(
        {
            "age": pd.array((40 + 12 * label + rng.normal(0, 4, rows)).round(), dtype="Int64"),
            "job": np.where(rng.random(rows) < 0.8, np.where(label, "cook", "smith"), "clerk"),
            "smoker": pd.array(rng.random(rows) < 0.3 + 0.4 * label, dtype="boolean"),
            "seen": pd.Timestamp("2020-01-01")
            + pd.to_timedelta(rng.integers(0, 500, rows) + 200 * label, unit="D"),
            "dose": np.exp(rng.normal(label, 1, rows)).round(3),
            "x0": rng.normal(label, 1),
            "x1": rng.normal(size=rows),
            "y0": rng.normal(label, 1),
            "label": np.where(label, "ill", "well"),
            "part": np.resize(["train", "train", "train", "validation", "test"], rows),
        }
    )
    for column in ("age", "job", "smoker", "seen", "dose"):
        found.loc[rng.random(rows) < 0.1, column] = None
    found.loc[rng.choice(rows, 6, replace=False), ["age", "job", "smoker", "seen", "dose"]] = None
    return found


def load(source, *modalities, **settings):
    chosen = list(modalities) or [TABULAR, "x=x0,x1:vector"]
    return data.load(DataSettings(source, modality=chosen, split="part", **settings))


def vectors(table, modality="patient"):
    return table.rows(np.arange(len(table))).inputs[modality].numpy()


def written(frame, folder, ending):
    path = folder / f"table.{ending}"
    if ending == "csv":
        frame.to_csv(path, index=False)
    elif ending == "jsonl":
        frame.assign(seen=frame["seen"].astype(str).replace("NaT", None)).to_json(
            path, orient="records", lines=True
        )
    else:
        pytest.importorskip("pyarrow")
        frame.to_parquet(path)
    return str(path)


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_every_format_gives_the_same(frame, tmp_path, ending):
    expected = load(frame)
    found = load(written(frame, tmp_path, ending))
    assert found.preprocessing["transforms"] == expected.preprocessing["transforms"]
    for part in ("train", "validation", "test"):
        first, second = getattr(expected, part), getattr(found, part)
        assert np.array_equal(first.present["patient"], second.present["patient"])
        assert np.array_equal(vectors(first), vectors(second))


def test_the_types_of_pandas_give_the_same(frame):
    other = frame.astype(
        {"age": "float64", "job": "category", "smoker": object, "seen": object, "dose": object}
    )
    assert np.array_equal(vectors(load(frame).test), vectors(load(other).test))


def test_a_row_of_empty_cells_is_absent(frame):
    parts = load(frame)
    for part in ("train", "validation", "test"):
        table = getattr(parts, part)
        rows = frame[frame["part"] == part]
        empty = rows[["age", "job", "smoker", "seen", "dose"]].isna().all(axis=1)
        assert np.array_equal(table.present["patient"], ~empty)
        assert (vectors(table)[empty] == 0).all()


def test_it_says_what_it_takes(frame):
    parts = load(frame)
    assert parts.preprocessing["reading"]["patient"] == "2 numbers, 1 boolean, 1 category, 1 date"
    assert parts.train.specs["patient"].shape == (vectors(parts.train).shape[1],)


def test_several_columns_that_are_not_all_numbers_are_tabular(frame):
    parts = load(frame, "patient=age,job", "x=x0,x1")
    assert [spec.kind for spec in parts.train.specs.values()] == ["tabular", "vector"]


def test_test_rows_change_nothing(frame):
    poisoned = frame.copy()
    later = frame["part"] != "train"
    poisoned["job"] = poisoned["job"].where(~later, "poison")
    poisoned["dose"] = poisoned["dose"].where(~later, -1e9)
    poisoned["seen"] = poisoned["seen"].where(~later, pd.Timestamp("1950-05-05 11:11:11"))
    poisoned["age"] = poisoned["age"].where(~later, 7000)
    first, second = load(frame), load(poisoned)
    assert first.preprocessing == second.preprocessing
    assert np.array_equal(vectors(first.train), vectors(second.train))


def test_neither_the_holdout_nor_a_hidden_cell_is_learned_from(frame):
    facts = [
        load(frame, **settings).preprocessing["learned"]["patient"]["numbers"]["dose"]
        for settings in ({}, {"holdout": 0.3}, {"missing": 0.4})
    ]
    assert facts[0] != facts[1]
    assert facts[0] != facts[2]


@pytest.mark.parametrize("modalities", [[TABULAR, "x=x0,x1:vector"], [TABULAR, "x=x*", "y=y0"]])
def test_a_run_predicts_new_rows(frame, tmp_path, modalities):
    settings = {"epochs": 2, "width": 8, "split": "part", "out": tmp_path / "run"}
    run = equipoise.fit(frame, method="mla", modality=modalities, **settings)
    rows = frame[frame["part"] == "test"].reset_index(drop=True)
    first = equipoise.predict(run, rows.drop(columns=["label", "part"]))
    written(rows.astype({"age": float}), tmp_path, "csv")
    assert np.allclose(first["p_ill"], equipoise.predict(run, tmp_path / "table.csv")["p_ill"])
    text = json.loads((tmp_path / "run/data.json").read_text())["inputs"]["patient"]
    assert text.startswith("2 numbers, 1 boolean, 1 category, 1 date → ")
    assert " inputs → residual_mlp, " in text
    alone = equipoise.predict(run, rows.iloc[[3]])
    assert np.allclose(alone["p_ill"], first["p_ill"][3], atol=1e-6)


def test_new_rows_that_do_not_fit(frame, tmp_path):
    settings = {"epochs": 1, "width": 8, "split": "part", "out": tmp_path / "run"}
    run = equipoise.fit(frame, modality=[TABULAR, "x=x0,x1:vector"], **settings)
    rows = frame[frame["part"] == "test"].drop(columns="label").reset_index(drop=True)
    expected = equipoise.predict(run, rows)
    texts = rows.assign(age=rows["age"].astype("string"), dose=rows["dose"].astype("string"))
    assert np.allclose(equipoise.predict(run, texts)["p_ill"], expected["p_ill"])
    equipoise.predict(run, rows.assign(job="astronaut"))
    with pytest.raises(
        ConfigError, match=r"no column 'job' \(modality 'patient'\); did you mean 'jobs'"
    ):
        equipoise.predict(run, rows.rename(columns={"job": "jobs"}))
    with pytest.raises(DataError, match="row 0, modality 'patient': 'old' in column 'age' is not"):
        equipoise.predict(run, rows.assign(age="old"))
    with pytest.raises(DataError, match="'17' in column 'seen' is not a date"):
        equipoise.predict(run, rows.assign(seen=17))
    with pytest.warns(UserWarning, match="1 bad cell taken as absent"):
        equipoise.predict(
            run, rows.assign(age=["old", *rows["age"].astype(object)[1:]]), problems="absent"
        )


def test_types_can_be_given(frame):
    frame["age"] = frame["age"].astype(object)
    parts = load(frame, TABULAR, "x=x0", options={"patient": {"types": {"age": "category"}}})
    assert "age" in parts.preprocessing["learned"]["patient"]["vocabulary"]
    assert parts.preprocessing["transforms"]["patient"]["types"]["job"] == "category"
    with pytest.raises(ConfigError, match=r"no column 'agee'; did you mean 'age'"):
        load(frame, TABULAR, options={"patient": {"types": {"agee": "category"}}})


@pytest.mark.parametrize("normalise", ["auto", "fit", "none", [[1.0], [2.0]]])
def test_number_columns_can_be_scaled_otherwise(frame, tmp_path, normalise):
    frame[["x0", "x1"]] = 100 * frame[["x0", "x1"]] ** 3
    declared = ["x=x0,x1:vector", "y=y0:vector"]
    options = {"x": {"normalise": normalise}}
    parts = load(frame, *declared, options=options)
    raw = frame.loc[frame["part"] == "train", ["x0", "x1"]].to_numpy()
    expected = {
        "auto": ((raw - raw.mean(0)) / raw.std(0)).clip(-8, 8),
        "fit": (raw - raw.mean(0)) / raw.std(0),
        "none": raw,
    }
    found = vectors(parts.train, "x")
    scaled = (raw - 1) / 2 if isinstance(normalise, list) else expected[normalise]
    np.testing.assert_allclose(found, scaled, rtol=1e-4, atol=1e-5)
    given = {"split": "part", "out": tmp_path / "run", "epochs": 1, "verbose": 0}
    run = equipoise.fit(frame, modality=declared, **given, **{"data.options": options})
    test = frame[frame["part"] == "test"].drop(columns=["label", "part"])
    again = equipoise.predict(run, test.reset_index(drop=True))
    assert len(again) == len(test)


def test_number_columns_have_one_setting(frame):
    with pytest.raises(ConfigError, match="no setting 'normalize'; did you mean 'normalise'"):
        load(frame, "x=x0,x1:vector", "y=y0", options={"x": {"normalize": "fit"}})
    with pytest.raises(ConfigError, match="made of one number, or of 2"):
        load(frame, "x=x0,x1:vector", "y=y0", options={"x": {"normalise": [[1, 2, 3], [1, 1, 1]]}})


def test_a_pattern_takes_neither_the_label_nor_the_columns_of_others(frame):
    parts = load(frame, "all=*:tabular", "x=x0,x1:vector", group="y0")
    columns = parts.preprocessing["modalities"][0]["columns"]
    assert columns == ["age", "job", "smoker", "seen", "dose"]


def test_a_column_that_is_the_label_is_warned_of(frame):
    frame["cause"] = frame["label"].map({"ill": "virus", "well": "none"})
    with pytest.warns(UserWarning, match="column 'cause' of modality 'patient' has one value for"):
        load(frame, "patient=age,cause:tabular")
    report = equipoise.doctor(frame, modality=["patient=age,cause:tabular"], split="part")
    assert {"modality": "patient", "column": "cause"} in report["leakage"]["numbers"]


def test_doubtful_columns_are_warned_of(frame):
    frame["dose"] = frame["dose"].astype(object)
    frame.loc[0, "dose"] = "much"
    with pytest.warns(UserWarning, match="'dose' is taken as a category, since 1 of its"):
        load(frame)
    frame["dose"] = [f"word{k}" for k in range(len(frame))]
    with pytest.warns(UserWarning, match="which tells little"):
        load(frame)
    frame["seen"] = np.resize(["01/02/2020", "03/04/2020", "05/06/2020"], len(frame))
    with pytest.warns(UserWarning, match="nothing tells whether day or month stands first"):
        load(frame, "patient=seen,age:tabular")
