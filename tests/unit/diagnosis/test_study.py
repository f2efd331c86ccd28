"""A study has all rows, whatever their defects, in the splits of a run."""

import numpy as np
import pytest

import equipoise
from equipoise import data
from equipoise.diagnosis.study import from_splits
from equipoise.errors import ConfigError, DataError
from equipoise.settings import DataSettings


def test_nothing_is_said_against_clean_data(clean, doctor):
    report = doctor(clean)
    assert [f for f in report["advice"] if f["level"] == "warning"] == []
    assert report["rows"] == len(clean)
    assert report["problems"] == []
    assert report["duplicates"] == {}


def test_drawn_splits_are_those_of_a_run(clean, doctor, modalities):
    drawn = doctor(clean.drop(columns="split"), split=None, **{"data.seed": 3})
    declared = [f"{m}={m}*:vector" for m in modalities]
    parts = data.load(DataSettings(clean.drop(columns="split"), modality=declared, id="id", seed=3))
    for split in ("train", "validation", "test"):
        table = getattr(parts, split)
        assert drawn["balance"]["samples"][split] == len(table)
        counts = np.bincount(table.label)
        assert [of[split] for of in drawn["balance"]["classes"].values()] == counts.tolist()


def test_advice_on_groups_where_splits_are_drawn(clean, doctor, told, rng):
    assert any(
        "--group" in text
        for text in told(doctor(clean.drop(columns="split"), split=None), "splits")
    )
    assert not any("--group" in text for text in told(doctor(clean), "splits"))
    clean["who"] = rng.integers(0, 30, len(clean)).astype(str)
    assert not any(
        "--group" in t
        for t in told(doctor(clean.drop(columns="split"), split=None, group="who"), "splits")
    )


def test_a_class_too_small_to_split_is_a_finding(clean, doctor, told):
    clean.loc[0, "label"] = "yak"
    report = doctor(clean.drop(columns="split"), split=None)
    assert "samples of each class" in report["splits"]["undrawn"]
    assert report["strength"] == {}
    assert any("no splits can be drawn" in text for text in told(report, "splits", "warning"))


def test_rows_without_labels_are_a_finding(clean, doctor, told):
    clean.loc[[3, 200], "label"] = None
    report = doctor(clean)
    assert report["balance"]["unlabelled"] == 2
    assert "2 rows without a label" in told(report, "balance", "warning")[0]


def test_one_class_is_a_finding(clean, doctor, told):
    clean["label"] = "ant"
    report = doctor(clean)
    assert any("nothing to tell apart" in text for text in told(report, "balance", "warning"))
    assert report["strength"] == {}


def test_small_test_splits_are_told(clean, doctor, told):
    assert "60 test samples" in told(doctor(clean), "splits", "note")[0]
    clean["split"] = np.where(
        np.arange(300) < 100, "train", np.where(np.arange(300) < 199, "validation", "test")
    )
    assert told(doctor(clean), "splits") == []
    clean["split"] = np.where(np.arange(300) < 100, "train", "test")
    assert any(
        "no row is in validation" in text for text in told(doctor(clean), "splits", "warning")
    )


def test_a_built_in_data_set_is_read_row_by_row():
    parts = data.load(DataSettings("synthetic", options={"samples": 90}, seed=1))
    study = from_splits(parts)
    rows = np.random.default_rng().permutation(len(study.ids))
    for m, view in study.views.items():
        tables = (parts.train, parts.validation, parts.test)
        whole = np.concatenate([t.rows(np.arange(len(t))).inputs[m].numpy() for t in tables])
        np.testing.assert_array_equal(view.read(rows), whole[rows])
    assert [study.ids[row] for row in study.rows("test")] == parts.test.ids
    report = equipoise.doctor("synthetic", **{"data.options": {"samples": 90}})
    assert set(report["strength"]) == set(study.views)


def test_misuse_is_refused(clean, doctor, tmp_path):
    with pytest.raises(ConfigError, match="splitt"):
        doctor(clean, split="splitt")
    with pytest.raises(DataError, match="nowhere"):
        equipoise.doctor(tmp_path / "nowhere.csv")
