"""New data for a finished run: bad files, labels that are none, and the index of a DataFrame."""

import csv
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import equipoise
from equipoise.cli import main
from equipoise.errors import ConfigError, DataError

TINY = {"modality": ["first=file:vector", "second=x*:vector"], "epochs": 1, "width": 4}


@pytest.fixture
def frame(tmp_path, monkeypatch):
    """60 rows: an array file and two numbers; the cache is the folder `cache`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng()
    for k in range(60):
        np.save(tmp_path / f"{k}.npy", rng.normal(size=3))
    table = pd.DataFrame(rng.normal(size=(60, 2)), columns=["x0", "x1"])
    table["file"] = [f"{k}.npy" for k in range(60)]
    table["label"] = [f"class {k % 3}" for k in range(60)]
    return table


@pytest.fixture
def run(frame):
    return equipoise.fit(frame, **TINY)


@pytest.fixture
def spoilt(frame):
    """The first 11 rows, of which row 4 has a bad file."""
    Path("bad.npy").write_bytes(b"")
    table = frame.head(11).copy()
    table.loc[4, "file"] = "bad.npy"
    return table


@pytest.fixture
def listed():
    """Rows in the file that a message names."""

    def read(message):
        path = message.partition("listed in ")[2].partition(": ")[0]
        with open(path, newline="", encoding="utf-8") as file:
            return [(int(p["row"]), p["modality"]) for p in csv.DictReader(file)]

    return read


def test_bad_files_of_new_data_stop_by_default_and_can_be_left_out(run, spoilt, listed):
    for command in (equipoise.predict, equipoise.evaluate):
        with pytest.raises(DataError, match=r"row 4.*--problems drop or absent") as refused:
            command(run, spoilt)
        assert listed(str(refused.value)) == [(4, "first")]
    with pytest.warns(UserWarning, match=r"1 row left out, listed in ") as told:
        predicted = equipoise.predict(run, spoilt, problems="drop")
    assert len(told) == 1
    assert listed(str(told[0].message)) == [(4, "first")]
    assert len(predicted) == 10
    with pytest.warns(UserWarning, match="1 row left out"):
        assert equipoise.evaluate(run, spoilt, problems="drop")["count"] == 10


def test_bad_files_of_new_data_can_be_absent(run, spoilt):
    with pytest.warns(UserWarning, match="1 bad cell taken as absent"):
        assert len(equipoise.predict(run, spoilt, problems="absent")) == 11
    with pytest.warns(UserWarning, match="1 bad cell taken as absent"):
        counts = equipoise.evaluate(run, spoilt, problems="absent")["modalities"]
    assert {name: part["count"] for name, part in counts.items()} == {"first": 10, "second": 11}


def test_the_runs_own_policy_holds_unless_another_is_given(frame, spoilt):
    run = equipoise.fit(frame, **TINY, problems="drop")
    with pytest.warns(UserWarning, match="1 row left out"):
        assert len(equipoise.predict(run, spoilt)) == 10
    with pytest.raises(DataError, match="row 4"):
        equipoise.predict(run, spoilt, problems="error")
    with pytest.raises(DataError, match="not a single row has a usable file; all are listed in"):
        equipoise.predict(run, spoilt.assign(file="gone.npy"))


def test_policies_that_cannot_be(run, frame):
    with pytest.raises(ConfigError, match="error, drop or absent"):
        equipoise.predict(run, frame, problems="ignore")
    with pytest.raises(ConfigError, match="'problems' is for other data"):
        equipoise.evaluate(run, problems="drop")


@pytest.mark.parametrize("policy", [None, "drop", "absent"])
def test_nothing_is_said_of_good_files(run, frame, policy, recwarn):
    assert len(equipoise.predict(run, frame, problems=policy)) == 60
    assert not [w for w in recwarn if issubclass(w.category, UserWarning)]


@pytest.mark.parametrize("placeholder", ["?", "todo", None])
def test_predict_does_not_read_labels_and_evaluate_is_strict(run, frame, placeholder):
    predicted = equipoise.predict(run, frame.assign(label=placeholder))
    assert predicted.equals(equipoise.predict(run, frame.drop(columns="label")))
    with pytest.raises(
        DataError, match="no labels" if placeholder is None else re.escape(f"label {placeholder!r}")
    ):
        equipoise.evaluate(run, frame.assign(label=placeholder))


@pytest.mark.parametrize("index", ["text", "dates", "levels", "repeated"])
def test_predictions_have_the_index_of_the_frame(run, spoilt, index):
    spoilt.index = {
        "text": pd.Index(list("lkjihgfedcb"), name="clip"),
        "dates": pd.date_range("2024-02-28", periods=11),
        "levels": pd.MultiIndex.from_arrays([list("aaaaaabbbbb"), range(11)]),
        "repeated": pd.Index([7] * 11),
    }[index]
    with pytest.warns(UserWarning, match="1 row left out"):
        predicted = equipoise.predict(run, spoilt, problems="drop")
    pd.testing.assert_index_equal(predicted.index, spoilt.index.delete(4))


def test_a_named_id_goes_before_the_index(frame):
    run = equipoise.fit(frame, **TINY, id="file")
    predicted = equipoise.predict(run, frame.iloc[::-1])
    assert list(predicted.index) == [f"{k}.npy" for k in range(59, -1, -1)]


def labelled(labels):
    """60 rows whose two numbers tell the label, which is one of two."""
    code = np.arange(60) % 2
    rng = np.random.default_rng()
    table = pd.DataFrame({m: 9.0 * code + rng.normal(size=60) for m in ("x", "y")})
    return table.assign(label=labels[code])


EASY = {"modality": ["first=x:vector", "second=y:vector"], "epochs": 6, "width": 8}
TYPES = {
    "integers": np.array([0, 1]),
    "booleans": np.array([False, True]),
    "texts": np.array(["no", "yes"], dtype=object),
    "categories": pd.Categorical(["no", "yes"], categories=["yes", "no", "never"]),
    "nullable": pd.array([0, 1], dtype="Int64"),
}


@pytest.mark.parametrize("labels", TYPES.values(), ids=TYPES)
def test_predictions_have_the_type_of_the_labels(labels, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = labelled(labels)
    run = equipoise.fit(table, out="run", **EASY)
    found = equipoise.predict("run", table)
    assert found["prediction"].dtype == table["label"].dtype or labels.dtype == object
    assert (found["prediction"] == table["label"]).mean() > 0.9
    assert run.result["classes"] == [*sorted(labels)]
    assert equipoise.evaluate("run", table)["fused"]["accuracy"] > 0.9


@pytest.mark.parametrize("name", ["integers", "booleans", "texts"])
def test_predictions_of_a_csv_are_read_as_its_labels(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    table = labelled(TYPES[name]).assign(id=np.arange(60) - 30)
    table.to_csv("data.csv", index=False)
    equipoise.fit("data.csv", out="run", **EASY)
    found = equipoise.predict("run", "data.csv")
    assert found.index.tolist() == table["id"].tolist()
    assert (found["prediction"].to_numpy() == table["label"].to_numpy()).mean() > 0.9
    assert main(["predict", "run", "data.csv", "--out", "p.csv"]) == 0
    written = pd.read_csv("p.csv")
    assert written["id"].tolist() == table["id"].tolist()
    assert written["prediction"].tolist() == found["prediction"].tolist()
    assert main(["predict", "run", "--data", "data.csv"]) == 0
    assert capsys.readouterr().out == Path("p.csv").read_text()


def test_the_data_of_predict_are_given_once(refused_by_command):
    for line in ("predict run", "predict run a.csv --data b.csv"):
        assert "give the data once" in refused_by_command(line)


@pytest.fixture
def refused_by_command(capsys):
    def call(line):
        assert main(line.split()) == 2
        return capsys.readouterr().err

    return call


def test_a_missing_column_is_refused_unless_absence_is_allowed(run, frame):
    renamed = frame.rename(columns={"file": "files"})
    for command in (equipoise.predict, equipoise.evaluate):
        with pytest.raises(ConfigError, match=r"no column 'file' .*did you mean 'files'\?"):
            command(run, renamed)
        with pytest.warns(UserWarning, match="absent in every row"):
            command(run, renamed, allow_absent=True)
    with pytest.raises(ConfigError, match="for other data"):
        equipoise.evaluate(run, allow_absent=True)


def test_a_column_of_which_no_file_is_there_is_refused(run, frame):
    with pytest.raises(DataError, match=r"row 0, modality 'first': .*happy voice"):
        equipoise.predict(run, frame.assign(file="happy voice"))
    wrong = frame.assign(file="gone.npy")
    with pytest.raises(DataError, match=r"none of the 60 cells of column 'file'.*allow-absent"):
        equipoise.predict(run, wrong, problems="absent")
    with pytest.warns(UserWarning, match="60 bad cells taken as absent"):
        equipoise.predict(run, wrong, problems="absent", allow_absent=True)
    with pytest.warns(UserWarning, match="column 'file' is empty, so modality 'first' is absent"):
        equipoise.predict(run, frame.assign(file=None))
