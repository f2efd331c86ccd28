import numpy as np
import pandas as pd
import pytest
import torch

import equipoise
from equipoise.comparison import cell as cells
from equipoise.errors import ConfigError, DataError, RunError, TrainingError
from equipoise.runs.trained import Trained

SMALL = {"epochs": 3, "width": 8, "optimiser": {"lr": 0.1}}
SYNTHETIC = {"data.options": {"samples": 160}, **SMALL}
COLUMNS = {
    "modality": ["first=x0,x1,x2:vector", "second=y0,y1:vector", "third=z:vector"],
    "id": "id",
}


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
    return pd.DataFrame(
        {
            "id": [f"s{k}" for k in range(90)],
            **values,
            "z": cells,
            "label": [f"c{k}" for k in label],
        }
    )


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
    with pytest.raises(DataError, match="label"):
        equipoise.evaluate(run, frame.drop(columns="label"))


def test_other_data_lose_cells_as_the_runs_own_do(frame):
    run = equipoise.fit(
        frame, **COLUMNS, **SMALL, **{"data.missing_modality": "first", "data.missing_exact": True}
    )
    hidden = equipoise.evaluate(run, frame, missing=0.5)["modalities"]
    assert {name: part["count"] for name, part in hidden.items()} == {
        "first": 45,
        "second": 90,
        "third": int(frame["z"].notna().sum()),
    }


def test_predictions_do_not_depend_on_the_other_rows(frame):
    run = equipoise.fit(frame, **COLUMNS, **SMALL)
    whole = equipoise.predict(run, frame)
    part = equipoise.predict(run, frame.iloc[::-7])
    assert np.allclose(part.filter(like="p_"), whole.loc[part.index].filter(like="p_"), atol=1e-6)


def test_compare(tmp_path):
    found = equipoise.compare(
        "synthetic", ["joint", "late"], seeds=2, out=tmp_path / "both", **SYNTHETIC
    )
    assert list(found.table.index) == ["joint", "late"]
    accuracies = [
        equipoise.evaluate(tmp_path / "both/cells/joint" / f"seed-{seed}")["fused"]["accuracy"]
        for seed in (0, 1)
    ]
    assert found.table.loc["joint", ("fused", "mean")] == pytest.approx(np.mean(accuracies))
    assert found.table.loc["joint", ("fused", "std")] == pytest.approx(np.std(accuracies, ddof=1))
    assert found.report.is_file()
    assert not found.errors


@pytest.mark.parametrize("rates", [[0.4, 0], "0:0.4:0.4"])
def test_compare_over_missing_rates(tmp_path, rates):
    options = (
        {**SYNTHETIC, "data.missing": rates}
        if isinstance(rates, str)
        else {**SYNTHETIC, "missing": rates}
    )
    found = equipoise.compare(
        "synthetic", ["joint", "late"], seeds=2, out=tmp_path / "sweep", **options
    )
    assert list(found.table.index) == [
        (method, rate) for rate in (0.0, 0.4) for method in ("joint", "late")
    ]
    assert list(found.table.index.names) == ["method", "missing"]
    for method, rate in found.table.index:
        cells = tmp_path / f"sweep/missing-{rate:g}/cells" / method
        runs = [equipoise.Run.open(cells / f"seed-{seed}") for seed in (0, 1)]
        assert {run.settings.data.missing for run in runs} == {rate}
        for part in ("fused", *runs[0].result["modalities"]):
            values = [run.result["test"] for run in runs]
            of = [
                (v["fused"] if part == "fused" else v["modalities"][part])["accuracy"]
                for v in values
            ]
            assert found.table.loc[(method, rate), (part, "mean")] == pytest.approx(np.mean(of))
            assert found.table.loc[(method, rate), (part, "std")] == pytest.approx(
                np.std(of, ddof=1)
            )
    assert found.report == tmp_path / "sweep/report/index.html"
    for rate in ("0", "0.4"):
        page = f"missing-{rate}/index.html"
        assert page in found.report.read_text()
        assert "joint" in (found.report.parent / page).read_text()
        assert (found.report.parent / f"missing-{rate}/leaderboard.csv").is_file()
    assert not found.errors


