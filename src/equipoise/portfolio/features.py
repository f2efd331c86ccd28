"""Every modality of a table as plain numbers, for the members that scikit-learn fits.

Vectors are taken as they are, pictures, sounds and series are pooled as `equipoise doctor` pools
them, and texts become TF-IDF weights of their tokens with a projection of these. What is learned
here (weights of tokens and projections) sees training rows only, and no label.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from equipoise.data.table.table import Table
from equipoise.diagnosis.strength import pool

CHUNK_OF_ROWS = 256
"""Rows that are read at a time, so that memory does not grow with the data set."""

SMALL_PICTURE = 1024
"""Numbers of a picture up to which it is flattened instead of shrunk."""
PROJECTED = 100
"""Width that the weights of tokens are projected to, for members that need dense numbers."""


@dataclass(frozen=True)
class Features:
    """Numbers of N rows.

    Attributes:
        dense: {modality: float32 (N, d)}; rows of absent cells hold zeros.
        words: {modality: sparse (N, vocabulary)} of texts.
        present: {modality: bool (N,)}.
    """

    dense: Mapping[str, np.ndarray]
    words: Mapping[str, Any]
    present: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(next(iter(self.present.values())))

    def take(self, rows: np.ndarray) -> Features:
        """Some of the rows."""
        return Features(
            {m: x[rows] for m, x in self.dense.items()},
            {m: x[rows] for m, x in self.words.items()},
            {m: here[rows] for m, here in self.present.items()},
        )

    def only(self, modalities: tuple[str, ...]) -> Features:
        """The same rows as if no other modality existed."""
        nowhere = np.zeros(len(self), dtype=bool)
        shown = {m: here if m in modalities else nowhere for m, here in self.present.items()}
        return Features(self.dense, self.words, shown)


class Reader:
    """Reads features of tables, as it learned to from training rows.

    Args:
        learned: {"<modality>/weights": (vocabulary,), "<modality>/directions": (k, vocabulary)} of
            texts.
    """

    def __init__(self, learned: Mapping[str, np.ndarray]) -> None:
        self.learned = dict(learned)

    @classmethod
    def fit(cls, table: Table, seed: int = 0) -> Reader:
        """Learn from training rows.

        Args:
            table: the training rows.
            seed: of the projections.
        """
        learned: dict[str, np.ndarray] = {}
        for modality, spec in table.specs.items():
            if spec.vocabulary is None:
                continue
            counts = _counts(table, modality)[table.present[modality]]
            seen = np.asarray((counts > 0).sum(axis=0)).ravel()
            weights = np.log((1 + counts.shape[0]) / (1 + seen)) + 1
            learned[f"{modality}/weights"] = weights.astype(np.float32)
            learned[f"{modality}/directions"] = _directions(_weighted(counts, weights), seed)
        return cls(learned)

    def __call__(self, table: Table) -> Features:
        """Read every row of a table."""
        dense: dict[str, np.ndarray] = {}
        words: dict[str, Any] = {}
        for modality, spec in table.specs.items():
            if spec.vocabulary is None:
                dense[modality] = _numbers(table, modality)
                continue
            weights = self.learned[f"{modality}/weights"]
            words[modality] = _weighted(_counts(table, modality), weights)
            directions = self.learned[f"{modality}/directions"]
            dense[modality] = np.asarray(words[modality] @ directions.T, dtype=np.float32)
        return Features(dense, words, dict(table.present))


def _numbers(table: Table, modality: str) -> np.ndarray:
    """float32 (N, d); zeros where the modality is absent."""
    here = np.flatnonzero(table.present[modality])
    parts = []
    for start in range(0, len(here), CHUNK_OF_ROWS):
        rows = here[start : start + CHUNK_OF_ROWS]
        parts.append(_flat(table, modality, rows))
    spec = table.specs[modality]
    if not parts:
        width = _flat_width(spec.shape, spec.kind)
        return np.zeros((len(table), width), dtype=np.float32)
    found = np.concatenate(parts)
    block = np.zeros((len(table), found.shape[1]), dtype=np.float32)
    block[here] = found
    return block


def _flat(table: Table, modality: str, rows: np.ndarray) -> np.ndarray:
    spec = table.specs[modality]
    if spec.kind == "vector":
        # Not scaled yet: whether rows or columns are scaled is a setting of a member.
        stored = np.asarray(table.arrays[modality][table.store_rows[rows]])
        return stored.reshape(len(rows), -1).astype(np.float32)
    batch = table.only((modality,)).rows(rows)
    value = batch.inputs[modality]
    if spec.masked and isinstance(value, Mapping):
        padded = ~value["mask"].numpy()[..., None]
        return _pooled(np.where(padded, np.nan, value["values"].numpy()), spec.kind)
    assert not isinstance(value, Mapping), "features of encoders are read by networks alone"
    return _pooled(value.numpy(), spec.kind)


def _pooled(block: np.ndarray, kind: str) -> np.ndarray:
    """float32 (B, d)"""
    if block.ndim == 4 and kind == "image" and block[0].size <= SMALL_PICTURE:
        return block.reshape(len(block), -1).astype(np.float32)
    return pool(block, kind).astype(np.float32)


def _flat_width(shape: tuple[int, ...], kind: str) -> int:
    return int(_pooled(np.zeros((1, *shape), dtype=np.float32), kind).shape[1])


def _counts(table: Table, modality: str) -> Any:
    """How often each token occurs in each row, sparse (N, vocabulary); absent rows are empty."""
    from scipy import sparse

    vocabulary = table.specs[modality].vocabulary or 1
    rows = np.flatnonzero(table.present[modality])
    parts = []
    for start in range(0, len(rows), CHUNK_OF_ROWS):
        chunk = rows[start : start + CHUNK_OF_ROWS]
        value = table.only((modality,)).rows(chunk).inputs[modality]
        assert not isinstance(value, Mapping), "features of encoders are read by networks alone"
        ids = value.numpy()
        place, at = np.nonzero(ids)  # 0 is padding
        parts.append((chunk[place], ids[place, at]))
    row = np.concatenate([p for p, _ in parts]) if parts else np.empty(0, dtype=np.int64)
    column = np.concatenate([c for _, c in parts]) if parts else np.empty(0, dtype=np.int64)
    ones = np.ones(len(row), dtype=np.float32)
    counts = sparse.csr_matrix((ones, (row, column)), shape=(len(table), vocabulary))
    counts.sum_duplicates()
    return counts


def _weighted(counts: Any, weights: np.ndarray) -> Any:
    """Rows of (1 + log count) · weight, scaled to length one."""
    from sklearn.preprocessing import normalize

    damped = counts.copy()
    damped.data = 1 + np.log(damped.data)
    return normalize(damped.multiply(weights).tocsr().astype(np.float32))


def _directions(weighted: Any, seed: int) -> np.ndarray:
    """The leading right singular vectors, float32 (k, vocabulary)."""
    from sklearn.decomposition import TruncatedSVD

    width = min(PROJECTED, min(weighted.shape) - 1)
    if width < 1:
        return np.zeros((1, weighted.shape[1]), dtype=np.float32)
    found = TruncatedSVD(width, random_state=seed).fit(weighted).components_
    return np.asarray(found, dtype=np.float32)
