"""How much each modality alone tells of the label: a rough probe, a linear model on simple
features.

It is trained on training rows and measured on validation rows; the test split is not read. An
encoder that is trained does better, above all on pictures and sounds, but a modality that is far
behind here is one that joint training is likely to neglect.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from equipoise.diagnosis.features import features
from equipoise.diagnosis.study import Study, View
from equipoise.evaluation.metrics import accuracy, macro_f1

TRAINING_ROWS = 5000
ITERATIONS = 300


def measure_strength(study: Study, seed: int = 0) -> dict[str, dict[str, Any]]:
    """Validation metrics of each modality alone.

    Args:
        study: the data.
        seed: of the choice of training rows, where there are more than `TRAINING_ROWS`.

    Returns:
        {modality: {"accuracy", "macro_f1", "majority": accuracy of always answering the largest
        training class, "trained_on": rows, "measured_on": rows}}, for modalities with two classes
        to train on and rows to measure on.
    """
    codes = study.codes
    found = {}
    for modality, view in study.views.items():
        train, later = (
            rows[view.present[rows] & (codes[rows] >= 0)]
            for rows in map(study.rows, ("train", "validation"))
        )
        if len(train) > TRAINING_ROWS:
            train = np.sort(np.random.default_rng(seed).choice(train, TRAINING_ROWS, replace=False))
        if len(later) and len(np.unique(codes[train])) > 1:
            found[modality] = _probe(view, codes, train, later, len(study.classes))
    return found


def _probe(
    view: View, codes: np.ndarray, train: np.ndarray, later: np.ndarray, classes: int
) -> dict[str, Any]:
    from sklearn.linear_model import LogisticRegression

    known, asked = features(view, train, later)
    model = LogisticRegression(max_iter=ITERATIONS, C=0.1 if view.texts is None else 10.0)
    model.fit(known, codes[train])
    probability = np.zeros((len(later), classes))
    probability[:, model.classes_] = model.predict_proba(asked)
    return {
        "accuracy": accuracy(probability, codes[later]),
        "macro_f1": macro_f1(probability, codes[later]),
        "majority": float((codes[later] == np.bincount(codes[train]).argmax()).mean()),
        "trained_on": len(train),
        "measured_on": len(later),
    }