def test_compare_tells_the_rate_of_a_cell_that_failed(tmp_path, monkeypatch):
    real = cells.run.train

    def broken(settings, folder, **options):
        if settings.data.missing == 0.3 and settings.method["name"] == "late":
            raise TrainingError("the loss is nan")
        return real(settings, folder, **options)

    monkeypatch.setattr(cells.run, "train", broken)
    found = equipoise.compare(
        "synthetic",
        ["joint", "late"],
        seeds=[5],
        out=tmp_path / "sweep",
        missing=[0.1, 0.3],
        **SYNTHETIC,
    )
    assert found.errors == {("late", 0.3, 5): "the loss is nan"}
    assert list(found.table.index) == [("joint", 0.1), ("late", 0.1), ("joint", 0.3)]
    assert "the loss is nan" in (found.report.parent / "missing-0.3/index.html").read_text()


def test_compare_of_a_rate_where_all_fail_still_reports_the_others(tmp_path, monkeypatch):
    real = cells.run.train

    def broken(settings, folder, **options):
        if settings.data.missing == 0:
            raise TrainingError("the loss is nan")
        return real(settings, folder, **options)

    monkeypatch.setattr(cells.run, "train", broken)
    found = equipoise.compare(
        "synthetic", ["joint"], seeds=1, out=tmp_path / "sweep", missing=[0, 0.3], **SYNTHETIC
    )
    assert list(found.table.index) == [("joint", 0.3)]
    assert list(found.errors) == [("joint", 0.0, 0)]
    assert "the loss is nan" in found.report.read_text()


def test_compare_takes_settings_per_method(frame):
    methods = {
        "narrow": {"method": "joint", "width": 2},
        "wide": {"method": "joint", "head": {"name": "sum"}},
    }
    found = equipoise.compare(frame, methods, seeds=[4], **COLUMNS, **SMALL)
    settings = equipoise.Run.open(found.folder / "cells/narrow/seed-4").settings
    assert (settings.width, settings.seed) == (2, 4)


