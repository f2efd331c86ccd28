"""Arrays in memory as the splits of a run, and as a table of new data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from equipoise.data.manifest.labels import Label, LabelType
from equipoise.data.modality import ModalitySpec
from equipoise.data.table.steps import unfitted_step
from equipoise.data.table.table import Splits, Step, Table, UnfittedStep
from equipoise.data.transforms.array import Series
from equipoise.errors import DataError

KINDS = {2: "vector", 3: "array", 4: "image"}
"""{dimensions: kind} of arrays (N, d), series (N, length, columns), pictures (N, channels, height,
width)."""

Arrays = Mapping[str, np.ndarray]
"""{modality: float32 (N, …)}; where a sample lacks the modality, its numbers are NaN."""


def array_splits(
    arrays: Arrays,
    label: np.ndarray,
    classes: Sequence[Label],
    *,
    train: np.ndarray,
    validation: np.ndarray,
    columns: Mapping[str, Sequence[str]] | None = None,
    label_column: str = "label",
) -> Splits:
    """Make splits of arrays, with steps that have yet to learn, see `data.sources.complete`.

    Args:
        arrays: of all samples.
        label: int (N,), indices of the classes.
        classes: their names.
        train: numbers of the training rows.
        validation: numbers of the validation rows.
        columns: {modality: names of its columns} of vectors, by which the run later finds them in
            a table; None where they have no names.
        label_column: the same of the label.

    Raises:
        DataError: an array of other dimensions than `KINDS` has.
    """
    whole = array_table(arrays, classes, label)
    facts: dict[str, Any] = {}
    if columns is not None:
        declared = [{"name": m, "columns": list(columns[m]), "kind": "vector"} for m in arrays]
        kinds: dict[type, Any] = {bool: "boolean", int: "integer"}
        facts = {
            "modalities": declared,
            "label": label_column,
            "label_type": LabelType(kinds.get(type(classes[0]), "text")).to_dict(),
            "transforms": {m: {} for m in arrays},
        }
    return Splits(
        whole.take(train),
        whole.take(validation),
        whole.take(np.array([], dtype=np.int64)),
        name="arrays",
        preprocessing=facts,
        fitting={m: _unfitted(array) for m, array in arrays.items()},
    )


def array_table(arrays: Arrays, classes: Sequence[Label], label: np.ndarray | None = None) -> Table:
    """All samples as one table. A label that is not given is −1.

    Raises:
        DataError: an array of other dimensions than `KINDS` has.
    """
    count = len(next(iter(arrays.values())))
    specs = {}
    for name, array in arrays.items():
        if array.ndim not in KINDS:
            raise DataError(
                f"modality {name!r} has {array.ndim} dimensions; give vectors (N, d), series "
                "(N, length, columns) or pictures (N, channels, height, width)"
            )
        specs[name] = ModalitySpec(name, KINDS[array.ndim], array.shape[1:])
    gaps = {m: np.isnan(array.reshape(count, -1)) for m, array in arrays.items()}
    return Table(
        specs,
        dict(arrays),
        np.arange(count),
        np.full(count, -1) if label is None else label,
        {m: np.any(~gap, axis=1) for m, gap in gaps.items()},
        classes,
        [str(row) for row in range(count)],
    )


def restored_steps(arrays: Arrays, learned: Mapping[str, Mapping[str, Any]]) -> dict[str, Step]:
    """The steps of a run for new arrays.

    Args:
        arrays: new data.
        learned: `preprocessing["learned"]` of the run.
    """
    return {m: _unfitted(array).restore(learned[m]) for m, array in arrays.items()}


def _unfitted(array: np.ndarray) -> UnfittedStep:
    """The step that scales an array by its training rows: a series by column, a picture by channel,
    a vector number by number."""
    if KINDS[array.ndim] == "array":
        return unfitted_step(Series(array.shape[1], array.shape[2:]))
    return unfitted_step(None)
