"""Strength of each modality alone: the accuracy of a linear probe on simple features.

The probe is trained on training rows and measured on validation rows; the test split is not read. A
trained encoder does better, above all on pictures and sounds, but joint training is likely to
neglect a modality that is far behind here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from equipoise.diagnosis.study import ModalityView, Study
from equipoise.evaluation.metrics import accuracy, macro_f1

TRAINING_ROWS = 5000
"""Largest number of rows that the probe is trained on."""
ITERATIONS = 300
"""Largest number of iterations of the probe's solver."""
SIDE = 8
"""Height and width that pictures are shrunk to."""
BANDS = 64
"""Number of bands of the spectrum of a waveform."""
PROJECTED_WIDTH = 512
"""Largest number of features; more are projected at random."""
WORDS = 5000
"""Largest number of words that are counted."""
POOLED_AT_ONCE = 64
"""Rows that are read at a time, so that memory does not grow with the data set."""


def measure_strength(study: Study, seed: int = 0) -> dict[str, dict[str, Any]]:
    """Measure each modality alone on the validation rows.

    Args:
        study: the data.
        seed: of the choice of training rows, where there are more than `TRAINING_ROWS`.

    Returns:
        {modality: {"accuracy", "macro_f1", "majority": accuracy of always answering the largest
        training class, "trained_on": number of rows, "measured_on": number of rows}}, for
        modalities with at least two classes to train on and one row to measure on.
    """
    codes = study.codes
    found = {}
    for modality, view in study.views.items():
        train = study.labelled_rows(modality, "train")
        later = study.labelled_rows(modality, "validation")
        if len(train) > TRAINING_ROWS:
            train = np.sort(np.random.default_rng(seed).choice(train, TRAINING_ROWS, replace=False))
        if len(later) and len(np.unique(codes[train])) > 1:
            found[modality] = _probe(view, codes, train, later, len(study.classes))
    return found


def _probe(
    view: ModalityView, codes: np.ndarray, train: np.ndarray, later: np.ndarray, classes: int
) -> dict[str, Any]:
    from sklearn.linear_model import LogisticRegression

    known, asked = simple_features(view, train, later)
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


def simple_features(view: ModalityView, train: np.ndarray, later: np.ndarray) -> tuple[Any, Any]:
    """Features of two sets of rows for a linear model, scaled by statistics of the first set.

    Words are weighted by TF-IDF. Numbers are used unchanged. Sounds and series become their mean
    and standard deviation over time, pictures and the mean frame of a clip are shrunk to `SIDE` ×
    `SIDE`.

    Args:
        view: the modality.
        train: (n,), rows of the first set.
        later: (k,), rows of the second set.

    Returns:
        Features (n, d) and (k, d); sparse for text.
    """
    if view.kind == "text":
        return _words(view, train, later)
    from sklearn.preprocessing import StandardScaler

    known = _pooled(view, train)
    asked = _pooled(view, later)
    if known.shape[1] > PROJECTED_WIDTH:
        from sklearn.random_projection import GaussianRandomProjection

        scale = StandardScaler().fit(known)
        projection = GaussianRandomProjection(PROJECTED_WIDTH, random_state=0).fit(known)
        known = projection.transform(scale.transform(known))
        asked = projection.transform(scale.transform(asked))
    scale = StandardScaler().fit(known)
    return scale.transform(known), scale.transform(asked)


def _words(view: ModalityView, train: np.ndarray, later: np.ndarray) -> tuple[Any, Any]:
    """TF-IDF of words.

    A single character that is no letter counts as a word too, so that no text is without words.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = view.texts or ()
    weigh = TfidfVectorizer(max_features=WORDS, sublinear_tf=True, token_pattern=r"\w+|[^\w\s]")
    known = weigh.fit_transform([texts[row] for row in train])
    return known, weigh.transform([texts[row] for row in later])


def _pooled(view: ModalityView, rows: np.ndarray) -> np.ndarray:
    starts = range(0, len(rows), POOLED_AT_ONCE)
    chunks = [rows[start : start + POOLED_AT_ONCE] for start in starts]
    return np.concatenate([pool(view.read(chunk), view.kind) for chunk in chunks])


def pool(block: np.ndarray, kind: str) -> np.ndarray:
    """Pool n samples of a kind into features float64 (n, d).

    Args:
        block: (n, …). Spectrograms are (n, 1, bands, frames), waveforms (n, samples), series
            (n, steps, …) in which a step of NaN is padding, pictures (n, channels, height, width),
            clips and flow (n, frames, channels, height, width).
        kind: of modality.
    """
    block = block.astype(np.float64)
    if kind == "audio" and block.ndim == 2:
        spectrum = np.log(np.abs(np.fft.rfft(block)) + 1e-3)
        bands = np.array_split(spectrum, min(BANDS, spectrum.shape[1]), 1)
        return np.stack([band.mean(axis=1) for band in bands], 1)
    if kind == "audio":
        return _moments(block, axis=-1)
    if kind == "array" and block.ndim > 2:
        return _moments(block, axis=1)
    if block.ndim == 5:
        block = block.mean(axis=1)
    return _shrunk(block) if block.ndim == 4 else block.reshape(len(block), -1)


def _moments(block: np.ndarray, axis: int) -> np.ndarray:
    moments = [np.nanmean(block, axis=axis), np.nanstd(block, axis=axis)]
    return np.concatenate([moment.reshape(len(block), -1) for moment in moments], axis=1)


def _shrunk(pictures: np.ndarray) -> np.ndarray:
    for axis in (2, 3):
        parts = np.array_split(pictures, min(SIDE, pictures.shape[axis]), axis=axis)
        pictures = np.stack([part.mean(axis=axis) for part in parts], axis=axis)
    return pictures.reshape(len(pictures), -1)
