"""Cells of any type as numbers: numbers, booleans, dates, and categories by a code.

The type of a column is found once, from training rows, and holds for all data of a run. It is
"number", "boolean", "category", "date" for dates that are written as ISO 8601 says, or "date" and a
format, such as "date %d.%m.%Y".
"""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

TYPES = ("number", "boolean", "category", "date")

_DAYS = ("%d.%m.%Y", "%Y/%m/%d", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y", "%d %b %Y", "%d %B %Y")
_DATES = (
    "",
    *(f"{day}{time}" for day in _DAYS for time in ("", " %H:%M", " %H:%M:%S")),
    "%H:%M",
    "%H:%M:%S",
)
"""Formats of dates in the order in which they are tried; "" is ISO 8601."""

_TWO_NUMBERS = re.compile(r"\d\D+\d")
"""A part of every date that is no number."""

_PAIRS = ({"true", "false"}, {"yes", "no"}, {"y", "n"}, {"t", "f"})
_TRUTH = {
    **dict.fromkeys(("true", "yes", "y", "t", "1"), 1.0),
    **dict.fromkeys(("false", "no", "n", "f", "0"), 0.0),
}
_NO_VALUE = frozenset({"?", "nan", "nat", "<na>"})
"""Words, in any case, that stand for an empty cell."""
_NO_NUMBER = _NO_VALUE | {"-", "--", "na", "n/a", "#n/a", "null", "none"}
"""The same where only a number, a date or a boolean can stand; elsewhere "none" is a category."""


class CellColumn:
    """The cells of one column.

    Args:
        name: of the column, for messages.
        cells: (N,)

    Attributes:
        says: the type that the column's dtype tells; "" if the texts must tell it.

    Raises:
        DataError: the cells are lists or other things without a text of their own.
    """

    def __init__(self, name: str, cells: pd.Series) -> None:
        from pandas.api import types

        self._cells = cells
        self._values: np.ndarray | None = None
        self.says: str = ""
        if types.is_timedelta64_dtype(cells.dtype):
            self._cells = cells.dt.total_seconds()
        if isinstance(cells.dtype, types.CategoricalDtype):
            # Someone who makes numbers categorical says that they are codes.
            self.says = "category" if types.is_numeric_dtype(cells.dtype.categories.dtype) else ""
        elif types.is_datetime64_any_dtype(cells.dtype):
            self.says = "date"
            self._values = _seconds(cells)
        elif self._cells.dtype.kind in "iuf":
            self.says = "number"
            self._values = self._cells.to_numpy(dtype=np.float64, na_value=np.nan)
        else:
            try:
                self._texts  # noqa: B018 (read here, so that lists are refused at once)
            except TypeError:
                raise DataError(
                    f"column {name!r} holds lists or mappings; a tabular modality takes numbers, "
                    "categories, booleans and dates"
                ) from None

    @cached_property
    def _texts(self) -> tuple[np.ndarray, list[str]]:
        """(N,) index of the text of each cell, −1 where it is empty; and the different texts."""
        codes, values = self._cells.factorize()
        texts = [text_of(value) or "" for value in values.tolist()]
        filled = np.array([*map(bool, texts), False])
        return np.where(filled[codes], codes, -1), texts

    def text(self, row: int) -> str:
        """The text of a cell that is not empty."""
        codes, texts = self._texts
        return str(texts[codes[row]])

    def among(self, rows: np.ndarray) -> tuple[list[str], int]:
        """The different texts in some rows, and the number of these rows that have one."""
        codes, texts = self._texts
        there = codes[rows][codes[rows] >= 0]
        return [texts[code] for code in np.unique(there)], len(there)

    def type_in(self, rows: np.ndarray) -> str:
        """The type of the column in some rows; a column that is empty there is of categories."""
        if self._values is not None:
            empty = bool(np.isnan(self._values[rows]).all())
            return "category" if empty else self.says
        return self.says or type_of(self.among(rows)[0])

    def numbers(self, kind: str) -> tuple[np.ndarray, np.ndarray]:
        """Read every cell as a number.

        Args:
            kind: type of the column. A boolean is 0 or 1, a date the seconds since 1970, and a
                category a code that the text alone decides.

        Returns:
            float64 (N,), NaN where a cell is empty; and the rows whose cell is not of this type.
        """
        if self._values is not None and self.says == kind.partition(" ")[0]:
            return self._values, np.flatnonzero(np.isinf(self._values))
        codes, texts = self._texts
        found, good = _numbers(texts, kind)
        return np.append(found, np.nan)[codes], np.flatnonzero(~np.append(good, True)[codes])


def type_of(texts: Sequence[str]) -> str:
    """The type of a column, from its different texts; a column without any is of categories."""
    if len(texts) and np.isfinite(_floats(texts)).all():
        return "number"
    filled = [text for text in texts if text.lower() not in _NO_NUMBER]
    words = {text.lower() for text in filled}
    if words in _PAIRS or (words and words < _PAIRS[0]):
        return "boolean"
    if filled and np.isfinite(_floats(filled)).all():
        return "number"
    # Asked first, because trying all formats on each of thousands of columns takes minutes.
    if not filled or not all(_TWO_NUMBERS.search(text) for text in filled):
        return "category"
    for form in _DATES:
        # Most formats fail at the first text already.
        if all(not np.isnan(_dates(some, form)).any() for some in (filled[:1], filled)):
            return f"date {form}".strip()
    return "category"


def has_two_readings(texts: Sequence[str], kind: str) -> bool:
    """True for dates of which nothing tells whether the day or the month stands first."""
    if not kind.startswith("date %m/%d"):
        return False
    filled = [text for text in texts if text.lower() not in _NO_NUMBER]
    return not np.isnan(_dates(filled, "%d/%m" + kind.removeprefix("date %m/%d"))).any()


def is_type(kind: object) -> bool:
    """True for a type that a column can have."""
    return isinstance(kind, str) and (kind in TYPES or kind.startswith("date %"))


def is_number(text: str) -> bool:
    """True for the text of a finite number."""
    try:
        return bool(np.isfinite(float(text)))
    except (ValueError, OverflowError):
        return False


def text_of(cell: Any) -> str | None:
    """A cell as stripped text; None for a blank one.

    An empty cell makes pandas read the whole column of integers as floats: 3.0 was "3".
    """
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip() or None


def _numbers(texts: Sequence[str], kind: str) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of texts, NaN for those that stand for an empty cell; and which are readable."""
    empty = _NO_VALUE if kind == "category" else _NO_NUMBER
    blank = np.array([text.lower() in empty for text in texts], dtype=bool)
    if kind == "category":
        found = np.array([_code(text) for text in texts], dtype=np.float64)
    elif kind == "number":
        found = _floats(texts)
        found[np.isinf(found)] = np.nan
    elif kind == "boolean":
        found = np.array([_TRUTH.get(t.lower(), np.nan) for t in texts], dtype=np.float64)
    else:
        found = _dates(texts, kind.removeprefix("date").strip())
    found[blank] = np.nan
    return found, blank | ~np.isnan(found)


def _code(text: str) -> float:
    """52 bits of a hash: a float holds them exactly, and two of a million texts hardly collide."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=7).digest()
    return float(int.from_bytes(digest) >> 4)


def _floats(texts: Sequence[str]) -> np.ndarray:
    """float64 (n,), NaN for a text that is no number."""
    try:
        return np.array(texts, dtype=object).astype(np.float64)
    except (ValueError, OverflowError):
        return np.array([float(t) if is_number(t) else np.nan for t in texts], dtype=np.float64)


def _dates(texts: Sequence[str], form: str) -> np.ndarray:
    """Seconds since 1970, NaN for a text that is no date of this format; "" is ISO 8601."""
    import pandas as pd

    with warnings.catch_warnings(action="ignore"):
        found = pd.to_datetime(
            pd.Series(list(texts), dtype=object),
            format=form or "ISO8601",
            errors="coerce",
            utc=True,
        )
    return _seconds(found)


def _seconds(dates: pd.Series) -> np.ndarray:
    """float64 (N,) seconds since 1970, NaN where there is no date; without a zone they are UTC."""
    import pandas as pd

    plain = pd.to_datetime(dates, utc=True).dt.tz_localize(None)
    # Microseconds reach every year that a date can have; nanoseconds do not.
    since = plain.to_numpy(dtype="datetime64[us]") - np.datetime64(0, "us")
    return np.asarray(since / np.timedelta64(1, "s"), dtype=np.float64)
