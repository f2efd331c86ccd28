"""Data whose best possible accuracy is known, for each modality and for their fusion.

Given the class y of C, modality m shows x_m = s_m e_y + n_m in R^C with standard normal noise n_m,
so that its best accuracy is that of C orthogonal signals, P(s_m) with P(s) = ∫ φ(z) Φ(z + s)^{C−1}
dz. The noises of two modalities have correlation ρ (redundancy), so that the best fusion is worth
P(√(sᵀ Σ⁻¹ s)) with Σ = (1 − ρ) I + ρ 11ᵀ. Each vector is then embedded among noise dimensions and
bent by invertible layers: harder to learn, worth the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from equipoise.errors import invalid


@dataclass(frozen=True)
class Sensor:
    """One synthetic modality.

    Attributes:
        strength: distance s of the class means, in standard deviations of the noise.
        bends: invertible layers that hide the signal; more are harder to learn.
        noise: dimensions of pure noise beside the C informative ones.
    """

    strength: float = 2.0
    bends: int = 0
    noise: int = 8

    def __post_init__(self) -> None:
        if not (isinstance(self.strength, int | float) and self.strength >= 0):
            raise invalid("synthetic", "strength", "a number of at least 0", self.strength)
        for name in ("bends", "noise"):
            if not (isinstance(getattr(self, name), int) and getattr(self, name) >= 0):
                raise invalid(
                    "synthetic", name, "a whole number of at least 0", getattr(self, name)
                )


def best_accuracy(strength: float, classes: int) -> float:
    """P(s) = ∫ φ(z) Φ(z + s)^{C−1} dz by Gauss-Hermite quadrature (error below 1e-6 for s ≤ 10)."""
    from scipy.stats import norm

    nodes, weights = np.polynomial.hermite_e.hermegauss(100)
    return float((weights * norm.cdf(nodes + strength) ** (classes - 1)).sum() / np.sqrt(2 * np.pi))


def best_accuracies(
    sensors: Mapping[str, Sensor], classes: int, redundancy: float = 0.0
) -> dict[str, float]:
    """The best possible accuracy of each modality, and of their fusion under the key "fused".

    Raises:
        ConfigError: `redundancy` outside [0, 1).
    """
    _check_redundancy(redundancy)
    strength = np.array([sensor.strength for sensor in sensors.values()])
    covariance = (1 - redundancy) * np.eye(len(strength)) + redundancy
    joint = float(np.sqrt(strength @ np.linalg.solve(covariance, strength)))
    alone = {name: best_accuracy(sensor.strength, classes) for name, sensor in sensors.items()}
    return {**alone, "fused": best_accuracy(joint, classes)}


def signals(
    sensors: Mapping[str, Sensor],
    label: np.ndarray,
    classes: int,
    redundancy: float,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """The informative part of every modality, (N, C) each.

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
    """Add noise dimensions, rotate, and bend: (N, C) → float32 (N, C + noise)."""
    width = signal.shape[1] + sensor.noise
    x = np.hstack([signal - signal.mean(0), rng.standard_normal((len(signal), sensor.noise))])
    for layer in range(sensor.bends + 1):
        rotation, _ = np.linalg.qr(rng.standard_normal((width, width)))
        x = x @ rotation
        if layer < sensor.bends:
            x = np.where(x > 0, x, 0.1 * x)  # leaky: invertible, so nothing is lost
            x = (x - x.mean(0)) / x.std(0)
    return x.astype(np.float32)
