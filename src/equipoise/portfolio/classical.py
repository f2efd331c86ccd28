"""Members that scikit-learn fits: linear models, kernel machines, forests and boosted trees."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.errors import RunError
from equipoise.portfolio.features import Features
from equipoise.portfolio.forest import Forest
from equipoise.portfolio.inputs import Inputs
from equipoise.portfolio.members import Member

FORESTS = ("extra_trees", "forest")
"""Families whose trees are stored as arrays."""
FLOOR = 1e-4
"""Added to the probabilities of trees, which may be zero."""
LOWEST = -12.0
"""Logarithm of the probability of a class that the training rows did not have."""

TRUSTED = (
    "numpy.dtype",
    "sklearn._loss.link.HalfLogitLink",
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.link.MultinomialLogit",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn._loss.loss.HalfMultinomialLoss",
    "sklearn._loss._loss.CyHalfBinomialLoss",
    "sklearn._loss._loss.CyHalfMultinomialLoss",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.linear_model._linear_loss.LinearModelLoss",
)
"""The types beside those that skops trusts itself which the estimators of this file are made of.
A file that holds any other type is refused."""


class Classical:
    """A fitted member.

    Args:
        inputs: from features to the matrix.
        estimator: of scikit-learn, or a `Forest`.
        known: int (K,), the classes that the training rows had, in the estimator's order.
        classes: C.
    """

    def __init__(self, inputs: Inputs, estimator: Any, known: np.ndarray, classes: int) -> None:
        self.inputs = inputs
        self.estimator = estimator
        self.known = known
        self.classes = classes

    @classmethod
    def fit(
        cls,
        member: Member,
        features: Features,
        label: np.ndarray,
        classes: int,
        seed: int,
        weight: np.ndarray | None = None,
    ) -> Classical:
        """Fit on training rows; those without any modality that the member reads are left out.

        Args:
            member: what is fitted.
            features: of the training rows.
            label: int (N,).
            classes: C.
            seed: of the estimator.
            weight: (N,) of the rows; None if all count alike.

        Raises:
            ValueError: fewer than two classes are left.
        """
        rows = np.flatnonzero(member.sees(features.present))
        features = features.take(rows)
        inputs = Inputs.fit(
            features, member.views, member.options["scaling"], sparse=member.family == "linear"
        )
        estimator = _estimator(member, seed)
        with warnings.catch_warnings():
            # A penalised model that stops before it has converged is a member like any other.
            warnings.simplefilter("ignore")
            counted = None if weight is None else weight[rows]
            matrix = inputs(features)
            if member.family == "linear" and not hasattr(matrix, "tocsr"):
                fit_rotated(estimator, matrix, label[rows], counted)
            else:
                estimator.fit(matrix, label[rows], sample_weight=counted)
        known = np.asarray(estimator.classes_)
        fitted = Forest.of(estimator) if member.family in FORESTS else estimator
        return cls(inputs, fitted, known, classes)

    def logits(self, features: Features) -> np.ndarray:
        """float32 (N, C), before any temperature."""
        matrix = self.inputs(features)
        if hasattr(self.estimator, "predict_proba"):
            probability = self.estimator.predict_proba(matrix)
            scores = np.log((probability + FLOOR) / (1 + FLOOR * probability.shape[1]))
        else:
            scores = self.estimator.decision_function(matrix)
            if scores.ndim == 1:
                scores = np.stack([-scores / 2, scores / 2], axis=1)
        found = np.full((len(features), self.classes), LOWEST, dtype=np.float32)
        found[:, self.known] = scores
        return found

    def save(self, folder: Path) -> list[Path]:
        """Write the member into a folder.

        Returns:
            The files.
        """
        folder.mkdir(parents=True, exist_ok=True)
        if isinstance(self.estimator, Forest):
            model = folder / "forest.npz"
            np.savez(model, **self.estimator.arrays())  # type: ignore[arg-type]
        else:
            import skops.io

            model = folder / "model.skops"
            skops.io.dump(self.estimator, model)
        arrays = folder / "inputs.npz"
        np.savez(arrays, **self.inputs.learned)  # type: ignore[arg-type]
        facts = folder / "inputs.json"
        described = {
            "modalities": self.inputs.modalities,
            "scaling": self.inputs.scaling,
            "sparse": self.inputs.sparse,
            "known": self.known.tolist(),
            "classes": self.classes,
        }
        facts.write_text(json.dumps(described), encoding="utf-8")
        return [model, arrays, facts]

    @classmethod
    def load(cls, folder: Path) -> Classical:
        """Read what `save` wrote.

        Raises:
            RunError: a file is damaged, or holds types that no member is made of.
        """
        try:
            described = json.loads((folder / "inputs.json").read_text(encoding="utf-8"))
            learned = _arrays(folder / "inputs.npz")
            forest = folder / "forest.npz"
            estimator = (
                Forest(**_arrays(forest)) if forest.is_file() else _trusted(folder / "model.skops")
            )
        except RunError:
            raise
        except Exception as error:  # skops and zipfile raise many kinds
            raise RunError(
                f"{folder}: damaged member ({type(error).__name__}); restore the folder, or search "
                "again"
            ) from None
        inputs = Inputs(described["modalities"], described["scaling"], described["sparse"], learned)
        return cls(inputs, estimator, np.array(described["known"]), int(described["classes"]))


def _arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def _trusted(path: Path) -> Any:
    """Read an estimator, unless it holds types that no member is made of."""
    import skops.io

    unknown = set(skops.io.get_untrusted_types(file=path))
    if unknown - set(TRUSTED):
        raise RunError(
            f"{path}: holds {min(unknown - set(TRUSTED))}, of which no member is made, and is not "
            "read"
        )
    return skops.io.load(path, trusted=sorted(unknown))


def fit_rotated(
    estimator: Any, matrix: np.ndarray, label: np.ndarray, weight: np.ndarray | None = None
) -> None:
    """Fit a linear model with a squared penalty; where columns outnumber rows, in fewer of them.

    The coefficients that minimise the loss lie in the span of the rows, and a rotation does not
    change their length. So the model is fitted to the coordinates of the rows in an orthonormal
    basis of that span, at most as many as there are rows, and its coefficients are rotated back.

    Args:
        estimator: is fitted in place.
        matrix: (N, d).
        label: int (N,).
        weight: (N,) of the rows; None if all count alike.
    """
    if matrix.shape[1] <= matrix.shape[0]:
        estimator.fit(matrix, label, sample_weight=weight)
        return
    exact = matrix.astype(np.float64)
    squared, rotation = np.linalg.eigh(exact @ exact.T)
    kept = squared > 1e-10 * squared[-1]
    length = np.sqrt(squared[kept])
    basis = (rotation[:, kept] / length).T @ exact
    estimator.fit(rotation[:, kept] * length, label, sample_weight=weight)
    estimator.coef_ = (estimator.coef_ @ basis).astype(matrix.dtype)
    estimator.intercept_ = estimator.intercept_.astype(matrix.dtype)
    estimator.n_features_in_ = matrix.shape[1]


def _estimator(member: Member, seed: int) -> Any:
    """The unfitted estimator of a member."""
    options: Mapping[str, Any] = {k: v for k, v in member.options.items() if k != "scaling"}
    if member.family == "linear":
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(max_iter=300, random_state=seed, **options)
    if member.family == "kernel":
        from sklearn.svm import SVC

        return SVC(random_state=seed, **options)
    if member.family == "boosting":
        from sklearn.ensemble import HistGradientBoostingClassifier

        return HistGradientBoostingClassifier(random_state=seed, early_stopping=False, **options)
    assert member.family in FORESTS
    from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

    kind = ExtraTreesClassifier if member.family == "extra_trees" else RandomForestClassifier
    return kind(random_state=seed, n_jobs=1, **options)
