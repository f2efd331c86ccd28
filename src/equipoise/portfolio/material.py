"""The rows that a search works on, and the parts into which they are cut."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from equipoise.data.table.table import Splits, Table
from equipoise.data.table.weights import class_weights, weighted
from equipoise.errors import DataError
from equipoise.portfolio.features import Features, Reader
from equipoise.settings import Settings

FEW = 3000
"""Labelled rows of training and validation up to which the training rows are cut into folds."""
FEW_MEDIA = 500
"""The same where networks read pictures, sounds or films, and take long for each fold."""
MEDIA = ("audio", "image", "video", "flow")
MOST_FOLDS = 5
"""The most folds, that of the validation split among them."""
SAMPLE = 4000
"""Training rows of the first look at each member, where there are more than twice as many."""


@dataclass(frozen=True)
class Material:
    """The labelled rows of training and validation, side by side; the test split is not here.

    Attributes:
        settings: of the search.
        rows: all rows, those of training first.
        training: number of training rows.
        features: of all rows.
        reader: made the features, and reads those of other tables.
        fold: (N,); the rows of fold k are predicted by members that were trained on all others.
            Fold 0 is the validation split. −1 for rows that are always trained on.
        augment: seed of the augmentation of training rows.
        weight: float64 (N,), how much each row counts, by its class and by itself.
    """

    settings: Settings
    rows: Table
    training: int
    features: Features
    reader: Reader
    fold: np.ndarray
    augment: int | None
    weight: np.ndarray

    @property
    def folds(self) -> int:
        return int(self.fold.max()) + 1

    @property
    def classes(self) -> int:
        return len(self.rows.classes)

    @property
    def sampled(self) -> bool:
        """True if members are looked at on a sample of the rows first."""
        return self.training > 2 * SAMPLE

    def held(self, fold: int) -> np.ndarray:
        """The rows of a fold."""
        return np.flatnonzero(self.fold == fold)

    @cached_property
    def looked_at(self) -> tuple[np.ndarray, np.ndarray]:
        """The training and the held-out rows of the first look."""
        rng = np.random.default_rng(self.settings.seed)
        chosen = [self.trained(0), self.held(0)]
        cut = [np.sort(rng.permutation(part)[:SAMPLE]) for part in chosen]
        return cut[0], cut[1]

    def trained(self, fold: int) -> np.ndarray:
        """The rows that members are trained on before they predict a fold; −1 for all rows.

        A validation row of a group (speaker, subject) keeps the others of that group out. With a
        fold of the validation split, only training rows are trained on.
        """
        everything = np.arange(len(self.rows))
        if fold < 0:
            return everything
        if fold == 0:
            return everything[: self.training]
        kept = self.fold != fold
        group = self.rows.group
        if group is not None:
            kept &= ~np.isin(group, group[self.fold == fold])
        return np.flatnonzero(kept)

    def table(self, rows: np.ndarray, *, train: bool) -> Table:
        """Some rows: augmented where they are trained on, weighted by class where they judge."""
        table = self.rows.take(rows)
        if train:
            return replace(table, augment=self.augment)
        return replace(table, augment=None, weight=self.weight[rows])


def gather(settings: Settings, splits: Splits) -> Material:
    """Put training and validation rows side by side, and cut folds.

    Args:
        settings: of the search.
        splits: its data; the test split is not read.
    """
    train = splits.train.take(np.flatnonzero(splits.train.label >= 0))
    later = splits.validation.take(np.flatnonzero(splits.validation.label >= 0))
    rows = _joined(train, later)
    reader = Reader.fit(rows.take(np.arange(len(train))), settings.seed)
    fold = np.full(len(rows), -1)
    fold[len(train) :] = 0
    slow = any(spec.kind in MEDIA for spec in rows.specs.values())
    if len(rows) <= (FEW_MEDIA if slow else FEW):
        count = int(np.clip(round(len(train) / len(later)), 2, MOST_FOLDS - 1))
        fold[: len(train)] = _cut(train, count, settings.seed)
    weight = weighted(rows, class_weights(settings.class_weight, train)).weight
    return Material(
        settings,
        rows,
        len(train),
        reader(rows),
        reader,
        fold,
        splits.train.augment,
        np.ones(len(rows)) if weight is None else weight.astype(np.float64),
    )


def _joined(first: Table, second: Table) -> Table:
    """The rows of two tables over the same stores."""
    group = None
    if first.group is not None and second.group is not None:
        group = np.concatenate([first.group, second.group])
    weight = None
    if first.weight is not None and second.weight is not None:
        weight = np.concatenate([first.weight, second.weight])
    if any(first.arrays[m] is not second.arrays[m] for m in first.modalities):
        raise DataError("auto needs a data set whose splits read from the same stores")
    return replace(
        first,
        store_rows=np.concatenate([first.store_rows, second.store_rows]),
        label=np.concatenate([first.label, second.label]),
        present={m: np.concatenate([first.present[m], second.present[m]]) for m in first.specs},
        existing={m: np.concatenate([first.existing[m], second.existing[m]]) for m in first.specs},
        ids=[*first.ids, *second.ids],
        group=group,
        weight=weight,
    )


def _cut(train: Table, count: int, seed: int) -> np.ndarray:
    """The fold of every training row, from 1; −1 for all where they cannot be cut."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    fold = np.full(len(train), -1)
    if train.group is not None and len(np.unique(train.group)) < count:
        return fold
    kind = StratifiedKFold if train.group is None else StratifiedGroupKFold
    cutter = kind(count, shuffle=True, random_state=seed)
    try:
        with warnings.catch_warnings():
            # A class with fewer rows than folds is missing from some folds, which is no harm.
            warnings.simplefilter("ignore")
            for number, (_, held) in enumerate(
                cutter.split(train.label, train.label, train.group), 1
            ):
                fold[held] = number
    except ValueError:  # no class has as many rows as there are folds
        fold[:] = -1
    return fold
