"""The user's table: a row per sample, columns for modalities, label, split, group and id."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.data.kinds import ENDINGS, KINDS, check_kind
from equipoise.data.splits import NAMES
from equipoise.errors import ConfigError, DataError, suggest

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Declaration:
    """`name=column[,column…][:kind]`. Columns may be patterns such as `f_*`; without a kind it is inferred."""

    name: str
    columns: tuple[str, ...]
    kind: str | None

    @classmethod
    def parse(cls, text: str) -> Declaration:
        """Raises ConfigError for another form, an unknown kind, or a name that cannot name a modality."""
        name, equals, rest = text.partition("=")
        columns, colon, kind = rest.rpartition(":")
        if not colon:
            columns, kind = rest, ""
        elif kind not in KINDS and "," not in kind and columns:
            check_kind(kind)
        names = tuple(c.strip() for c in columns.split(",") if c.strip())
        if not equals or not names:
            raise ConfigError(
                f"modality {text!r}: write it as name=column[,column…][:kind], for example sound=wav:audio"
            )
        name = name.strip()
        if not name.replace("-", "_").isidentifier() or hasattr(dict, name):
            raise ConfigError(f"modality {text!r}: {name!r} cannot name a modality; use letters, digits, '_' and '-'")
        return cls(name, names, kind or None)

    def __str__(self) -> str:
        return f"{self.name}={','.join(self.columns)}" + (f":{self.kind}" if self.kind else "")


@dataclass(frozen=True)
class Columns:
    """Which columns hold what."""

    modalities: Sequence[str]
    label: str = "label"
    split: str | None = None
    group: str | None = None
    id: str | None = None


@dataclass(frozen=True)
class Manifest:
    """A table read and checked, before any file is opened.

    Attributes:
        where: name of the source, for messages.
        ids: unique.
        label: None where the cell is empty.
        split: of each row, or None if there is no such column.
        group: the same.
        kinds: {modality: kind}.
        files: {modality: path or None}, for modalities of files.
        numbers: {modality: float32 (N, d), NaN rows where absent}, for modalities of number columns.
    """

    where: str
    ids: list[str]
    label: list[str | None]
    split: np.ndarray | None
    group: np.ndarray | None
    kinds: dict[str, str]
    files: dict[str, list[Path | None]]
    numbers: dict[str, np.ndarray]
    first_row: int

    def at(self, row: int) -> str:
        """ "clips.csv row 7", counted as a person sees it."""
        return f"{self.where} row {row + self.first_row}"

    def __len__(self) -> int:
        return len(self.ids)


def read_manifest(source: Any, columns: Columns, root: str | None = None, *, labels: bool = True) -> Manifest:
    """Read CSV, TSV, JSONL, Parquet or a DataFrame.

    Args:
        source: path or DataFrame.
        columns: which columns hold what.
        root: folder that relative paths start from; the manifest's own by default.
        labels: False if rows may do without a label (prediction).

    Raises:
        ConfigError: wrong declaration, unknown kind, or no such column.
        DataError: the file, a row or a cell is unusable; the message names it.
    """
    declarations = [Declaration.parse(text) for text in columns.modalities]
    if not declarations:
        raise ConfigError("say what the modalities are: --modality name=column:kind, once for each")
    names = [d.name for d in declarations]
    if len(set(names)) < len(names):
        raise ConfigError(f"modality {max(names, key=names.count)!r} is declared twice")
    where, table, first_row = read_table_file(source)
    base = Path(root) if root else Path(source).parent if isinstance(source, str | Path) else Path()
    cells = _Cells(where, table, first_row)
    ids = cells.ids(columns.id)
    label: list[str | None] = [None] * len(table)
    if labels or columns.label in table:
        label = cells.texts(columns.label)
    kinds, files, numbers = {}, {}, {}
    for declaration in declarations:
        chosen = cells.match(declaration)
        kind = declaration.kind or cells.infer(declaration, chosen)
        kinds[declaration.name] = kind
        if kind == "vector" and not cells.holds_files(chosen):
            numbers[declaration.name] = cells.numbers(declaration.name, chosen)
        else:
            files[declaration.name] = cells.files(declaration.name, chosen, base)
    split = None if columns.split is None else cells.splits(columns.split)
    group = None if columns.group is None else np.array([g or "" for g in cells.texts(columns.group)])
    return Manifest(where, ids, label, split, group, kinds, files, numbers, first_row)


def read_table_file(source: Any) -> tuple[str, pd.DataFrame, int]:
    """(name, table, number of its first row as a person counts)."""
    import pandas as pd

    if isinstance(source, pd.DataFrame):
        if source.empty:
            raise DataError("the DataFrame has no rows")
        return "DataFrame", source.rename(columns=str).reset_index(drop=True), 0
    path = Path(source)
    ending = path.suffix.lower()
    if not path.is_file():
        raise DataError(f"{path}: no such manifest")
    try:
        if ending in (".csv", ".tsv"):
            separator = "," if ending == ".csv" else "\t"
            table = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, skip_blank_lines=False)
        elif ending in (".jsonl", ".ndjson"):
            lines = path.read_text(encoding="utf-8").splitlines()
            table = pd.DataFrame([_json_row(path, n, line) for n, line in enumerate(lines, 1) if line.strip()])
        elif ending == ".parquet":
            table = pd.read_parquet(path)
        else:
            raise DataError(f"{path}: not a manifest; its name must end in .csv, .tsv, .jsonl or .parquet")
    except ImportError:
        raise DataError(f"{path}: reading Parquet needs pyarrow; pip install 'equipoise[parquet]'") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not readable as {ending[1:]} ({' '.join(str(error).split())})") from None
    if table.empty:
        raise DataError(f"{path}: the manifest has no rows")
    return path.name, table, 2 if ending in (".csv", ".tsv") else 1


def _json_row(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError:
        raise DataError(f"{path} row {number}: not valid JSON") from None
    if not isinstance(row, Mapping):
        raise DataError(f"{path} row {number}: expected an object with a value per column")
    return dict(row)


class _Cells:
    """Columns of one table, checked cell by cell."""

    def __init__(self, where: str, table: pd.DataFrame, first_row: int) -> None:
        self.where, self.table, self.first_row = where, table, first_row

    def texts(self, column: str) -> list[str | None]:
        """Stripped texts, None where empty."""
        if column not in self.table:
            raise ConfigError(f"{self.where}: no column {column!r}{suggest(column, map(str, self.table.columns))}")
        return [_text(value) for value in self.table[column]]

    def ids(self, column: str | None) -> list[str]:
        if column is None:
            return [str(row) for row in range(len(self.table))]
        found = self.texts(column)
        seen: dict[str, int] = {}
        for row, value in enumerate(found):
            if value is None:
                raise DataError(f"{self._at(row)}: the id in column {column!r} is empty")
            if value in seen:
                raise DataError(f"{self._at(row)}: id {value!r} is the same as in row {seen[value] + self.first_row}")
            seen[value] = row
        return list(seen)

    def splits(self, column: str) -> np.ndarray:
        known = {
            "train": "train",
            "validation": "validation",
            "valid": "validation",
            "val": "validation",
            "dev": "validation",
            "test": "test",
        }
        found = []
        for row, value in enumerate(self.texts(column)):
            if (value or "").lower() not in known:
                raise DataError(f"{self._at(row)}: split {value!r} is none of {', '.join(NAMES)}")
            found.append(known[str(value).lower()])
        return np.array(found, dtype=object)

    def match(self, declaration: Declaration) -> list[str]:
        """The columns a declaration names, patterns resolved in the table's order."""
        columns = [str(c) for c in self.table.columns]
        chosen: list[str] = []
        for pattern in declaration.columns:
            found = [pattern] if pattern in columns else [c for c in columns if fnmatchcase(c, pattern)]
            if not found:
                raise ConfigError(
                    f"{self.where}: no column {pattern!r} (modality {declaration.name!r}){suggest(pattern, columns)}"
                )
            chosen += [c for c in found if c not in chosen]
        return chosen

    def infer(self, declaration: Declaration, columns: list[str]) -> str:
        """The kind that the cells look like."""
        if len(columns) > 1:
            return "vector"
        first = next((t for t in self.texts(columns[0]) if t), None)
        kind = ENDINGS.get(Path(first or "").suffix.lower())
        if kind is None and first is not None and _number(first) is not None:
            kind = "vector"
        if kind is None:
            raise ConfigError(
                f"{self.where}: cannot tell what modality {declaration.name!r} holds from {first!r}; "
                f"add a kind: {declaration}:audio, :image or :vector"
            )
        return kind

    def holds_files(self, columns: list[str]) -> bool:
        """True for one column of array files."""
        first = next((t for t in self.texts(columns[0]) if t), "")
        return len(columns) == 1 and first.lower().endswith(".npy")

    def numbers(self, modality: str, columns: list[str]) -> np.ndarray:
        """float32 (N, d); NaN rows where every cell is empty."""
        values = np.full((len(self.table), len(columns)), np.nan, dtype=np.float32)
        for place, column in enumerate(columns):
            for row, text in enumerate(self.texts(column)):
                if text is None:
                    continue
                number = _number(text)
                if number is None:
                    raise DataError(f"{self._at(row)}: {text!r} in column {column!r} is not a finite number")
                values[row, place] = number
        partly = np.flatnonzero(np.isnan(values).any(1) & ~np.isnan(values).all(1))
        if len(partly):
            row = int(partly[0])
            column = columns[int(np.isnan(values[row]).argmax())]
            raise DataError(
                f"{self._at(row)}: column {column!r} of modality {modality!r} is empty (NaN) while others are not; "
                "fill it, or empty them all to mark the modality absent"
            )
        return values

    def files(self, modality: str, columns: list[str], base: Path) -> list[Path | None]:
        if len(columns) != 1:
            raise ConfigError(f"modality {modality!r}: files stand in one column, found {', '.join(columns)}")
        return [None if text is None else base / text for text in self.texts(columns[0])]

    def _at(self, row: int) -> str:
        return f"{self.where} row {row + self.first_row}"


def _text(value: Any) -> str | None:
    """A cell as stripped text; None for empty, None and NaN."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return None
    return str(value).strip() or None


def _number(text: str) -> float | None:
    """The finite number a text says, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if np.isfinite(number) else None
