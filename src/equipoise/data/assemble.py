"""From a decoded manifest to tables: classes, splits and rows."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from equipoise.data.decoding.decode import DecodedManifest
from equipoise.data.manifest.columns import SPLIT_NAMES
from equipoise.data.manifest.labels import Label, doubtful_labels, in_order
from equipoise.data.manifest.manifest import Manifest
from equipoise.data.modality import ModalitySpec
from equipoise.data.table.splits import assign_splits
from equipoise.data.table.steps import unfitted_step
from equipoise.data.table.table import Splits, Table
from equipoise.errors import DataError

TELLING = 20
"""Training rows from which a column that goes with the label is no accident."""


def assemble(manifest: Manifest, decoded: DecodedManifest, *, name: str, label: str) -> Splits:
    """Make the tables of a manifest's splits.

    Training rows without a label are left out, and counted in a warning.

    Args:
        manifest: the rows, each in a split.
        decoded: their arrays.
        name: of the data set.
        label: the label column, kept for later data.

    Raises:
        DataError: a split is empty, there is a single class, a label occurs in validation or test
            alone, or all training rows weigh 0.
    """
    unlabelled = np.array([label is None for label in manifest.label], dtype=bool) & decoded.keep
    split = np.asarray(manifest.split)
    # Rows without a label are drawn into no split. Where the table names the splits, they stay in
    # validation and test, and are not measured.
    left_out = unlabelled & ((split == "train") | (split == ""))
    usable = decoded.keep & ~left_out
    rows = {part: np.flatnonzero(usable & (split == part)) for part in SPLIT_NAMES}
    for part in ("train", "validation"):
        if not len(rows[part]):
            lost = int(((split == part) & ~decoded.keep).sum())
            why = f"; {lost} of it were left out, listed in {decoded.listing}" if lost else ""
            raise DataError(f"{manifest.where}: no row is in the {part} split{why}")
    # Classes come from training rows only: a test row must not shape what is trained.
    classes = _classes(manifest, rows["train"])
    codes = {
        part: label_codes(manifest, rows[part], classes, f" of the {part} split") for part in rows
    }
    if manifest.weight is not None and not manifest.weight[rows["train"]].any():
        raise DataError(f"{manifest.where}: all training rows weigh 0; nothing is left to learn")
    later = {part: int(unlabelled[rows[part]].sum()) for part in ("validation", "test")}
    _warn_of_unlabelled(manifest, np.flatnonzero(left_out), later)
    _warn_of_doubtful(manifest, np.flatnonzero(decoded.keep))
    _warn_of_answers(manifest, decoded, rows["train"], codes["train"])
    _warn_of_absence(manifest, decoded, rows["train"])
    specs = {m: found.spec for m, found in decoded.modalities.items()}
    tables = {
        part: make_table(manifest, decoded, specs, rows[part], codes[part], classes)
        for part in SPLIT_NAMES
    }
    return Splits(
        **tables,
        name=name,
        problems=decoded.problems,
        preprocessing={
            "modalities": [asdict(declaration) for declaration in manifest.declarations],
            "label": label,
            "label_type": manifest.label_type.to_dict(),
            "transforms": {m: found.settings for m, found in decoded.modalities.items()},
            "reading": {m: found.reading.text for m, found in decoded.modalities.items()},
        },
        fitting={m: unfitted_step(found.transform) for m, found in decoded.modalities.items()},
    )


def label_codes(
    manifest: Manifest, rows: np.ndarray, classes: Sequence[Label], part: str = ""
) -> np.ndarray:
    """Labels as indices of the classes.

    Args:
        manifest: whose labels.
        rows: (n,) of the manifest.
        classes: their names.
        part: the rows' split, for messages.

    Returns:
        int64 (n,), −1 where there is no label.

    Raises:
        DataError: a label that is not a class.
    """
    number = {name: code for code, name in enumerate(classes)}
    codes = np.full(len(rows), -1, dtype=np.int64)
    for place, row in enumerate(rows):
        label = manifest.label[row]
        if label is None:
            continue
        if label not in number:
            raise DataError(
                f"{manifest.at(row)}{part}: label {label!r} is in no training row; "
                f"known: {', '.join(map(str, classes))}"
            )
        codes[place] = number[label]
    return codes


def make_table(
    manifest: Manifest,
    decoded: DecodedManifest,
    specs: Mapping[str, ModalitySpec],
    rows: np.ndarray,
    codes: np.ndarray,
    classes: Sequence[Label],
) -> Table:
    """Some rows of a manifest as a table.

    Args:
        manifest: the rows.
        decoded: their arrays.
        specs: modalities of the table; one that was not decoded is absent everywhere.
        rows: (n,) of the manifest.
        codes: int64 (n,) labels.
        classes: their names.
    """
    arrays: dict[str, Any] = {}
    present: dict[str, np.ndarray] = {}
    for modality, spec in specs.items():
        found = decoded.modalities.get(modality)
        if found is None:
            arrays[modality] = np.empty((0, *spec.shape))
            present[modality] = np.zeros(len(rows), dtype=bool)
        else:
            arrays[modality] = found.store
            present[modality] = found.present[rows]
    raw: dict[str, Sequence[Any]] = {
        m: [None if part is None else str(part) for part in parts]
        for m, parts in manifest.files.items()
    }
    return Table(
        specs,
        arrays,
        rows,
        codes,
        present,
        classes,
        [manifest.ids[row] for row in rows],
        {**raw, **manifest.texts},
        group=None if manifest.group is None else manifest.group[rows],
        weight=None if manifest.weight is None else manifest.weight[rows],
    )


def draw_splits(
    manifest: Manifest,
    *,
    validation: float,
    test: float,
    seed: int,
    fold: tuple[int, int] | None = None,
) -> np.ndarray:
    """Draw the split of every row that has a label, from labels and groups alone.

    The draw comes before any file is opened. So files can be measured in the training rows only,
    and a bad file does not move the rows of other files into another split.

    Args:
        manifest: of which labels and groups are read.
        validation: fraction of the rows.
        test: fraction of the rows.
        seed: of the draw.
        fold: (number of a fold, number of folds) where a fold is the test split.

    Returns:
        (N,) of "train", "validation" and "test", and "" for a row without a label.

    Raises:
        DataError: no row has a label, all have the same, or the rows are too few to split.
    """
    rows = np.flatnonzero([label is not None for label in manifest.label])
    classes = _classes(manifest, rows)
    codes = label_codes(manifest, rows, classes)
    group = None if manifest.group is None else manifest.group[rows]
    split = np.full(len(manifest), "", dtype=object)
    split[rows] = assign_splits(
        codes,
        validation=validation,
        test=test,
        seed=seed,
        group=group,
        classes=classes,
        fold=fold,
    )
    return split


def _classes(manifest: Manifest, rows: np.ndarray) -> list[Label]:
    """The classes of these labelled training rows."""
    labels = {label for row in rows if (label := manifest.label[row]) is not None}
    if not len(rows):
        raise DataError(f"{manifest.where}: no row with a label is left to train on")
    if len(labels) == 1:
        only = labels.pop()
        raise DataError(
            f"{manifest.where}: the training rows have a single class, {only!r}; "
            "there is nothing to tell apart"
        )
    return in_order(labels)


def _warn_of_unlabelled(
    manifest: Manifest, left_out: np.ndarray, counts: Mapping[str, int]
) -> None:
    """Say in one line how many rows have no label.

    Args:
        manifest: the rows.
        left_out: numbers of the rows that are not trained on for that reason.
        counts: {split: rows that stay in it without a label}.
    """
    parts = []
    if len(left_out):
        parts.append(
            f"{_some(len(left_out), 'row')} without a label left out of training "
            f"(first: row {manifest.sheet.numbers[int(left_out[0])]})"
        )
    parts += [
        f"{_some(count, f'{part} row')} without a label not measured"
        for part, count in counts.items()
        if count
    ]
    if parts:
        warnings.warn(f"{manifest.where}: {'; '.join(parts)}", stacklevel=4)


def _warn_of_doubtful(manifest: Manifest, rows: np.ndarray) -> None:
    """Warn of classes that are probably spellings of one class, or no class."""
    labels = (manifest.label[row] for row in rows)
    for finding in doubtful_labels(Counter(label for label in labels if label is not None)):
        warnings.warn(f"{manifest.where}: {finding}", stacklevel=4)


def _warn_of_absence(manifest: Manifest, decoded: DecodedManifest, training: np.ndarray) -> None:
    """Warn of a modality that no training row has."""
    for declaration in manifest.declarations:
        if not decoded.modalities[declaration.name].present[training].any():
            warnings.warn(
                f"{manifest.where}: modality {declaration.name!r} is absent in every training row, "
                f"so nothing is learned of it; fill column {declaration.columns[0]!r}, or leave "
                "the modality out",
                stacklevel=4,
            )


def _warn_of_answers(
    manifest: Manifest, decoded: DecodedManifest, rows: np.ndarray, codes: np.ndarray
) -> None:
    """Warn of columns of tabular modalities that are the label in other words.

    Args:
        manifest: whose columns.
        decoded: its arrays.
        rows: (n,) training rows.
        codes: (n,) their labels.
    """
    for modality, cells in manifest.cells.items():
        for column, values in zip(cells, decoded.modalities[modality].store[rows].T, strict=True):
            here = ~np.isnan(values)
            if here.sum() >= max(TELLING, len(rows) / 2) and _same_parts(values[here], codes[here]):
                warnings.warn(
                    f"{manifest.where}: column {column!r} of modality {modality!r} has one value "
                    "for each class: what is made from the label must be left out",
                    stacklevel=4,
                )


def _same_parts(values: np.ndarray, codes: np.ndarray) -> bool:
    """True if equal values go with equal labels and different ones with different labels."""
    kinds = len(np.unique(values))
    if kinds < 2 or kinds != len(np.unique(codes)):
        return False
    return len(np.unique(np.stack([values, codes]), axis=1).T) == kinds


def _some(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
