"""Temperature scaling: the fit against SciPy, and a run that is calibrated."""

import warnings

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

import equipoise
from equipoise.batch import Predictions
from equipoise.errors import ConfigError
from equipoise.evaluation.calibration import SMALLEST, fit_temperature, fit_temperatures, tempered
from equipoise.evaluation.metrics import log_loss, softmax


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
        lambda t: log_loss(softmax(logits / np.exp(t)), label), bounds=(-3, 3), method="bounded"
    )
    assert log_loss(softmax(logits / found), label) <= expected.fun + 1e-9
    assert np.log(found) == pytest.approx(expected.x, abs=1e-3)
    assert found == pytest.approx(temperature, rel=0.3)


def test_bounds(rng):
    label = np.arange(12) % 3
    assert fit_temperature(3 * np.eye(3)[label], label) == pytest.approx(SMALLEST)
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


def test_a_run_is_calibrated_once_for_all(tmp_path):
    options = {"epochs": 12, "width": 32, "data.options": {"samples": 200}, "optimiser.lr": 0.01}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = equipoise.fit("synthetic", out=tmp_path / "plain", **options)
        run = equipoise.fit("synthetic", out=tmp_path / "run", calibration="temperature", **options)
    found = run.result["temperature"]
    assert "temperature" not in plain.result
    for split in ("validation", "test"):
        losses = found["log_loss"][split]
        assert losses["before"] == plain.result[split]["fused"]["log_loss"]
        assert losses["after"] == run.result[split]["fused"]["log_loss"]
        assert run.result[split]["fused"]["accuracy"] == plain.result[split]["fused"]["accuracy"]
    assert found["log_loss"]["validation"]["after"] < found["log_loss"]["validation"]["before"]
    assert found["fused"] != 1
    assert equipoise.evaluate(tmp_path / "run") == run.result["test"]


def test_another_calibration_is_refused():
    with pytest.raises(ConfigError, match="'calibration' must be none or temperature"):
        equipoise.fit("synthetic", calibration="platt")
