"""Rows without a label: where a run can do without, and where it says that it cannot."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import equipoise
from equipoise.errors import DataError
from equipoise.report import write_report

FAST = {"modality": ["first=x*", "second=y*"], "data.split": "split", "epochs": 2, "width": 8}


def frame(unlabelled: list[str]) -> pd.DataFrame:
    rng = np.random.default_rng()
    table = pd.DataFrame(rng.standard_normal((60, 4)), columns=["x0", "x1", "y0", "y1"])
    table["split"] = ["train"] * 36 + ["validation"] * 12 + ["test"] * 12
    table["label"] = [f"class {k % 3}" for k in range(60)]
    table.loc[table["split"].isin(unlabelled), "label"] = None
    return table


def test_a_test_split_may_be_unlabelled(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="12 test rows without a label not measured"):
        run = equipoise.fit(frame(["test"]), out=tmp_path / "run", method="joint", **FAST)
    assert run.result["test"]["count"] == 0
    assert run.result["test"]["fused"]["accuracy"] is None
    assert run.result["validation"]["count"] == 12
    assert run.result["contribution"] == {}
    json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))
    assert write_report([tmp_path / "run"], tmp_path / "report").is_file()


def test_single_rows_of_test_and_validation_may_be_unlabelled(tmp_path: Path) -> None:
    table = frame([])
    table.loc[[40, 50, 51], "label"] = None
    told = "1 validation row without a label not measured; 2 test rows without a label not measured"
    with pytest.warns(UserWarning, match=told):
        run = equipoise.fit(table, out=tmp_path / "run", method="joint", **FAST)
    assert (run.result["validation"]["count"], run.result["test"]["count"]) == (11, 10)
    assert all(np.isfinite(list(run.result["contribution"].values())))


def test_validation_needs_labels(tmp_path: Path) -> None:
    with (
        pytest.warns(UserWarning, match="12 validation rows"),
        pytest.raises(DataError, match="no validation row has a label"),
    ):
        equipoise.fit(frame(["validation"]), out=tmp_path / "run", method="joint", **FAST)
    assert not (tmp_path / "run").exists()


def test_new_data_of_which_nothing_is_usable(tmp_path: Path) -> None:
    rng = np.random.default_rng()
    table = frame([]).drop(columns=["y0", "y1"])
    table["file"] = [str(tmp_path / f"{k}.npy") for k in range(60)]
    for file in table["file"]:
        np.save(file, rng.standard_normal(3))
    options = {**FAST, "modality": ["first=x*", "second=file:vector"], "data.problems": "drop"}
    run = equipoise.fit(table, out=tmp_path / "run", method="joint", **options)
    table["file"] = "gone.npy"
    with pytest.raises(DataError, match="not a single row"):
        equipoise.predict(run, table)
