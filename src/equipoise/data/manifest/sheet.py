"""CSV, TSV, JSONL, Parquet or a DataFrame as one table with numbered rows."""

from __future__ import annotations

import csv
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from equipoise import spreadsheet
from equipoise.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

MANIFEST_ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_LONGEST = 2**31 - 1  # characters of a cell
_FIELD_LIMIT = Lock()


@dataclass(frozen=True)
class Sheet:
    """A table that knows the number of each row.

    Attributes:
        where: its name in messages.
        table: the rows.
        numbers: (N,) number of each row; in a file, the header is row 1 and blank lines count.
        path: the file; None for a DataFrame.
    """

    where: str
    table: pd.DataFrame
    numbers: Sequence[int]
    path: Path | None = None

    @property
    def is_text(self) -> bool:
        """True for CSV and TSV, in which every cell is text."""
        return self.path is not None and self.path.suffix.lower() in (".csv", ".tsv")

    def at(self, row: int) -> str:
        """The name of a row in messages, such as "clips.csv row 7"."""
        return f"{self.where} row {self.numbers[row]}"


def read_sheet(source: Path | pd.DataFrame) -> Sheet:
    """Read a table; cells of CSV and TSV are text.

    Raises:
        DataError: no such file, not a table, not UTF-8, another separator, no rows, or a row that
            does not fit the header.
    """
    if not isinstance(source, Path):
        if source.empty:
            raise DataError("the DataFrame has no rows")
        return Sheet(
            "DataFrame", source.rename(columns=str).reset_index(drop=True), range(len(source))
        )
    if not source.is_file():
        raise DataError(f"{source}: no such manifest")
    ending = source.suffix.lower()
    if ending not in MANIFEST_ENDINGS:
        raise DataError(
            f"{source}: not a manifest; its name must end in .csv, .tsv, .jsonl or .parquet"
        )
    try:
        sheet = _read(source, ending)
    except ImportError:
        raise DataError(
            f"{source}: reading Parquet needs pyarrow; pip install 'equipoise[parquet]'"
        ) from None
    except UnicodeDecodeError:
        raise DataError(
            f"{source}: not readable as {ending[1:]}, as it is not in UTF-8; save it as UTF-8"
        ) from None
    except (OSError, ValueError) as error:
        raise DataError(
            f"{source}: not readable as {ending[1:]} ({' '.join(str(error).split())})"
        ) from None
    if sheet.table.empty:
        raise DataError(f"{source}: the manifest has no rows")
    return sheet


def _read(path: Path, ending: str) -> Sheet:
    import pandas as pd

    if ending == ".parquet":
        table = pd.read_parquet(path)
        return Sheet(
            path.name,
            table.rename(columns=str).reset_index(drop=True),
            range(1, len(table) + 1),
            path,
        )
    with path.open(encoding="utf-8-sig", newline="") as file, _cells_of_any_length():
        if ending in (".jsonl", ".ndjson"):
            objects = dict(_objects(path, file))
            # As objects, since a gap would turn a column of integers into floats.
            table = pd.DataFrame(list(objects.values()), dtype=object)
            return Sheet(path.name, table, list(objects), path)
        records = _records(
            path, csv.reader(file, delimiter="\t" if ending == ".tsv" else ",", strict=True)
        )
        _, header = next(records, (1, []))
        _check_separator(path, header, ending)
        rows = dict(_rows(path, header, records))
    _unprotect(path, rows)
    return Sheet(
        path.name, pd.DataFrame(list(rows.values()), columns=header, dtype=object), list(rows), path
    )


@contextmanager
def _cells_of_any_length() -> Iterator[None]:
    """Lift the csv module's limit, which holds for the whole process, for a while."""
    with _FIELD_LIMIT:
        before = csv.field_size_limit(_LONGEST)
        try:
            yield
        finally:
            csv.field_size_limit(before)


def _records(path: Path, reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    number = 0
    try:
        for number, cells in enumerate(reader, 1):
            yield number, cells
    except csv.Error as error:
        raise DataError(
            f"{path} row {number + 1}: {error}; a cell that holds a quote stands in quotes, "
            'and each quote in it is doubled: """hi"" he said"'
        ) from None


def _check_separator(path: Path, header: Sequence[str], ending: str) -> None:
    """Refuse another separator, such as a spreadsheet writes where the comma is for decimals."""
    remedy = (
        "save it with tabs, or with commas as .csv"
        if ending == ".tsv"
        else "save it with commas, or tabs as .tsv"
    )
    for mark in ";," if ending == ".tsv" else ";	":
        if len(header) == 1 and mark in header[0]:
            raise DataError(f"{path}: separated by {mark!r}; {remedy}")


def _unprotect(path: Path, rows: Mapping[int, list[str]]) -> None:
    """Take back the apostrophes of text that is protected from spreadsheet programs, and say so.

    A prepared folder says itself whether its manifest is protected; that of version 0.1 is not.
    """
    told = _told_protected(path)
    if told is False:
        return
    found = [
        (number, place, cell)
        for number, cells in rows.items()
        for place, cell in enumerate(cells)
        if spreadsheet.is_protected(cell)
    ]
    for number, place, cell in found:
        rows[number][place] = spreadsheet.unprotect(cell)
    if found and told is None:
        number, _, cell = found[0]
        warnings.warn(
            f"{path.name}: {len(found)} cell{'s' * (len(found) > 1)} read without the apostrophe "
            f"that keeps a spreadsheet program from running them (first: row {number}, "
            f"{cell[:20]!r})",
            stacklevel=4,
        )


def _told_protected(path: Path) -> bool | None:
    """The word of a dataset.json about the manifest beside it; None where it says nothing."""
    try:
        facts = json.loads((path.parent / "dataset.json").read_text(encoding="utf-8"))
        return bool(facts.get("protected", False)) if facts["manifest"] == path.name else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None  # whoever reads the dataset.json says what is wrong with it


def _rows(
    path: Path, header: Sequence[str], records: Iterator[tuple[int, list[str]]]
) -> Iterator[tuple[int, list[str]]]:
    for number, cells in records:
        if cells and len(cells) != len(header):
            raise DataError(
                f"{path} row {number}: {len(cells)} cells, but the header has {len(header)}"
            )
        if cells:
            yield number, cells


def _objects(path: Path, lines: Iterator[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):  # the latter of brackets that are nested too deep
            raise DataError(f"{path} row {number}: not valid JSON") from None
        if not isinstance(row, Mapping):
            raise DataError(f"{path} row {number}: expected an object with a value per column")
        yield number, dict(row)
