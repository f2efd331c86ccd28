r"""The modality gap: how far apart the features of two modalities lie.

Liang, Zhang, Kwon, Yeung, Zou. Mind the Gap: Understanding the Modality Gap in Multi-modal
Contrastive Representation Learning. NeurIPS 2022.

$$\Delta_{ab} = \left\lVert \frac1N \sum_i \frac{z_{a,i}}{\lVert z_{a,i} \rVert_2}
- \frac1N \sum_i \frac{z_{b,i}}{\lVert z_{b,i} \rVert_2} \right\rVert_2$$

The sums are over the samples that have both modalities. It is 0 where the clouds have one centre,
and at most 2. Beside it stands the linear separability: the accuracy with which a linear classifier
tells from a feature which modality it is of, 0.5 where it cannot.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from equipoise.analysis.opened import Opened, Runs, drawn_rows, open_runs
from equipoise.analysis.picture import Panel, Picture, Points
from equipoise.analysis.record import Record
from equipoise.checks import choice, integer, require
from equipoise.errors import ConfigError, RunError
from equipoise.progress import track

PROJECTIONS = ("pca", "umap")
ITERATIONS = 1000
"""Largest number of iterations of the linear classifier's solver."""


def normalised(features: np.ndarray) -> np.ndarray:
    """Features (N, d) of unit length; a row of zeros stays zero."""
    length = np.linalg.norm(features, axis=1, keepdims=True)
    unit: np.ndarray = features / np.where(length > 0, length, 1)
    return unit


def modality_gap(a: np.ndarray, b: np.ndarray) -> float:
    """Δ of the features (N, d) of two modalities."""
    means = [normalised(x.astype(np.float64)).mean(0) for x in (a, b)]
    return float(np.linalg.norm(means[0] - means[1]))


def separability(a: np.ndarray, b: np.ndarray, seed: int = 0) -> float:
    """Accuracy of a linear classifier that tells features of a from those of b.

    It is fitted on one half of the samples and asked about the other, both ways. The two features
    of a sample are in the same half.

    Args:
        a: (N, d), of modality a.
        b: (N, d), of the same samples.
        seed: of the halves.
    """
    from sklearn.linear_model import LogisticRegression

    order = np.random.default_rng(seed).permutation(len(a))
    halves = np.array_split(order, 2)
    x, y = normalised(a), normalised(b)
    right = []
    for fitted, asked in (halves, halves[::-1]):
        model = LogisticRegression(C=100.0, max_iter=ITERATIONS)
        target = np.repeat([0, 1], len(fitted))
        model.fit(np.concatenate([x[fitted], y[fitted]]), target)
        answer = model.predict(np.concatenate([x[asked], y[asked]]))
        right.append(answer == np.repeat([0, 1], len(asked)))
    return float(np.concatenate(right).mean())


def project(features: np.ndarray, projection: str, seed: int = 0) -> np.ndarray:
    """Two coordinates (N, 2) of features (N, d).

    Raises:
        ConfigError: UMAP is asked for and not installed.
    """
    if projection == "pca":
        centred = features - features.mean(0)
        _, _, axes = np.linalg.svd(centred, full_matrices=False)
        # The sign of an axis is free: its largest entry is made positive, for one picture each.
        axes = axes[:2] * np.sign(axes[:2][range(2), np.abs(axes[:2]).argmax(1)])[:, None]
        flat: np.ndarray = centred @ axes.T
        return flat
    try:
        from umap import UMAP
    except ImportError:
        raise ConfigError(
            "projection 'umap' needs a package; pip install umap-learn, or take 'pca'"
        ) from None
    return np.asarray(UMAP(random_state=seed).fit_transform(features))