@pytest.mark.parametrize(
    "wrong",
    [{"method": "jiont"}, {"epocs": 3}, {"optimiser": {"lrr": 1}}, {"encoder": {"no_such": "mlp"}}],
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


def test_evaluate_takes_a_split_of_its_own_or_other_data(frame, tmp_path):
    run = equipoise.fit("synthetic", out=tmp_path / "run", **SYNTHETIC)
    assert equipoise.evaluate(run, split="train")["count"] > equipoise.evaluate(run)["count"]
    for word in ("tets", "holdout", "digest"):
        with pytest.raises(
            ConfigError, match=f"'split' must be one of train, validation, test, found '{word}'"
        ):
            equipoise.evaluate(run, split=word)
    with pytest.raises(ConfigError, match="leave out one of the two"):
        equipoise.evaluate(run, frame, split="validation")


def test_the_callers_random_state_is_left_alone(frame):
    run = equipoise.fit(frame, **COLUMNS, **SMALL)
    drawn = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        equipoise.predict(run, frame)
        drawn.append(torch.rand(1).item())
        torch.manual_seed(seed)
        assert torch.rand(1).item() == drawn[-1]
    assert drawn[0] != drawn[1]


@pytest.mark.parametrize(
    "name", ["fused", "shared", "pseudo-view", "type", "train", "float", "keys", "1st", "a.b"]
)
def test_names_that_cannot_be_a_modalitys_are_refused_before_anything_is_read(name):
    with pytest.raises(ConfigError, match=f"{name!r} cannot name a modality"):
        equipoise.fit("nowhere.csv", modality=[f"{name}=x:vector", "other=y:vector"])
    options = {"modalities": {name: {"strength": 2.0}, "other": {"strength": 1.0}}}
    with pytest.raises(ConfigError, match=f"{name!r} cannot name a modality"):
        equipoise.fit("synthetic", **{**SYNTHETIC, "data.options": options})


def test_a_comparison_is_of_one_set_of_data(frame, tmp_path):
    same = {"seeds": [0], "out": tmp_path / "out", **COLUMNS, **SMALL}
    before = equipoise.compare(frame, ["joint"], **same).table
    assert equipoise.compare(frame.copy(), ["joint"], **same).table.equals(before)
    other = frame.assign(label=frame["label"].sample(frac=1).to_numpy())
    with pytest.raises(RunError, match="made of other data"):
        equipoise.compare(other, ["joint"], **same)
    for data in (other, {"source": other}):
        with pytest.raises(ConfigError, match="'two': methods are compared on the same data"):
            equipoise.compare(
                frame, {"one": "joint", "two": {"method": "late", "data": data}}, **COLUMNS, **SMALL
            )


def test_a_run_trained_on_a_data_frame_evaluates_itself(frame):
    before = frame.copy()
    run = equipoise.fit(frame, **COLUMNS, **SMALL)
    # The order of the rows decides the splits: the run must not read the caller's later table.
    frame.iloc[:] = frame.iloc[::-1].to_numpy()
    assert run.evaluate() == run.result["test"]
    assert run.evaluate(split="validation") == run.result["validation"]
    assert run.evaluate(split="train")["count"] == 90 - 2 * run.result["test"]["count"]
    assert run.evaluate(missing=0.5)["modalities"]["first"]["count"] < run.evaluate()["count"]
    assert run.evaluate(before)["count"] == 90
    later = equipoise.load(run.folder)
    assert later.evaluate() == run.result["test"]
    assert equipoise.evaluate(run.folder, split="validation") == run.result["validation"]
    for options in ({"split": "train"}, {"missing": 0.5}):
        with pytest.raises(DataError, match="DataFrame, which is not kept"):
            later.evaluate(**options)


def test_rows_as_dicts_are_data(frame):
    rows = frame.to_dict("records")
    first = equipoise.fit(frame, **COLUMNS, **SMALL)
    run = equipoise.fit(rows, **COLUMNS, **SMALL)
    assert run.result["test"] == first.result["test"]
    assert run.evaluate() == run.result["test"]
    found = run.predict(rows[:5])
    assert list(found["prediction"]) == list(first.predict(frame.iloc[:5])["prediction"])
    assert equipoise.evaluate(run, rows) == first.evaluate(frame)
    assert equipoise.doctor(rows, **COLUMNS)["rows"] == 90
    with pytest.raises(DataError, match="no rows"):
        run.predict([])


def test_a_run_holds_its_model_its_history_and_its_report(frame):
    run = equipoise.fit(frame, **COLUMNS, **SMALL)
    table = Trained(run.folder).read(frame)
    with torch.no_grad():
        fused = run.model(table.rows(np.arange(90))).fused
    assert not any(module.training for module in run.model.modules())
    predicted = run.predict(frame).filter(like="p_").to_numpy()
    assert np.allclose(torch.softmax(fused, 1).numpy(), predicted, atol=1e-6)
    history = run.history
    assert list(history.index) == list(range(run.result["epochs"]))
    chosen = history.loc[run.result["best_epoch"]]
    for modality in run.result["modalities"]:
        accuracy = run.result["validation"]["modalities"][modality]["accuracy"]
        assert chosen[f"validation.modalities.{modality}.accuracy"] == accuracy
    assert history["seconds"].is_monotonic_increasing
    page = run.report()
    assert page.parent.parent == run.folder
    assert "second" in page.read_text()


def test_lr_is_the_learning_rate(frame):
    assert equipoise.fit("synthetic", lr=0.25, epochs=1, width=8).settings.optimiser.lr == 0.25
    found = equipoise.compare(
        frame, {"a": {"method": "joint", "lr": 0.5}}, seeds=1, lr=0.2, **COLUMNS, epochs=1, width=8
    )
    assert equipoise.Run.open(found.folder / "cells/a/seed-0").settings.optimiser.lr == 0.5
    with pytest.raises(ConfigError, match=r"learning_rate.*optimiser\.lr"):
        equipoise.fit("synthetic", learning_rate=0.25)


def test_progress_is_shown_unless_it_is_not_wanted(frame, capsys):
    quick = {"epochs": 2, "width": 8}
    guessed = frame.drop(columns="id")
    equipoise.fit(guessed, verbose=0, **quick)
    equipoise.compare(guessed, ["joint"], seeds=1, verbose=0, **quick)
    assert capsys.readouterr() == ("", "")
    equipoise.fit(guessed, **quick)
    shown = capsys.readouterr().err
    assert "epoch 2/2" in shown
    assert "no modalities are declared" in shown
    equipoise.compare(guessed, ["joint"], seeds=2, **quick)
    assert "[2/2]" in capsys.readouterr().err


def test_callbacks_of_a_comparison_hear_of_each_training(frame):
    heard = []

    class Listener(equipoise.Callback):
        def on_start(self, facts):
            heard.append((facts["label"], facts["seed"]))

    quick = {"seeds": 2, "verbose": 0, "epochs": 1, "width": 8, **COLUMNS}
    equipoise.compare(frame, ["joint", "late"], callbacks=[Listener()], **quick)
    assert sorted(heard) == [(label, seed) for label in ("joint", "late") for seed in (0, 1)]
    with pytest.raises(ConfigError, match="1 job"):
        equipoise.compare(frame, ["joint"], callbacks=[Listener()], jobs=2, **quick)
