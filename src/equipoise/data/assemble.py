"""From a decoded manifest to tables: classes, splits and rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import inf, isfinite
from typing import Any

import numpy as np

from equipoise.data.decoding.decode import DecodedManifest
from equipoise.data.manifest.columns import SPLIT_NAMES
from equipoise.data.manifest.manifest import Manifest
from equipoise.data.modality import ModalitySpec
from equipoise.data.table.splits import assign_splits
from equipoise.data.table.steps import unfitted_step
from equipoise.data.table.table import Splits, Table
from equipoise.errors import DataError


def assemble(manifest: Manifest, decoded: DecodedManifest, *, name: str, label: str) -> Splits:
    """Make the tables of a manifest's splits.

    Args:
        manifest: the rows, each in a split.
        decoded: their arrays.
        name: of the data set.
        label: the label column, kept for later data.

    Raises:
        DataError: a split is empty, a training row has no label, there is a single class, or a
            label occurs in validation or test alone.
    """
    rows = {part: np.flatnonzero(decoded.keep & (manifest.split == part)) for part in SPLIT_NAMES}
    for part in ("train", "validation"):
        if not len(rows[part]):
            raise DataError(f"{manifest.where}: no row is in the {part} split")
    # Classes come from training rows only: a test row must not shape what is trained.
    classes = _classes(manifest, rows["train"])
    codes = {
        part: label_codes(manifest, rows[part], classes, f" of the {part} split") for part in rows
    }
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
            "transforms": {m: found.settings for m, found in decoded.modalities.items()},
        },
        fitting={m: unfitted_step(found.transform) for m, found in decoded.modalities.items()},
    )


def label_codes(
    manifest: Manifest, rows: np.ndarray, classes: Sequence[str], part: str = ""
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
                f"known: {', '.join(classes)}"
            )
        codes[place] = number[label]
    return codes


def make_table(
    manifest: Manifest,
    decoded: DecodedManifest,
    specs: Mapping[str, ModalitySpec],
    rows: np.ndarray,
    codes: np.ndarray,
    classes: Sequence[str],
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
    )


def draw_splits(manifest: Manifest, *, validation: float, test: float, seed: int) -> np.ndarray:
    """Draw the split of every row, from labels and groups alone.

    The draw comes before any file is opened. So files can be measured in the training rows only,
    and a bad file does not move the rows of other files into another split.

    Args:
        manifest: of which labels and groups are read.
        validation: fraction of the rows.
        test: fraction of the rows.
        seed: of the draw.

    Returns:
        (N,) of "train", "validation" and "test".

    Raises:
        DataError: a label is missing, or the rows are too few to split.
    """
    classes = _classes(manifest, np.arange(len(manifest)))
    codes = label_codes(manifest, np.arange(len(manifest)), classes)
    return assign_splits(
        codes,
        validation=validation,
        test=test,
        seed=seed,
        group=manifest.group,
        classes=classes,
    )


def _classes(manifest: Manifest, rows: np.ndarray) -> list[str]:
    """Names of the classes in these training rows."""
    for row in rows:
        if manifest.label[row] is None:
            raise DataError(f"{manifest.at(row)}: the label of a training row is missing")
    names = {str(manifest.label[row]) for row in rows}
    if not names:
        raise DataError(f"{manifest.where}: no row is left to train on")
    if len(names) == 1:
        only = names.pop()
        raise DataError(
            f"{manifest.where}: the training rows have a single class, {only!r}; "
            "there is nothing to tell apart"
        )
    return in_order(names)


def in_order(names: set[str]) -> list[str]:
    """Sort class names: numbers by value, others alphabetically.

    The order must be the same in every process, since ranks must agree on it, and a set has
    another one in each. So equal values ("1" and "1.0") and nan have a fixed place too.
    """
    try:
        values = {name: float(name) for name in names}
    except ValueError:
        return sorted(names)
    return sorted(
        names, key=lambda name: (values[name], name) if isfinite(values[name]) else (inf, name)
    )