def gap(
    runs: Runs,
    *,
    data: Any = None,
    split: str | None = None,
    samples: int = 2000,
    projection: str = "pca",
    seed: int = 0,
    trust: bool = False,
) -> Record:
    """Measure the modality gap of the features, and draw them in two dimensions.

    Args:
        runs: a finished run or its folder, the folder of a comparison, or several of them.
        data: other data with the columns of the runs; their own by default.
        split: of the runs' own data, train, validation or test; test by default.
        samples: the largest number of samples that are looked at.
        projection: pca, or umap where umap-learn is installed.
        seed: of the choice of samples and of the halves for the separability.
        trust: code that the settings of the runs import may run.

    Returns:
        A table with a row for each run and pair of modalities, with the columns gap, separability
        and samples. Its detail "points" holds the coordinates of the picture.

    Raises:
        ConfigError: an option has a wrong value.
        RunError: no finished run, or one whose modalities have features of different widths.
    """
    require("gap", integer("samples", samples, 4), choice("projection", projection, PROJECTIONS))
    opened = open_runs(runs, trust)
    rows: list[dict[str, Any]] = []
    points = []
    panels = []
    for one in track(opened, len(opened), "gap"):
        features, label, classes = _features(one, data, split, samples, seed)
        rows += _pairs(one, features, seed)
        names = [m for m, z in features.items() for _ in range(int((~np.isnan(z[:, 0])).sum()))]
        kept = {m: ~np.isnan(z[:, 0]) for m, z in features.items()}
        stacked = np.concatenate([normalised(z[kept[m]]) for m, z in features.items()])
        flat = project(stacked, projection, seed)
        codes = np.concatenate([label[kept[m]] for m in features])
        frame = pd.DataFrame({**one.facts, "modality": names, "x": flat[:, 0], "y": flat[:, 1]})
        frame["class"] = [classes[k] if k >= 0 else None for k in codes]
        points.append(frame)
        panels += _panels(one.label, frame, tuple(features), classes)
    picture = Picture(panels, columns=2, title="")
    return Record("gap", pd.DataFrame(rows), picture, {"points": pd.concat(points)})


def _features(
    one: Opened, data: Any, split: str | None, samples: int, seed: int
) -> tuple[dict[str, np.ndarray], np.ndarray, tuple[Any, ...]]:
    """Features of every modality {name: (N, d)}, labels (N,), and the classes."""
    trained = one.trained()
    table = drawn_rows(trained.table(data, split), samples, seed, labelled=False)
    features = trained.features(table)
    widths = {m: z.shape[1] for m, z in features.items()}
    if len(set(widths.values())) > 1:
        shown = ", ".join(f"{m} {width}" for m, width in widths.items())
        raise RunError(
            f"{one.run.folder}: the features have different widths ({shown}), so that they have no "
            "common space; train with --width"
        )
    return features, np.asarray(table.label), trained.classes


def _pairs(one: Opened, features: Mapping[str, np.ndarray], seed: int) -> list[dict[str, Any]]:
    rows = []
    for a, b in combinations(features, 2):
        both = ~np.isnan(features[a][:, 0]) & ~np.isnan(features[b][:, 0])
        if both.sum() < 4:
            warnings.warn(
                f"{one.run.folder}: {int(both.sum())} samples have both {a!r} and {b!r}, too few "
                "for a gap",
                stacklevel=3,
            )
            continue
        x, y = features[a][both], features[b][both]
        rows.append(
            {
                **one.facts,
                "pair": f"{a} – {b}",
                "gap": modality_gap(x, y),
                "separability": separability(x, y, seed),
                "samples": int(both.sum()),
            }
        )
    return rows


def _panels(
    label: str, frame: pd.DataFrame, modalities: tuple[str, ...], classes: tuple[Any, ...]
) -> list[Panel]:
    """The points of a run, coloured by modality and by class."""
    by_modality = []
    by_class = []
    for number, modality in enumerate(modalities):
        part = frame[frame["modality"] == modality]
        by_modality.append(Points(part["x"].tolist(), part["y"].tolist(), modality, number, number))
        for code, name in enumerate(classes):
            own = part[part["class"] == name]
            by_class.append(Points(own["x"].tolist(), own["y"].tolist(), "", code, number))
    return [
        Panel(by_modality, f"{label}: by modality", bare=True),
        Panel(by_class, f"{label}: by class", bare=True),
    ]
