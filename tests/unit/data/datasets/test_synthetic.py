"""Synthetic data: the stated accuracy is that of the Bayes rule, for vectors and for files."""

import csv
import json

import numpy as np
import pytest
import soundfile
from PIL import Image
from scipy.integrate import quad
from scipy.stats import norm

from equipoise import data
from equipoise.data.datasets import synthetic
from equipoise.data.datasets.synthetic import (
    Sensor,
    best_accuracies,
    best_accuracy,
    draw_signals,
    embed,
)
from equipoise.errors import ConfigError
from equipoise.settings import DataSettings
from equipoise.testing import check_dataset


def bayes(shown, sensors, redundancy):
    """The Bayes rule by hand: Gaussian log-likelihood of every class under the joint covariance."""
    names = list(shown)
    strength = np.array([sensors[m].strength for m in names])
    covariance = (1 - redundancy) * np.eye(len(names)) + redundancy
    x = np.stack([shown[m] for m in names])  # (M, N, C)
    pull = np.linalg.solve(covariance, strength)  # log p(x | y) = Σ_m pull_m x_m[y] + const
    return np.tensordot(pull, x, axes=(0, 0)).argmax(axis=1)


@pytest.mark.parametrize("redundancy", [0.0, 0.6])
@pytest.mark.parametrize("strengths", [(2.0, 1.0), (1.5, 1.0, 0.5)])
def test_stated_accuracy_is_reached_by_the_bayes_rule(redundancy, strengths):
    rng = np.random.default_rng()
    classes, rows = 5, 60_000
    sensors = {f"m{k}": Sensor(s) for k, s in enumerate(strengths)}
    label = rng.integers(0, classes, rows)
    shown = draw_signals(sensors, label, classes, redundancy, rng)
    stated = best_accuracies(sensors, classes, redundancy)
    assert (bayes(shown, sensors, redundancy) == label).mean() == pytest.approx(
        stated["fused"], abs=0.01
    )
    for name in sensors:
        assert (shown[name].argmax(axis=1) == label).mean() == pytest.approx(stated[name], abs=0.01)


def test_no_signal_is_chance_and_much_signal_is_certain():
    assert best_accuracy(0.0, 7) == pytest.approx(1 / 7, abs=1e-6)
    assert best_accuracy(12.0, 7) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("classes", [2, 4, 31])
@pytest.mark.parametrize("strength", [0.3, 2.0, 10.0])
def test_the_stated_precision_of_the_integral(strength, classes):
    def integrand(z):
        return norm.pdf(z) * norm.cdf(z + strength) ** (classes - 1)

    exact, _ = quad(integrand, -12, 12, epsabs=1e-10, limit=200)
    assert best_accuracy(strength, classes) == pytest.approx(exact, abs=1e-6)


def test_more_modalities_never_predict_worse():
    rng = np.random.default_rng()
    strengths = rng.uniform(0.2, 3, 3)
    redundancy = float(rng.uniform(0, 0.9))
    two = best_accuracies({f"m{k}": Sensor(s) for k, s in enumerate(strengths[:2])}, 5, redundancy)
    three = best_accuracies({f"m{k}": Sensor(s) for k, s in enumerate(strengths)}, 5, redundancy)
    assert three["fused"] >= two["fused"] - 1e-9
    assert two["fused"] >= max(two["m0"], two["m1"]) - 1e-9


def test_bending_loses_nothing():
    """Every layer is invertible, so distinct signals differ: undo them, find the rotation."""
    rng = np.random.default_rng()
    signal = rng.standard_normal((500, 4))
    straight = embed(signal, Sensor(bends=0, noise=0), rng).astype(np.float64)
    solution, residual, _, _ = np.linalg.lstsq(straight, signal - signal.mean(0), rcond=None)
    assert residual.max() < 1e-6
    assert solution.T @ solution == pytest.approx(np.eye(4), abs=1e-4)


def test_splits_are_disjoint_and_complete():
    parts = synthetic.load(samples=300, seed=int(np.random.default_rng().integers(1000)))
    ids = parts.train.ids + parts.validation.ids + parts.test.ids
    assert len(ids) == len(set(ids)) == 300


def test_three_modalities_by_name():
    parts = synthetic.load(
        samples=200, modalities={"a": {"strength": 1.0}, "b": {}, "c": {"bends": 2}}
    )
    assert parts.train.modalities == ("a", "b", "c")
    assert set(parts.preprocessing["best_accuracy"]) == {"a", "b", "c", "fused"}


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"classes": 1}, "'classes'"),
        ({"samples": 3}, "'samples'"),
        ({"redundancy": 1.0}, "'redundancy'"),
        ({"modalities": {"a": {"strength": -1}}}, "'strength'"),
        ({"modalities": {"a": {"noise": 2.5}}}, "'noise'"),
        ({"modalities": {"a": {"bends": -1}}}, "'bends'"),
        ({"modalities": {"a": {"loud": 1}}}, "strength, bends and noise"),
        ({"modalities": ["a"]}, "'modalities'"),
    ],
)
def test_options_that_cannot_be(options, word):
    with pytest.raises(ConfigError, match=word):
        synthetic.load(**options)


def test_a_prepared_folder_is_a_source(tmp_path):
    """The files go through manifest, decoders, cache and splits as a user's own would."""
    (tmp_path / "files").mkdir()
    classes = int(np.random.default_rng().integers(2, 11))
    stated = synthetic.prepare(tmp_path / "files", samples=120, classes=classes)
    parts = data.load(
        DataSettings(tmp_path / "files", cache=str(tmp_path / "cache"), validation=0.2, test=0.2)
    )
    check_dataset(parts)
    assert parts.train.modalities == ("sound", "picture")
    assert {m: spec.kind for m, spec in parts.train.specs.items()} == {
        "sound": "audio",
        "picture": "image",
    }
    assert len(parts.train.classes) == classes
    with Image.open(tmp_path / "files/00000.png") as picture:
        assert parts.train.specs["picture"].shape == (1, *picture.size)  # read at its own size
    assert json.loads((tmp_path / "files/dataset.json").read_text())["best_accuracy"] == stated


def test_rendered_files_carry_the_signal(tmp_path):
    """A rule that only reads the tones and grey squares back reaches the stated accuracy."""
    stated = synthetic.prepare(tmp_path, samples=400, classes=4, sound=3.0, picture=3.0)
    rows = list(csv.DictReader((tmp_path / "manifest.csv").open()))
    label = np.array([int(r["label"].split()[-1]) for r in rows])
    tones = []
    for row in rows:
        wave, rate = soundfile.read(tmp_path / row["sound"])
        time = np.arange(len(wave)) / rate
        frequency = np.geomspace(300, 3000, 4)
        tones.append(np.abs(np.exp(-2j * np.pi * frequency[:, None] * time) @ wave))
    squares = [
        np.asarray(Image.open(tmp_path / r["picture"]))[::4, ::4].reshape(-1)[:4] for r in rows
    ]
    assert (np.array(tones).argmax(1) == label).mean() == pytest.approx(stated["sound"], abs=0.07)
    assert (np.array(squares).argmax(1) == label).mean() == pytest.approx(
        stated["picture"], abs=0.07
    )
