import numpy as np
import pandas as pd
import pytest

import equipoise
from equipoise.errors import ConfigError, DataError, RunError

SMALL = {"epochs": 3, "width": 8, "optimiser": {"lr": 0.1}}
SYNTHETIC = {"data.options": {"samples": 160}, **SMALL}
COLUMNS = {"modality": ["first=x0,x1,x2:vector", "second=y0,y1:vector", "third=z:vector"], "id": "id"}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def frame():
    rng = np.random.default_rng()
    label = np.arange(90) % 3
    values = {f"x{k}": rng.normal(size=90) + 3 * (label == k) for k in range(3)}
    values |= {f"y{k}": rng.normal(size=90) - (label == k) for k in range(2)}
    z = np.where(rng.random(90) < 0.3, np.nan, rng.normal(size=90))
    cells = [None if np.isnan(v) else v for v in z]
    return pd.DataFrame({"id": [f"s{k}" for k in range(90)], **values, "z": cells, "label": [f"c{k}" for k in label]})


def test_every_public_name_is_there():
    for name in equipoise.__all__:
        assert getattr(equipoise, name) is not None
    with pytest.raises(AttributeError, match="fitt"):
        _ = equipoise.fitt


def test_fit_and_evaluate(tmp_path):
    run = equipoise.fit("synthetic", out=tmp_path / "run", method="joint", head="sum", **SYNTHETIC)
    assert equipoise.evaluate(run) == run.result["test"]
    assert equipoise.evaluate(tmp_path / "run", split="validation") == run.result["validation"]
    assert run.settings.head == {"name": "sum"}
    with pytest.raises(RunError, match="exists"):
        equipoise.fit("synthetic", out=tmp_path / "run", **SYNTHETIC)


def test_without_out_every_run_gets_a_folder_of_its_own():
    folders = [equipoise.fit("synthetic", **SYNTHETIC).folder for _ in range(3)]
    assert len(set(folders)) == 3
    assert len({(folder / "config.yaml").read_text() for folder in folders}) == 1


def test_a_data_frame_is_data(frame):
    run = equipoise.fit(frame, **COLUMNS, **SMALL)
    assert run.result["modalities"] == ["first", "second", "third"]
    predicted = equipoise.predict(run, frame.drop(columns="label"))
    assert list(predicted.index) == list(frame["id"])
    probabilities = predicted.filter(like="p_").to_numpy()
    assert np.allclose(probabilities.sum(1), 1)
    assert (predicted["confidence"] == probabilities.max(1)).all()
    right = (predicted["prediction"].to_numpy() == frame["label"].to_numpy()).mean()
    assert equipoise.evaluate(run, frame)["fused"]["accuracy"] == pytest.approx(right)
    with pytest.raises(DataError, match="DataFrame"):
        equipoise.evaluate(run)
    with pytest.raises(DataError, match="label"):
        equipoise.evaluate(run, frame.drop(columns="label"))


def test_predictions_do_not_depend_on_the_other_rows(frame):
    run = equipoise.fit(frame, **COLUMNS, **SMALL)
    whole = equipoise.predict(run, frame)
    part = equipoise.predict(run, frame.iloc[::-7])
    assert np.allclose(part.filter(like="p_"), whole.loc[part.index].filter(like="p_"), atol=1e-6)


def test_compare(tmp_path):
    found = equipoise.compare("synthetic", ["joint", "late"], seeds=2, out=tmp_path / "both", **SYNTHETIC)
    assert list(found.table.index) == ["joint", "late"]
    accuracies = [
        equipoise.evaluate(tmp_path / "both/cells/joint" / f"seed-{seed}")["fused"]["accuracy"] for seed in (0, 1)
    ]
    assert found.table.loc["joint", ("fused", "mean")] == pytest.approx(np.mean(accuracies))
    assert found.table.loc["joint", ("fused", "std")] == pytest.approx(np.std(accuracies, ddof=1))
    assert found.report.is_file()
    assert not found.errors


def test_compare_takes_settings_per_method(frame):
    methods = {"narrow": {"method": "joint", "width": 2}, "wide": {"method": "joint", "head": {"name": "sum"}}}
    found = equipoise.compare(frame, methods, seeds=[4], **COLUMNS, **SMALL)
    settings = equipoise.Run.open(found.folder / "cells/narrow/seed-4").settings
    assert (settings.width, settings.seed) == (2, 4)


@pytest.mark.parametrize(
    "wrong", [{"method": "jiont"}, {"epocs": 3}, {"optimiser": {"lrr": 1}}, {"encoder": {"no_such": "mlp"}}]
)
def test_wrong_keywords_write_nothing(wrong, tmp_path):
    with pytest.raises(ConfigError):
        equipoise.fit("synthetic", **{**SYNTHETIC, **wrong})
    assert not list(tmp_path.iterdir())


def test_a_run_whose_settings_were_edited_is_refused(tmp_path):
    run = equipoise.fit("synthetic", **SYNTHETIC)
    path = run.folder / "config.yaml"
    path.write_text(path.read_text().replace("width: 8", "width: 9"))
    with pytest.raises(RunError, match="width"):
        equipoise.evaluate(run)
