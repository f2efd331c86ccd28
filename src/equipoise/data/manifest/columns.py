"""The columns of a table, checked cell by cell."""

from __future__ import annotations

import warnings
from collections.abc import Set
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.data.manifest.cells import CellColumn, text_of
from equipoise.data.manifest.declaration import Declaration
from equipoise.data.manifest.file_part import FilePart
from equipoise.data.manifest.kinds import KIND_BY_ENDING, KINDS
from equipoise.data.manifest.labels import Label, LabelType, is_integer, read_labels
from equipoise.data.manifest.sheet import Sheet
from equipoise.errors import ConfigError, DataError, shown, suggest

if TYPE_CHECKING:
    import pandas as pd

SPLIT_NAMES = ("train", "validation", "test")
SPLIT_ALIASES = {
    **{name: name for name in SPLIT_NAMES},
    **dict.fromkeys(("valid", "val", "dev"), "validation"),
}
"""{word of a split column, in any case: the split that it means}."""

LOOKED_AT = 10_000
"""Rows whose numbers are compared before and after rounding to single precision."""
KEPT = 0.9
"""Fraction of different numbers that must still differ."""


class ColumnReader:
    """Reads the columns of one sheet; every error names the row.

    Args:
        sheet: the table.

    Attributes:
        telling: indices of the rows that tell what a column holds; the others are asked only
            where all of these are empty.
    """

    def __init__(self, sheet: Sheet) -> None:
        self.sheet = sheet
        self.telling = np.arange(len(sheet.table))
        self.columns = [str(column) for column in sheet.table.columns]

    def texts(self, column: str) -> list[str | None]:
        """Read stripped texts, None where a cell is empty.

        Raises:
            ConfigError: no such column.
            DataError: several columns have that name.
        """
        cells = self._column(column)
        return [
            None if empty else text_of(cell)
            for cell, empty in zip(cells, cells.isna(), strict=True)
        ]

    def filled(self, column: str, what: str) -> list[str]:
        """Read the texts of a column in which no cell may be empty.

        Args:
            column: its name.
            what: the column's meaning, for the message.

        Raises:
            ConfigError: no such column.
            DataError: a cell is empty, or several columns have that name.
        """
        texts = self.texts(column)
        if None in texts:
            raise DataError(
                f"{self.sheet.at(texts.index(None))}: the {what} in column {column!r} is empty"
            )
        return [str(text) for text in texts]

    def ids(self, column: str | None) -> list[str]:
        """Read unique ids; without a column, the position of each row is its id.

        Raises:
            ConfigError: no such column.
            DataError: an id is empty or occurs twice.
        """
        if column is None:
            return [str(row) for row in range(len(self.sheet.table))]
        seen: dict[str, int] = {}
        for row, value in enumerate(self.filled(column, "id")):
            if value in seen:
                other = self.sheet.numbers[seen[value]]
                raise DataError(f"{self.sheet.at(row)}: id {value!r} is the same as in row {other}")
            seen[value] = row
        return list(seen)

    def own_ids(self, column: str) -> list[Any]:
        """Read ids in the type that they have; integers of a CSV are integers.

        Raises:
            ConfigError: no such column.
            DataError: an id is empty or occurs twice.
        """
        texts = self.ids(column)
        if not self.sheet.is_text:
            own: list[Any] = self._column(column).tolist()
            return own
        return [int(text) for text in texts] if all(map(is_integer, texts)) else [*texts]

    def labels(
        self, column: str, known: LabelType | None = None
    ) -> tuple[list[Label | None], LabelType]:
        """Read class labels and their type, see `read_labels`.

        Raises:
            ConfigError: no such column.
            DataError: several columns have that name, or they are not single class labels.
        """
        return read_labels(self.sheet, column, self._column(column), known)

    def splits(self, column: str) -> np.ndarray:
        """Read the split of every row, (N,) of "train", "validation" and "test".

        Raises:
            ConfigError: no such column.
            DataError: a cell is empty or names no split.
        """
        found = []
        for row, value in enumerate(self.filled(column, "split")):
            if value.lower() not in SPLIT_ALIASES:
                raise DataError(
                    f"{self.sheet.at(row)}: split {value!r} is none of {', '.join(SPLIT_NAMES)}"
                )
            found.append(SPLIT_ALIASES[value.lower()])
        return np.array(found, dtype=object)

    def weights(self, column: str) -> np.ndarray:
        """Read the weight of every row, float32 (N,).

        Raises:
            ConfigError: no such column.
            DataError: a cell is not a finite number of at least 0.
        """
        values = self._floats(column)
        wrong = np.flatnonzero(~(values >= 0))
        if len(wrong):
            row = int(wrong[0])
            raise DataError(
                f"{self.sheet.at(row)}: the weight in column {column!r} must be a number of at "
                f"least 0, found {shown(self.texts(column)[row])}"
            )
        return values

    def match(self, declaration: Declaration, others: Set[str]) -> list[str]:
        """Find the columns of a declaration; patterns are resolved in the table's order.

        Args:
            declaration: of one modality.
            others: columns that no pattern may match: a label read as a feature would give the
                answer away.

        Raises:
            ConfigError: nothing matches.
        """
        chosen: list[str] = []
        open_to_all = [column for column in self.columns if column not in others]
        for pattern in declaration.columns:
            exact = pattern in self.columns
            found = [pattern] if exact else [c for c in open_to_all if fnmatchcase(c, pattern)]
            if not found:
                raise ConfigError(
                    f"{self.sheet.where}: no column {pattern!r} (modality {declaration.name!r})"
                    f"{suggest(pattern, open_to_all)}"
                )
            chosen += [c for c in found if c not in chosen]
        return chosen

    def infer(self, declaration: Declaration, columns: list[str]) -> str:
        """Infer the kind of a modality from its first filled cell in the training rows.

        Raises:
            ConfigError: the cell does not tell.
        """
        first = self._first(columns[0])
        if len(columns) > 1:
            cells = [self._first(column) for column in columns]
            numbers = all(cell is None or np.isfinite(_number(cell)) for cell in cells)
            return "vector" if numbers else "tabular"
        kind = "vector" if np.isfinite(_number(first)) else _kind_of(first or "")
        if kind is None:
            raise ConfigError(
                f"{self.sheet.where}: cannot tell what modality {declaration.name!r} holds from "
                f"{first!r}; add a kind: {declaration}:" + ", :".join(KINDS)
            )
        return kind

    def holds_array_files(self, columns: list[str]) -> bool:
        """True for a single column of .npy files."""
        if len(columns) != 1:
            return False
        return FilePart.parse(self._first(columns[0]) or "").path.suffix.lower() == ".npy"

    def numbers(self, modality: str, columns: list[str]) -> np.ndarray:
        """Read float32 (N, d); NaN rows where every cell is empty or NaN.

        Raises:
            DataError: a cell is not a finite number, or empty while others of its row are not.
        """
        values = np.stack([self._floats(column) for column in columns], axis=1)
        empty = np.isnan(values)
        partly = np.flatnonzero(empty.any(1) & ~empty.all(1))
        if len(partly):
            row = int(partly[0])
            column = columns[int(empty[row].argmax())]
            raise DataError(
                f"{self.sheet.at(row)}: column {column!r} of modality {modality!r} is empty (NaN) "
                "while others are not; declare it as :tabular, which fills gaps, or empty them all "
                "to mark the modality absent"
            )
        return values

    def cells(self, column: str) -> CellColumn:
        """Read a column of any type.

        Raises:
            ConfigError: no such column.
            DataError: several columns have that name, or it holds lists.
        """
        try:
            return CellColumn(column, self._column(column))
        except DataError as error:
            raise DataError(f"{self.sheet.where}: {error}") from None

    def joined(self, columns: list[str]) -> list[str | None]:
        """Read the texts of several columns, joined by spaces; None where all are empty."""
        rows = zip(*(self.texts(column) for column in columns), strict=True)
        return [" ".join(text for text in row if text) or None for row in rows]

    def files(self, modality: str, columns: list[str], base: Path) -> list[FilePart | None]:
        """Read a column of paths, None where a cell is empty.

        Args:
            modality: its name, for messages.
            columns: a single one.
            base: folder that relative paths start from.

        Raises:
            ConfigError: several columns.
            DataError: a cell is not a path.
        """
        if len(columns) != 1:
            raise ConfigError(
                f"modality {modality!r}: files stand in one column, found {', '.join(columns)}"
            )
        texts = self.texts(columns[0])
        for row, text in enumerate(texts):
            if text is not None and "\0" in text:
                raise DataError(
                    f"{self.sheet.at(row)}: {text!r} in column {columns[0]!r} is not a path"
                )
        return [None if text is None else FilePart.parse(text, base) for text in texts]

    def _column(self, column: str) -> pd.Series:
        if column not in self.columns:
            raise ConfigError(
                f"{self.sheet.where}: no column {column!r}{suggest(column, self.columns)}"
            )
        count = self.columns.count(column)
        if count > 1:
            raise DataError(f"{self.sheet.where}: {count} columns are named {column!r}")
        return self.sheet.table[column]

    def _first(self, column: str) -> str | None:
        texts = self.texts(column)
        told = [texts[row] for row in self.telling]
        return next((text for text in [*told, *texts] if text), None)

    def _floats(self, column: str) -> np.ndarray:
        cells = self._column(column)
        wide = None
        if cells.dtype.kind in "biufO":
            # A cell that is not a number fails the whole conversion: then each is read on its own.
            with suppress(ValueError, TypeError, OverflowError):
                values = cells.to_numpy(dtype=object, na_value=np.nan)
                wide = np.where(values == "", np.nan, values).astype(np.float64)
        if wide is None:
            wide = np.array([_number(text) for text in self.texts(column)])
        # A number too large for float32 becomes infinite here and is refused below.
        with np.errstate(over="ignore"):
            narrow: np.ndarray = wide.astype(np.float32)
        if np.isinf(narrow).any():
            row = int(np.isinf(narrow).argmax())
            raise DataError(
                f"{self.sheet.at(row)}: {str(cells[row])!r} in column {column!r} "
                "is not a finite number"
            )
        self._warn_of_precision(column, wide, narrow)
        return narrow

    def _warn_of_precision(self, column: str, wide: np.ndarray, narrow: np.ndarray) -> None:
        """Warn where numbers that differ become one, such as times in seconds since 1970."""
        told = len(np.unique(wide[:LOOKED_AT]))
        kept = len(np.unique(narrow[:LOOKED_AT]))
        if kept < KEPT * told:
            warnings.warn(
                f"{self.sheet.where}: {told:,} different numbers in column {column!r} become "
                f"{kept:,} in single precision (7 digits); subtract the smallest of them, or scale "
                "them, before you use them",
                stacklevel=5,
            )


def _kind_of(cell: str) -> str | None:
    """The kind that a file's ending tells; more than two words are text."""
    kind = KIND_BY_ENDING.get(FilePart.parse(cell).path.suffix.lower())
    return "text" if kind is None and len(cell.split()) > 2 else kind


def _number(text: str | None) -> float:
    """The number in a text: NaN for an empty cell, infinity for what is not a number."""
    try:
        return float(text) if text is not None else float("nan")
    except ValueError:
        return float("inf")
