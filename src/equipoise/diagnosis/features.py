"""Simple features of any modality: what a linear model can use, and small."""

from __future__ import annotations

from typing import Any

import numpy as np

from equipoise.diagnosis.study import View

SIDE = 8
"""Cells of a picture's height and width."""
BANDS = 64
"""Of the spectrum of a waveform."""
WIDTH = 512
"""Features above which they are projected at random."""
WORDS = 5000
CHUNK = 64  # rows read at a time


def features(view: View, train: np.ndarray, later: np.ndarray) -> tuple[Any, Any]:
    """Features of two sets of rows (n, d), scaled by what the first shows; sparse for text.

    Words are weighted by TF-IDF; numbers are taken as they are, of sounds and series mean and
    deviation over time, pictures and the mean of a clip's frames are shrunk to `SIDE` × `SIDE`.
    """
    if view.kind == "text":
        return _words(view, train, later)
    from sklearn.preprocessing import StandardScaler

    known, asked = (_pooled(view, rows) for rows in (train, later))
    if known.shape[1] > WIDTH:
        from sklearn.random_projection import GaussianRandomProjection

        scale = StandardScaler().fit(known)
        projection = GaussianRandomProjection(WIDTH, random_state=0).fit(known)
        known, asked = (projection.transform(scale.transform(block)) for block in (known, asked))
    scale = StandardScaler().fit(known)
    return scale.transform(known), scale.transform(asked)


def _words(view: View, train: np.ndarray, later: np.ndarray) -> tuple[Any, Any]:
    """TF-IDF of words; any run of letters or a single character counts, so that no text is without one."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = view.texts or ()
    weigh = TfidfVectorizer(max_features=WORDS, sublinear_tf=True, token_pattern=r"\w+|[^\w\s]")
    return weigh.fit_transform([texts[row] for row in train]), weigh.transform(
        [texts[row] for row in later]
    )


def _pooled(view: View, rows: np.ndarray) -> np.ndarray:
    chunks = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
    return np.concatenate([pool(view.read(chunk), view.kind) for chunk in chunks])


def pool(block: np.ndarray, kind: str) -> np.ndarray:
    """(n, …) samples of a kind → (n, d) float64.

    Spectrograms are (n, 1, bands, frames), waveforms (n, samples), series (n, steps, …), pictures
    (n, channels, height, width), clips and flow (n, frames, channels, height, width).
    """
    block = block.astype(np.float64)
    if kind == "audio" and block.ndim == 2:
        spectrum = np.log(np.abs(np.fft.rfft(block)) + 1e-3)
        return np.stack(
            [
                part.mean(axis=1)
                for part in np.array_split(spectrum, min(BANDS, spectrum.shape[1]), 1)
            ],
            1,
        )
    if kind == "audio":
        return _moments(block, axis=-1)
    if kind == "array" and block.ndim > 2:
        return _moments(block, axis=1)
    if block.ndim == 5:
        block = block.mean(axis=1)
    return _shrunk(block) if block.ndim == 4 else block.reshape(len(block), -1)


def _moments(block: np.ndarray, axis: int) -> np.ndarray:
    moments = [block.mean(axis=axis), block.std(axis=axis)]
    return np.concatenate([moment.reshape(len(block), -1) for moment in moments], axis=1)


def _shrunk(pictures: np.ndarray) -> np.ndarray:
    for axis in (2, 3):
        parts = np.array_split(pictures, min(SIDE, pictures.shape[axis]), axis=axis)
        pictures = np.stack([part.mean(axis=axis) for part in parts], axis=axis)
    return pictures.reshape(len(pictures), -1)
