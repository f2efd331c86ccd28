"""The user's table: a row per sample, columns for modalities, and for label, split and so on."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from equipoise.data.manifest.cells import CellColumn
from equipoise.data.manifest.columns import ColumnReader
from equipoise.data.manifest.declaration import Columns, Declaration
from equipoise.data.manifest.file_part import FilePart
from equipoise.data.manifest.labels import Label, LabelType
from equipoise.data.manifest.sheet import Sheet, read_sheet
from equipoise.errors import ConfigError, suggest

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Manifest:
    """A table read and checked, before any file is opened.

    Attributes:
        sheet: the table; it names rows in messages.
        ids: (N,) unique ids.
        label: (N,) labels, None where the cell is empty.
        label_type: the type of every label.
        split: (N,) split of each row, from its column or drawn, "" for a row that is in none; None
            where there is neither.
        group: (N,) group of each row; None where there is no such column.
        weight: float32 (N,), how much each row counts in training; None where there is no such
            column.
        declarations: one for every modality, with its kind, and with patterns resolved to columns.
        files: {modality: file, or the part of one, or None}, for modalities of files.
        numbers: {modality: float32 (N, d), NaN rows where absent}, for modalities of number
            columns.
        texts: {modality: text or None}, for modalities of text.
        cells: {modality: {column: its cells}}, for tabular modalities.
    """

    sheet: Sheet
    ids: list[str]
    label: list[Label | None]
    label_type: LabelType = field(default_factory=LabelType)
    split: np.ndarray | None = None
    group: np.ndarray | None = None
    weight: np.ndarray | None = None
    declarations: list[Declaration] = field(default_factory=list)
    files: dict[str, list[FilePart | None]] = field(default_factory=dict)
    numbers: dict[str, np.ndarray] = field(default_factory=dict)
    texts: dict[str, list[str | None]] = field(default_factory=dict)
    cells: dict[str, dict[str, CellColumn]] = field(default_factory=dict)

    @property
    def where(self) -> str:
        return self.sheet.where

    def at(self, row: int) -> str:
        """The name of a row in messages, such as "clips.csv row 7"."""
        return self.sheet.at(row)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def training(self) -> np.ndarray:
        """Indices of the training rows; of all rows where no row is in a split."""
        if self.split is None:
            return np.arange(len(self))
        return np.flatnonzero(self.split == "train")


def read_manifest(
    source: Path | pd.DataFrame,
    columns: Columns,
    root: str | None = None,
    *,
    draw: Callable[[Manifest], np.ndarray | None] | None = None,
    known: LabelType | None = None,
    files: Set[str] = frozenset(),
    allow_absent: bool = False,
    labelled: bool = True,
) -> Manifest:
    """Read and check a table: CSV, TSV, JSONL, Parquet or a DataFrame.

    Args:
        source: path or DataFrame.
        columns: the columns by role.
        root: folder that relative paths start from; the manifest's own by default.
        draw: draws the split of every row where the table has no split column. It sees labels and
            groups, but no modality: kinds of modality are inferred from the training rows.
        known: the type of the labels of a run, for new data, which may lack the label column and
            the id column; None for data to train on.
        files: modalities that a run reads from files, whatever the cells of new data hold.
        allow_absent: new data may lack the columns of some modalities, which are then absent.
        labelled: False to leave the label column unread, whatever it holds.

    Raises:
        ConfigError: a wrong declaration, an unknown kind, or no such column.
        DataError: the file, a row or a cell is unusable; the message names it.
    """
    sheet = read_sheet(source)
    reader = ColumnReader(sheet)
    here = source.parent if isinstance(source, Path) else Path()
    new = known is not None
    if not labelled or (new and columns.label not in reader.columns):
        labels: list[Label | None] = [None] * len(sheet.table)
        label_type = known or LabelType()
    else:
        labels, label_type = reader.labels(columns.label, known)
    manifest = Manifest(
        sheet,
        reader.ids(columns.id),
        labels,
        label_type,
        None if columns.split is None else reader.splits(columns.split),
        None if columns.group is None else np.array(reader.filled(columns.group, "group")),
        None if columns.weight is None else reader.weights(columns.weight),
    )
    if manifest.split is None and draw is not None:
        manifest = replace(manifest, split=draw(manifest))
    # A test row must not shape what is trained, so kinds are inferred from training rows.
    reader.telling = manifest.training
    found = columns.modalities
    if new:
        found = _with_columns(reader, columns, allow_absent=allow_absent)
    for declaration in found:
        # A pattern such as * must not take the files of another modality for categories.
        taken = {c for other in found if other is not declaration for c in other.columns}
        kept = taken if declaration.kind == "tabular" else set()
        chosen = reader.match(declaration, columns.others | kept)
        base = Path(root) if root else here
        by_path = declaration.name in files or reader.holds_array_files(chosen)
        _read_modality(manifest, reader, declaration, chosen, base, by_path=by_path)
    return manifest


def _read_modality(
    manifest: Manifest,
    reader: ColumnReader,
    declaration: Declaration,
    columns: list[str],
    base: Path,
    *,
    by_path: bool,
) -> None:
    name = declaration.name
    kind = declaration.kind or reader.infer(declaration, columns)
    manifest.declarations.append(Declaration(name, columns, kind))
    if kind == "text":
        manifest.texts[name] = reader.joined(columns)
    elif kind == "tabular":
        manifest.cells[name] = {column: reader.cells(column) for column in columns}
    elif kind == "vector" and not by_path:
        manifest.numbers[name] = reader.numbers(name, columns)
    else:
        manifest.files[name] = reader.files(name, columns, base)


def _with_columns(
    reader: ColumnReader, columns: Columns, *, allow_absent: bool
) -> list[Declaration]:
    """The modalities of which new data have a column; the others count as absent.

    Raises:
        ConfigError: there is none, or some are missing and that was not allowed.
    """
    found = [d for d in columns.modalities if any(c in reader.columns for c in d.columns)]
    missing = [d for d in columns.modalities if d not in found]
    if not missing:
        return found
    used = {column for d in found for column in d.columns} | columns.others
    free = [column for column in reader.columns if column not in used]
    named = "; ".join(
        f"no column {', '.join(map(repr, d.columns))} for modality {d.name!r}"
        f"{suggest(d.columns[0], free)}"
        for d in missing
    )
    if not found:
        raise ConfigError(f"{reader.sheet.where}: {named}; no modality of the run is there")
    if not allow_absent:
        raise ConfigError(
            f"{reader.sheet.where}: {named}; rename the column, or treat the modality as absent in "
            "every row with --allow-absent (Python: allow_absent=True)"
        )
    warnings.warn(f"{reader.sheet.where}: {named}; taken as absent in every row", stacklevel=4)
    return found
