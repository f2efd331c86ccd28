"""Temperature scaling: the fit against SciPy, and a run that is calibrated."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar

import equipoise
from equipoise.batch import Predictions
from equipoise.errors import ConfigError
from equipoise.evaluation.calibration import LARGEST, fit_temperature, fit_temperatures, tempered
from equipoise.evaluation.metrics import log_loss, softmax
from equipoise.settings import Settings


@pytest.fixture
def rng():
    seed = int(np.random.SeedSequence().generate_state(1)[0])
    print(f"seed {seed}")
    return np.random.default_rng(seed)


def draw(rng, classes, rows, temperature):
    """Logits that are too sure by this factor."""
    logits = 2 * rng.standard_normal((rows, classes))
    p = softmax(logits)
    label = np.array([rng.choice(classes, p=row) for row in p])
    return (temperature * logits).astype(np.float32), label


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("temperature", [0.4, 1.0, 4.0])
def test_the_fit_is_the_minimum_and_near_the_truth(rng, classes, temperature):
    logits, label = draw(rng, classes, 600, temperature)
    logits = logits.astype(np.float64)
    found = fit_temperature(logits, label)
    expected = minimize_scalar(
        lambda t: log_loss(softmax(logits / np.exp(t)), label), bounds=(0, 3), method="bounded"
    )
    assert log_loss(softmax(logits / found), label) <= expected.fun + 1e-9
    assert np.log(found) == pytest.approx(expected.x, abs=1e-3)
    assert found == pytest.approx(max(temperature, 1), rel=0.3)


def test_bounds(rng):
    label = np.arange(12) % 3
    assert fit_temperature(3 * np.eye(3)[label], label) == 1, "no model is made surer"
    assert fit_temperature(99 * np.eye(3)[label], (label + 1) % 3) == pytest.approx(LARGEST)
    assert fit_temperature(np.zeros((0, 3)), np.zeros(0, dtype=int)) == 1


def test_no_prediction_changes(rng):
    logits = rng.standard_normal((4000, 6)).astype(np.float32)
    logits[:, 1] = np.nextafter(logits[:, 0], np.float32(9))  # nearly equal, in both directions
    seen = Predictions(
        np.arange(4000),
        rng.integers(-1, 6, size=4000),
        {"a": rng.random(4000) < 0.5},
        {"a": logits[::-1].copy()},
        logits,
        tuple(range(6)),
    )
    for temperature in (0.05, 0.7, 3.3, 20.0):
        scaled = tempered(seen, {"fused": temperature, "modalities": {"a": temperature}})
        assert (scaled.fused.argmax(1) == seen.fused.argmax(1)).all()
        np.testing.assert_allclose(
            softmax(scaled.fused), softmax(seen.fused / temperature), atol=1e-4
        )
    assert tempered(seen, None) is seen
    found = fit_temperatures(seen)
    rows = (seen.label >= 0) & seen.present["a"]
    assert found["modalities"]["a"] == fit_temperature(seen.logits["a"][rows], seen.label[rows])


@pytest.fixture
def noise(rng):
    """A table of which nothing can be learned, so that a network is always too sure."""
    frame = pd.DataFrame(rng.standard_normal((120, 6)), columns=[*"abcdef"])
    frame["label"] = rng.integers(2, size=120)
    return frame


SURE = {
    "modality": ["x=a,b,c", "y=d,e,f"],
    "epochs": 8,
    "patience": 0,
    "optimiser.lr": 0.03,
    "optimiser.average": 0.0,
    "verbose": 0,
}


def test_a_run_is_calibrated_once_for_all(noise, tmp_path):
    # Of the last epoch, because accuracy alone may choose one before the network is too sure.
    given = {**SURE, "epochs": 1, "select": "accuracy"}
    for calibration in ("auto", "none", "temperature"):
        folder = tmp_path / calibration
        run = equipoise.fit(noise, out=folder, calibration=calibration, **given)
        assert ("temperature" in run.result) is (calibration == "temperature")
    plain = equipoise.evaluate(tmp_path / "none", split="validation")
    found = run.result["temperature"]
    assert found["log_loss"]["validation"]["before"] == plain["fused"]["log_loss"]
    for split in ("validation", "test"):
        assert found["log_loss"][split]["after"] == run.result[split]["fused"]["log_loss"]
    assert equipoise.evaluate(run) == run.result["test"]


def test_epochs_are_judged_by_the_log_loss_that_calibration_leaves(noise, tmp_path):
    run = equipoise.fit(noise, out=tmp_path / "run", **SURE)
    losses = run.history["validation.fused.log_loss"]
    assert run.result["best_epoch"] == int(np.argmin(losses))
    found = run.result["temperature"]["log_loss"]["validation"]
    assert found["after"] == pytest.approx(losses.min(), rel=1e-6)
    assert found["after"] < found["before"]
    assert losses.max() < 0.8, "the worst that a temperature leaves is about log 2"


def test_calibration_follows_the_choice_of_epochs():
    for select, expected in (("log_loss", True), ("accuracy", False)):
        assert Settings(select=select).calibrates is expected
        assert Settings(select=select, calibration="temperature").calibrates
        assert not Settings(select=select, calibration="none").calibrates


def test_another_calibration_is_refused():
    with pytest.raises(ConfigError, match="'calibration' must be auto, none or temperature"):
        equipoise.fit("synthetic", calibration="platt")
