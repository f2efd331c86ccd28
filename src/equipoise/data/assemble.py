"""From a decoded manifest to tables: classes, splits and rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import inf, isfinite
from typing import Any

import numpy as np

from equipoise.data.decoding.decode import Decoded
from equipoise.data.manifest.manifest import Manifest
from equipoise.data.modality import ModalitySpec
from equipoise.data.table import splits as splitting
from equipoise.data.table.table import Splits, Table
from equipoise.errors import DataError


def assemble(
    manifest: Manifest,
    decoded: Decoded,
    *,
    name: str,
    label: str,
    validation: float,
    test: float,
    seed: int,
) -> Splits:
    """The splits a manifest names, or drawn where it names none.

    Args:
        manifest: the rows.
        decoded: their arrays.
        name: of the data set.
        label: the label column, kept for later data.
        validation: share for validation where splits are drawn.
        test: share for testing where splits are drawn.
        seed: of the draw.

    Raises:
        DataError: a split is empty, a training row has no label, there is a single class, or a
            label occurs in validation or test alone.
    """
    which = manifest.split
    if which is None:
        which = _draw(manifest, decoded, validation=validation, test=test, seed=seed)
    rows = {part: np.flatnonzero(decoded.keep & (which == part)) for part in splitting.NAMES}
    for part in ("train", "validation"):
        if not len(rows[part]):
            raise DataError(f"{manifest.where}: no row is in the {part} split")
    classes = _classes(manifest, rows["train"])
    codes = {
        part: label_codes(manifest, rows[part], classes, f" of the {part} split") for part in rows
    }
    facts = {
        "modalities": [asdict(declaration) for declaration in manifest.declarations],
        "label": label,
        "transforms": {m: reading.settings for m, reading in decoded.readings.items()},
    }
    specs = {m: reading.spec for m, reading in decoded.readings.items()}
    train, validating, testing = (
        make_table(manifest, decoded, specs, rows[p], codes[p], classes) for p in splitting.NAMES
    )
    fitting = {m: reading.step for m, reading in decoded.readings.items()}
    return Splits(
        train,
        validating,
        testing,
        name=name,
        problems=decoded.problems,
        preprocessing=facts,
        fitting=fitting,
    )


def label_codes(
    manifest: Manifest, rows: np.ndarray, classes: Sequence[str], part: str = ""
) -> np.ndarray:
    """(len(rows),) labels as indices of the classes, −1 where there is none.

    Raises:
        DataError: a label that is no class.
    """
    number = {name: code for code, name in enumerate(classes)}
    codes = np.full(len(rows), -1, dtype=np.int64)
    for place, row in enumerate(rows):
        label = manifest.label[row]
        if label is not None and label not in number:
            raise DataError(
                f"{manifest.at(row)}{part}: label {label!r} is in no training row; known: {', '.join(classes)}"
            )
        codes[place] = -1 if label is None else number[label]
    return codes


def make_table(
    manifest: Manifest,
    decoded: Decoded,
    specs: Mapping[str, ModalitySpec],
    rows: np.ndarray,
    codes: np.ndarray,
    classes: Sequence[str],
) -> Table:
    """Some rows of a manifest as a table; a modality of `specs` that was not decoded is absent."""
    nothing = np.zeros(len(manifest), dtype=bool)
    found = decoded.readings
    arrays = {
        m: found[m].store if m in found else np.empty((0, *spec.shape)) for m, spec in specs.items()
    }
    present = {m: (found[m].present if m in found else nothing)[rows] for m in specs}
    raw: dict[str, Sequence[Any]] = {
        m: [None if f is None else str(f) for f in files] for m, files in manifest.files.items()
    }
    raw.update(manifest.texts)
    group = None if manifest.group is None else manifest.group[rows]
    return Table(
        specs,
        arrays,
        rows,
        codes,
        present,
        classes,
        [manifest.ids[row] for row in rows],
        raw,
        group=group,
    )


def _draw(
    manifest: Manifest, decoded: Decoded, *, validation: float, test: float, seed: int
) -> np.ndarray:
    """Splits for the rows that are kept."""
    rows = np.flatnonzero(decoded.keep)
    classes = _classes(manifest, rows)
    codes = label_codes(manifest, rows, classes)
    group = None if manifest.group is None else manifest.group[rows]
    which = np.full(len(manifest), "train", dtype=object)
    which[rows] = splitting.draw(
        codes, validation=validation, test=test, seed=seed, group=group, classes=classes
    )
    return which


def _classes(manifest: Manifest, rows: np.ndarray) -> list[str]:
    """Names of the classes in these (training) rows."""
    for row in rows:
        if manifest.label[row] is None:
            raise DataError(f"{manifest.at(row)}: the label of a training row is missing")
    names = {str(manifest.label[row]) for row in rows}
    if not names:
        raise DataError(f"{manifest.where}: no row is left to train on")
    if len(names) == 1:
        only = names.pop()
        raise DataError(
            f"{manifest.where}: the training rows have a single class, {only!r}; there is nothing to tell apart"
        )
    return in_order(names)


def in_order(names: set[str]) -> list[str]:
    """Numbers by value, other names by the alphabet.

    Ties ("1" and "1.0") and nan have their place too: a set has another order in every process, and
    ranks must agree.
    """
    try:
        values = {name: float(name) for name in names}
    except ValueError:
        return sorted(names)
    return sorted(
        names, key=lambda name: (values[name], name) if isfinite(values[name]) else (inf, name)
    )
