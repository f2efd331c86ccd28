"""The columns of an estimator's data: which modality each of them belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import issparse

from equipoise.data.manifest.declaration import Declaration
from equipoise.data.manifest.labels import Label
from equipoise.diagnosis.inference import take_columns
from equipoise.settings import DataSettings


def is_numeric(X: pd.DataFrame, columns: Sequence[int]) -> bool:
    """True if all of these columns hold numbers."""
    return all(pd.api.types.is_numeric_dtype(X.iloc[:, number].dtype) for number in columns)


def has_partial_gaps(X: pd.DataFrame, columns: Sequence[int]) -> bool:
    """True if some row has a gap in one of the columns, and none in another."""
    gaps = X.iloc[:, list(columns)].isna()
    return bool((gaps.any(axis=1) & ~gaps.all(axis=1)).any())


def as_table(X: Any) -> Any:
    """A list with a dict for each row as a DataFrame; anything else as it is."""
    if isinstance(X, list | tuple) and X and all(isinstance(row, Mapping) for row in X):
        X = pd.DataFrame(list(X))
    if isinstance(X, pd.DataFrame) and not X.columns.is_unique:
        twice = X.columns[X.columns.duplicated()][0]
        raise ValueError(f"X has two columns of the name {twice!r}")
    return X


def is_table(X: Any) -> bool:
    """True for a DataFrame or a dict of arrays; some sparse arrays are dicts, too."""
    return isinstance(X, pd.DataFrame | Mapping) and not issparse(X)


def inferred(X: pd.DataFrame) -> list[Declaration]:
    """The modalities of a DataFrame, as `equipoise doctor` suggests them."""
    frame = X.rename(columns=str)
    label = free_name("label", frame)
    frame[label] = "class"
    taken = take_columns(DataSettings(source=frame, label=label))
    return [Declaration.parse(text) for text in taken.modality]


def column_numbers(
    modality: str, chosen: Any, width: int, names: Sequence[str] | None
) -> list[int]:
    """The numbers of a modality's columns.

    Args:
        modality: its name, for the message.
        chosen: a slice, a column, or several.
        width: number of columns of the table.
        names: of the columns; None where they have none.

    Raises:
        ValueError: no such column.
    """
    if isinstance(chosen, slice):
        return list(range(width)[chosen])
    several = chosen if isinstance(chosen, Iterable) and not isinstance(chosen, str) else [chosen]
    found = []
    for column in several:
        if names is not None and str(column) in names:
            found.append(names.index(str(column)))
        elif isinstance(column, int | np.integer) and -width <= column < width:
            found.append(int(column) % width)
        else:
            raise ValueError(f"modality {modality!r}: X has no column {column!r}")
    return found


def plain_classes(classes: np.ndarray) -> list[Label]:
    """Classes as a run names them: Python's integers, booleans and texts."""
    values = [c.item() if isinstance(c, np.generic) else c for c in classes]
    if all(isinstance(value, int) for value in values):
        return values
    if all(isinstance(value, float) and value.is_integer() for value in values):
        return [int(value) for value in values]
    return [str(value) for value in values]


def free_name(name: str, frame: pd.DataFrame) -> str:
    """The name, or one like it that no column has."""
    while name in frame.columns:
        name += "_"
    return name
