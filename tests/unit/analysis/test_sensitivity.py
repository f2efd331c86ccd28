"""The trainings of a sensitivity analysis are those that `fit` would make."""

import pytest

import equipoise
from equipoise.analysis.sensitivity import asks_for_logarithm, sensitivity
from equipoise.errors import ConfigError, RunError


def test_orders_of_magnitude_ask_for_a_logarithm():
    assert asks_for_logarithm([1e-5, 1e-3, 0.1, 100])
    assert asks_for_logarithm([1, 30])
    assert not asks_for_logarithm([0.1, 0.2, 0.9])
    assert not asks_for_logarithm([0, 1, 100])
    assert not asks_for_logarithm(["a", "b"])


def test_values_and_seeds(trio, tmp_path):
    run = trio["lfm"]
    options = {"setting": "method.temperature", "values": [0.05, 5.0], "seeds": [0, 3]}
    record = sensitivity(run, **options, folder=str(tmp_path / "out"))
    found = record.to_frame()
    assert len(found) == 2 * 2 * 2 * 3
    settings = run.settings.to_dict()
    settings["method"]["temperature"] = 5.0
    settings |= {"seed": 3}
    same = equipoise.fit(settings.pop("data"), out=tmp_path / "same", verbose=0, **settings)
    part = found[(found["value"] == 5.0) & (found["seed"] == 3)].set_index(["split", "part"])
    for split in ("validation", "test"):
        for name, metrics in (
            ("fused", same.result[split]["fused"]),
            ("hard", same.result[split]["modalities"]["hard"]),
        ):
            for metric in ("accuracy", "mean_average_precision", "macro_f1"):
                assert part.loc[(split, name), metric] == metrics[metric]
    assert record.picture.panels[0].log_x
    line = record.picture.panels[0].marks[0]
    of = found[(found["split"] == "test") & (found["part"] == "fused") & (found["value"] == 0.05)]
    assert line.y[0] == pytest.approx(of["accuracy"].mean())
    assert line.high[0] - line.y[0] == pytest.approx(of["accuracy"].std(ddof=1))
    results = list((tmp_path / "out").rglob("result.json"))
    before = [path.stat().st_mtime_ns for path in results]
    assert len(before) == 4
    again = sensitivity(run, **options, folder=str(tmp_path / "out")).to_frame()
    assert again.equals(found)
    assert before == [path.stat().st_mtime_ns for path in results]


def test_misuse(trio):
    with pytest.raises(RunError, match="name one run"):
        sensitivity([trio["lfm"], trio["mla"]], setting="method.temperature", values=[1])
    with pytest.raises(ConfigError, match="temprature"):
        sensitivity(trio["lfm"], setting="method.temprature", values=[1.0])
    with pytest.raises(ConfigError, match="changes the samples"):
        sensitivity(trio["lfm"], setting="data.missing", values=[0.1])
