"""`synthetic`: modalities whose best possible accuracy is known, for each and for their fusion.

Given the class y of C, modality m shows x_m = s_m e_y + n_m in R^C with standard normal noise n_m.
Its best accuracy is that of C orthogonal signals, P(s_m) with P(s) = ∫ φ(z) Φ(z + s)^{C−1} dz. The
noises of two modalities have the correlation ρ (redundancy), so the best accuracy of the fusion is
P(√(sᵀ Σ⁻¹ s)) with Σ = (1 − ρ) I + ρ 11ᵀ. Each vector is then embedded among dimensions of noise
and bent by invertible layers, which make it harder to learn but do not change its best accuracy.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.data.manifest.columns import SPLIT_NAMES
from equipoise.data.modality import ModalitySpec
from equipoise.data.table.splits import assign_splits
from equipoise.data.table.table import Splits, Table
from equipoise.errors import ConfigError, invalid

DEFAULT = {"easy": {"strength": 2.5}, "hard": {"strength": 2.0, "bends": 3}}
"""{modality: its settings}, where the user gives none."""


@dataclass(frozen=True)
class Sensor:
    """One synthetic modality.

    Attributes:
        strength: distance s of the class means, in standard deviations of the noise.
        bends: number of invertible layers that hide the signal; more are harder to learn.
        noise: number of dimensions of pure noise beside the C informative ones.
    """

    strength: float = 2.0
    bends: int = 0
    noise: int = 8

    def __post_init__(self) -> None:
        if not (isinstance(self.strength, int | float) and self.strength >= 0):
            raise invalid("synthetic", "strength", "a number of at least 0", self.strength)
        for name in ("bends", "noise"):
            count = getattr(self, name)
            if not (isinstance(count, int) and count >= 0):
                raise invalid("synthetic", name, "an integer of at least 0", count)


def best_accuracy(strength: float, classes: int) -> float:
    """Compute P(s) by Gauss-Hermite quadrature, with an error below 1e-6 for s ≤ 10."""
    from scipy.stats import norm

    nodes, weights = np.polynomial.hermite_e.hermegauss(100)
    return float((weights * norm.cdf(nodes + strength) ** (classes - 1)).sum() / np.sqrt(2 * np.pi))


def best_accuracies(
    sensors: Mapping[str, Sensor], classes: int, redundancy: float = 0.0
) -> dict[str, float]:
    """Compute the best possible accuracy of each modality, and of their fusion as "fused".

    Args:
        sensors: {modality: its settings}.
        classes: C.
        redundancy: ρ.

    Raises:
        ConfigError: `redundancy` outside [0, 1).
    """
    _check_redundancy(redundancy)
    strength = np.array([sensor.strength for sensor in sensors.values()])
    covariance = (1 - redundancy) * np.eye(len(strength)) + redundancy
    joint = float(np.sqrt(strength @ np.linalg.solve(covariance, strength)))
    best = {name: best_accuracy(sensor.strength, classes) for name, sensor in sensors.items()}
    return {**best, "fused": best_accuracy(joint, classes)}


def draw_signals(
    sensors: Mapping[str, Sensor],
    label: np.ndarray,
    classes: int,
    redundancy: float,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Draw the informative part x_m of every modality.

    Args:
        sensors: {modality: its settings}.
        label: int (N,).
        classes: C.
        redundancy: ρ.
        rng: of the noise.

    Returns:
        {modality: (N, C)}.

    Raises:
        ConfigError: `redundancy` outside [0, 1).
    """
    _check_redundancy(redundancy)
    common = rng.standard_normal((len(label), classes))
    found = {}
    for name, sensor in sensors.items():
        own = rng.standard_normal((len(label), classes))
        noise = np.sqrt(redundancy) * common + np.sqrt(1 - redundancy) * own
        found[name] = sensor.strength * np.eye(classes)[label] + noise
    return found


def _check_redundancy(redundancy: float) -> None:
    if not 0 <= redundancy < 1:
        raise invalid("synthetic", "redundancy", "in [0, 1)", redundancy)


def embed(signal: np.ndarray, sensor: Sensor, rng: np.random.Generator) -> np.ndarray:
    """Add dimensions of noise, rotate, and bend: (N, C) → float32 (N, C + noise)."""
    width = signal.shape[1] + sensor.noise
    x = np.hstack([signal - signal.mean(0), rng.standard_normal((len(signal), sensor.noise))])
    for layer in range(sensor.bends + 1):
        rotation, _ = np.linalg.qr(rng.standard_normal((width, width)))
        x = x @ rotation
        if layer < sensor.bends:
            x = np.where(x > 0, x, 0.1 * x)  # the leaky ReLU is invertible, so nothing is lost
            x = (x - x.mean(0)) / x.std(0)
    return x.astype(np.float32)


