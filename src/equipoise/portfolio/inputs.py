"""From features to the matrix that a scikit-learn estimator reads: scaled, gaps filled, joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from equipoise.portfolio.features import Features

Scaling = Literal["columns", "rows", "none"]
"""columns: each number by its mean and standard deviation over the training rows. rows: each row
scaled to length one, counts weighted as words are. none: as they are, for trees."""

FARTHEST = 8.0
"""Standard deviations at which a scaled number is cut."""


class Inputs:
    """The map from features to a matrix, as it was learned from training rows.

    Gaps are filled with the mean of the training rows. A modality that was absent in some training
    rows adds a column that says so. The blocks of several modalities have the same mean squared
    length, and a row the mean squared length one, so that the strength of a penalty means the same
    on any data.

    Args:
        modalities: that are read, in order.
        scaling: of the numbers.
        sparse: read texts as weights of words instead of their projection.
        learned: arrays that `fit` found.
    """

    def __init__(
        self,
        modalities: Sequence[str],
        scaling: Scaling,
        sparse: bool,
        learned: Mapping[str, np.ndarray],
    ) -> None:
        self.modalities = tuple(modalities)
        self.scaling = scaling
        self.sparse = sparse
        self.learned = dict(learned)

    @classmethod
    def fit(
        cls, features: Features, modalities: Sequence[str], scaling: Scaling, *, sparse: bool
    ) -> Inputs:
        """Learn from training rows.

        Args:
            features: of the training rows.
            modalities: to read.
            scaling: of the numbers.
            sparse: read texts as weights of words.
        """
        made = cls(modalities, scaling, sparse, {})
        for modality in modalities:
            here = features.present[modality]
            if not made._reads_words(features, modality):
                made._learn(modality, features.dense[modality][here])
            if scaling != "none":
                block = made._block(features, modality)[here]
                length = _mean_square(block) if block.shape[0] else 1.0
                factor = 1 / np.sqrt(max(length, 1e-12) * len(modalities))
                made.learned[f"{modality}/factor"] = np.array(factor, dtype=np.float32)
            made.learned[f"{modality}/gaps"] = np.array(not here.all())
        return made

    def __call__(self, features: Features) -> Any:
        """The matrix (N, d), sparse where words are read as such."""
        blocks = []
        for modality in self.modalities:
            block = self._block(features, modality)
            if self.scaling != "none":
                block = block * float(self.learned[f"{modality}/factor"])
            blocks.append(block)
            if self.learned[f"{modality}/gaps"]:
                gap = ~features.present[modality]
                blocks.append(gap[:, None].astype(np.float32) / np.sqrt(len(self.modalities)))
        if any(hasattr(block, "tocsr") for block in blocks):
            from scipy import sparse

            return sparse.hstack(blocks, format="csr")
        return np.concatenate(blocks, axis=1)

    def _reads_words(self, features: Features, modality: str) -> bool:
        return self.sparse and modality in features.words

    def _learn(self, modality: str, block: np.ndarray) -> None:
        """Learn mean and deviation of each column, or its weight where the block holds counts."""
        centre = block.mean(axis=0) if len(block) else np.zeros(block.shape[1])
        if self.scaling == "none":
            self.learned[f"{modality}/centre"] = centre.astype(np.float32)
            return
        if self.scaling == "rows" and _holds_counts(block):
            seen = (block > 0).sum(axis=0)
            weights = np.log((1 + len(block)) / (1 + seen)) + 1
            self.learned[f"{modality}/weights"] = weights.astype(np.float32)
            return
        deviation = block.std(axis=0) if len(block) else np.ones(block.shape[1])
        constant = deviation <= 1e-6 * np.maximum(np.abs(centre), 1e-6)
        self.learned[f"{modality}/centre"] = centre.astype(np.float32)
        self.learned[f"{modality}/deviation"] = np.where(constant, 1, deviation).astype(np.float32)

    def _block(self, features: Features, modality: str) -> Any:
        """The scaled numbers of one modality; absent rows are zeros, or the mean for trees."""
        if self._reads_words(features, modality):
            return features.words[modality]
        x = features.dense[modality]
        here = features.present[modality][:, None]
        weights = self.learned.get(f"{modality}/weights")
        if weights is not None:
            return _unit(np.log1p(np.maximum(x, 0)) * weights) * here
        centre = self.learned[f"{modality}/centre"]
        if self.scaling == "none":
            return np.where(here, x, centre)
        scaled = (x - centre) / self.learned[f"{modality}/deviation"]
        scaled = np.clip(np.nan_to_num(scaled), -FARTHEST, FARTHEST)
        return (_unit(scaled) if self.scaling == "rows" else scaled) * here


def _holds_counts(block: np.ndarray) -> bool:
    """True for numbers that are never negative and mostly zero, such as counts of words."""
    return bool(block.size and (block >= 0).all() and (block == 0).mean() > 0.5)


def _unit(block: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(block, axis=1, keepdims=True)
    found: np.ndarray = block / np.maximum(length, 1e-12)
    return found


def _mean_square(block: Any) -> float:
    """The mean squared length of the rows."""
    squared = block.multiply(block) if hasattr(block, "multiply") else np.square(block)
    return float(squared.sum() / block.shape[0])