def load(
    *,
    seed: int = 0,
    validation: float = 0.15,
    test: float = 0.25,
    samples: int = 2000,
    classes: int = 4,
    redundancy: float = 0.0,
    modalities: Mapping[str, Mapping[str, Any]] | None = None,
) -> Splits:
    """Draw vectors with known best accuracy.

    Args:
        seed: of the draw and the splits.
        validation: fraction of the samples for validation.
        test: fraction of the samples for testing.
        samples: number of samples in all splits.
        classes: C.
        redundancy: ρ, the correlation of the noise of two modalities.
        modalities: {name: {strength, bends, noise}}; null for an easy and a hard one.

    Returns:
        Splits whose `preprocessing["best_accuracy"]` holds the best possible accuracy of each
        modality and of their fusion.

    Raises:
        ConfigError: a value that an option cannot take.
    """
    sensors = parse_sensors(modalities or DEFAULT)
    check_counts(samples, classes)
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.arange(samples) % classes)
    shown = draw_signals(sensors, label, classes, redundancy, rng)
    arrays = {name: embed(shown[name], sensor, rng) for name, sensor in sensors.items()}
    split = assign_splits(label, validation=validation, test=test, seed=seed)
    specs = {name: ModalitySpec(name, "vector", array.shape[1:]) for name, array in arrays.items()}
    whole = Table(
        specs,
        arrays,
        np.arange(samples),
        label,
        {m: np.ones(samples, dtype=bool) for m in specs},
        [f"class {k}" for k in range(classes)],
        [str(k) for k in range(samples)],
    )
    train, validating, testing = (whole.take(np.flatnonzero(split == name)) for name in SPLIT_NAMES)
    facts = {"best_accuracy": best_accuracies(sensors, classes, redundancy)}
    return Splits(train, validating, testing, name="synthetic", preprocessing=facts)


def prepare(
    out: Path,
    *,
    seed: int = 0,
    samples: int = 400,
    classes: int = 4,
    redundancy: float = 0.0,
    sound: float = 2.0,
    picture: float = 2.5,
) -> dict[str, float]:
    """Render a sound (wav) and a picture (png) per sample into an existing empty folder.

    `manifest.csv` lists them, and `dataset.json` says how to read it.

    Args:
        out: the folder.
        seed: of the draw.
        samples: number of samples.
        classes: C.
        redundancy: ρ, the correlation of the noise of sound and picture.
        sound: strength of the sound.
        picture: strength of the picture.

    Returns:
        The best possible accuracy of each modality and of their fusion, before the files are
        quantised.

    Raises:
        ConfigError: a value that an option cannot take.
    """
    from equipoise.data.datasets.preparing import render

    sensors = {"sound": Sensor(sound), "picture": Sensor(picture)}
    check_counts(samples, classes)
    best = best_accuracies(sensors, classes, redundancy)
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.arange(samples) % classes)
    shown = draw_signals(sensors, label, classes, redundancy, rng)
    facts = {
        "name": "synthetic-files",
        "manifest": "manifest.csv",
        "modalities": ["sound=sound:audio", "picture=picture:image"],
        "label": "label",
        "id": "id",
        "options": {
            "sound": {"rate": render.RATE, "seconds": render.SECONDS},
            "picture": {"size": render.side(classes), "channels": 1, "normalise": "fit"},
        },
        "best_accuracy": best,
    }
    (out / "dataset.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    with (out / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "sound", "picture", "label"])
        for row in range(samples):
            render.sound(shown["sound"][row], out / f"{row:05d}.wav", rng)
            render.picture(shown["picture"][row], out / f"{row:05d}.png")
            writer.writerow([row, f"{row:05d}.wav", f"{row:05d}.png", f"class {label[row]}"])
    return best


def check_counts(samples: int, classes: int) -> None:
    """Refuse fewer than two classes, or fewer samples than classes.

    Raises:
        ConfigError: one of the two.
    """
    if not (isinstance(classes, int) and classes >= 2):
        raise invalid("synthetic", "classes", "an integer of at least 2", classes)
    if not (isinstance(samples, int) and samples >= classes):
        raise invalid(
            "synthetic", "samples", f"an integer of at least one per class ({classes})", samples
        )


def parse_sensors(modalities: Mapping[str, Mapping[str, Any]]) -> dict[str, Sensor]:
    """Make sensors of plain options.

    Raises:
        ConfigError: an option that no sensor has, or a value that it cannot take.
    """
    if not isinstance(modalities, Mapping):
        raise invalid("synthetic", "modalities", "settings of each modality by name", modalities)
    try:
        return {name: Sensor(**options) for name, options in modalities.items()}
    except TypeError as error:
        raise ConfigError(
            f"data.options.modalities: {error}; a modality has strength, bends and noise"
        ) from None
