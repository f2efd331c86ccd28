"""The label column: the type its labels come in, and columns that are not class labels at all.

Labels keep their type from the table to the predictions: integers stay integers, booleans stay
booleans. One label column has one type, so that no two classes can look alike.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from math import inf, isfinite
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from equipoise.data.manifest.sheet import Sheet
from equipoise.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

Label = int | str
"""A class as Python returns it; a boolean is one of the integers."""

Kind = Literal["integer", "boolean", "text"]

_INTEGER = re.compile(r"-?(?:0|[1-9]\d{0,17})")  # no leading zeros: 007 is a name, not a number
_WHOLE = re.compile(rf"({_INTEGER.pattern})\.0+")  # integers that a gap made floats
_BOOLEANS = {("True", "False"), ("TRUE", "FALSE"), ("true", "false")}
_LIST_MARKS = {"[]": ",'\"0123456789", "{}": ",'\":", "()": "'\""}  # what only a list has inside
_BYTES = re.compile(r"""b(['"]).*\1""", re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")  # half of a pair, which no file in UTF-8 can hold
_LEAST = -(2**63)
_MOST = 2**63 - 1
_SEPARATORS = "|;,"
_ENOUGH = 10  # labelled rows, from which all-different values are no classes
_SHOWN = 5  # doubtful labels that are named

_WRITTEN_FOR_MISSING = frozenset(
    {"nan", "null", "na", "n/a", "#n/a", "<na>", "nat", "inf", "-inf", "+inf", "infinity"}
)
"""Texts that programs write for a missing value or a number that is none, in lower case."""

ONE_CLASS = "equipoise predicts one class for each sample (single-label classification)"


@dataclass(frozen=True)
class LabelType:
    """The type of the labels of a column, as plain values.

    Attributes:
        kind: of every label.
        dtype: pandas dtype of the column; "" for the default one of the kind.
        categories: of a pandas categorical, in its order; None of other columns.
        ordered: whether the categories are ordered.
    """

    kind: Kind = "text"
    dtype: str = ""
    categories: Sequence[Any] | None = None
    ordered: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values, from which `from_dict` makes the same type."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any] | None) -> LabelType:
        """The type of a run; text for data without columns.

        Raises:
            TypeError: other values than those of `to_dict`.
        """
        return cls(**(values or {}))

    def series(self, labels: Sequence[Label], index: pd.Index) -> pd.Series:
        """Labels as a column of the type that they came in."""
        import pandas as pd

        if self.categories is not None:
            values = pd.Categorical(
                list[Any](labels), categories=self.categories, ordered=self.ordered
            )
            return pd.Series(values, index=index)
        usual = {"integer": "int64", "boolean": "bool", "text": "object"}[self.kind]
        try:
            return pd.Series(labels, index=index, dtype=self.dtype or usual)
        except (TypeError, ValueError, ImportError, OverflowError):
            # The dtype is one of a package that is not here, such as pyarrow.
            return pd.Series(labels, index=index, dtype=usual if labels else "object")

    def label(self, cell: Any) -> Label:
        """A cell of new data as a label of this type; one that cannot be is left a text."""
        if isinstance(cell, str):
            return _from_text(cell, self.kind)
        if isinstance(cell, bool):
            return cell if self.kind == "boolean" else str(cell)
        if isinstance(cell, float) and cell.is_integer():
            cell = int(cell)
        return cell if self.kind == "integer" and isinstance(cell, int) else str(cell)


def read_labels(
    sheet: Sheet, column: str, cells: pd.Series, known: LabelType | None = None
) -> tuple[list[Label | None], LabelType]:
    """Read a label column.

    Args:
        sheet: its table, for messages.
        column: its name.
        cells: (N,).
        known: the type of the labels of a run, for its new data; None to find the type.

    Returns:
        (N,) labels, None where a cell is empty or blank, and their type.

    Raises:
        DataError: the cells are not single class labels: lists, dates, fractions, texts mixed with
            numbers, or every one different.
    """
    filled = (~cells.isna()).to_numpy()
    plain = [
        _plain(sheet, row, column, cell) if here else None
        for row, (cell, here) in enumerate(zip(cells, filled, strict=True))
    ]
    if known is not None:
        return [None if cell is None else known.label(cell) for cell in plain], known
    values = [cell for cell in plain if cell is not None]
    where = f"{sheet.where}: label column {column!r}"
    kind = _kind(where, values, written=sheet.is_text)
    found = LabelType(kind, *_dtype(cells))
    labels = [None if cell is None else found.label(cell) for cell in plain]
    _check_repeated(where, [label for label in labels if label is not None])
    return labels, found


def is_integer(text: str) -> bool:
    """True for a text as Python writes an integer of at most 18 digits."""
    return _INTEGER.fullmatch(text) is not None


def in_order(labels: Set[Label]) -> list[Label]:
    """Sort classes: numbers by value, also where they are written as text; others alphabetically.

    The order must be the same in every process, since ranks must agree on it, and a set has
    another one in each. So equal values ("1" and "1.0") and nan have a fixed place too.
    """
    texts = [label for label in labels if isinstance(label, str)]
    if len(texts) < len(labels):
        return sorted(label for label in labels if not isinstance(label, str))
    try:
        values = {text: float(text) for text in texts}
    except ValueError:
        return [*sorted(texts)]
    return [
        *sorted(
            texts,
            key=lambda text: (values[text], text) if isfinite(values[text]) else (inf, text),
        )
    ]


def doubtful_labels(counts: Mapping[Label, int]) -> list[str]:
    """Find classes that are probably spellings of one class, or no class at all.

    They stay the classes they are: only the user knows what is meant.

    Args:
        counts: {class: number of rows}.

    Returns:
        A sentence for each finding, without a full stop; the first few of many.
    """
    texts = {label: count for label, count in counts.items() if isinstance(label, str)}
    alike: dict[str, list[str]] = {}
    for text in texts:
        alike.setdefault(_folded(text), []).append(text)
    found = []
    for spellings in alike.values():
        if len(spellings) > 1:
            named = " and ".join(f"{_shown(s, spellings)} ({_rows(texts[s])})" for s in spellings)
            found.append(f"{named} are {len(spellings)} classes; if they are one, write them alike")
    for text, count in texts.items():
        if text.strip().lower() in _WRITTEN_FOR_MISSING or text.strip() == "None":
            found.append(
                f"the class {text!r} ({_rows(count)}) looks like an empty cell: probably a "
                "missing label; label or remove them"
            )
        elif _BYTES.fullmatch(text):
            found.append(
                f"the class {text!r} ({_rows(count)}) looks like bytes written as text; "
                "decode them before the table is written"
            )
    found += _several_labels(texts)
    rest = len(found) - _SHOWN
    return (
        found if rest <= 0 else [*found[:_SHOWN], f"{rest} more classes look doubtful like these"]
    )


def _several_labels(texts: Mapping[str, int]) -> list[str]:
    """Texts that join classes, such as "happy|calm" where "happy" or another pair of it occurs."""
    for mark in _SEPARATORS:
        parts = {
            text: [part.strip() for part in text.split(mark)] for text in texts if mark in text
        }
        times = Counter(part for of in parts.values() for part in of)
        shared = [
            text
            for text, of in parts.items()
            if all(of) and any(part in texts or times[part] > 1 for part in of)
        ]
        if shared:
            return [
                f"labels such as {shared[0]!r} ({_rows(texts[shared[0]])}) look like several "
                f"labels of one sample; {ONE_CLASS}, and each combination is a class of its own"
            ]
    return []


def _plain(sheet: Sheet, row: int, column: str, cell: Any) -> Any:
    """A cell as a boolean, an integer, a float or a text; None for a blank text."""
    if isinstance(cell, np.generic):
        cell = cell.item()
    if isinstance(cell, Decimal):
        cell = int(cell) if cell == cell.to_integral_value() else float(cell)
    if isinstance(cell, str):
        text = str.__str__(cell)
        if _SURROGATE.search(text):
            raise _unusable(sheet, row, column, "no valid text", text)
        if _is_list(text.strip()):
            raise _unusable(sheet, row, column, "a list of labels", text)
        return text if text.strip() else None
    if isinstance(cell, int) and not _LEAST <= cell <= _MOST:
        raise _unusable(sheet, row, column, "an integer of more than 64 bits", hex(cell))
    if isinstance(cell, bool | int | float):
        return cell
    raise _unusable(sheet, row, column, _what(cell), cell)


def _is_list(text: str) -> bool:
    """True for a list, set or table that was written as text, such as "['a', 'b']" or "[]"."""
    marks = _LIST_MARKS.get(f"{text[:1]}{text[-1:]}") if len(text) > 1 else None
    inside = text[1:-1].strip()
    return marks is not None and (not inside or any(mark in inside for mark in marks))


def _what(cell: Any) -> str:
    """Describe a cell that cannot be a label."""
    import pandas as pd

    if isinstance(cell, list | tuple | set | frozenset | np.ndarray):
        return "a list of labels"
    if isinstance(cell, Mapping):
        return "nested values"
    if isinstance(cell, bytes | bytearray | memoryview):
        return "bytes"
    if isinstance(cell, date | time | timedelta | pd.Period | np.datetime64 | np.timedelta64):
        return "a date or time"
    if isinstance(cell, pd.Interval):
        return "an interval"
    return f"a value of type {type(cell).__name__}"


_REMEDIES = {
    "a list of labels": "is this a multi-label task? Keep one label per row",
    "nested values": "write one label per row",
    "bytes": "decode them to text",
    "no valid text": "mend the encoding of the table",
    "a date or time": "name another --label column, or turn them into classes as text",
}


def _unusable(sheet: Sheet, row: int, column: str, what: str, cell: Any) -> DataError:
    shown = " ".join(repr(cell).split())
    shown = shown if len(shown) <= 60 else f"{shown[:57]}…"
    remedy = _REMEDIES.get(what, "turn the labels into text")
    return DataError(
        f"{sheet.at(row)}: {shown} in label column {column!r} is {what}; {ONE_CLASS}; {remedy}"
    )


def _kind(where: str, values: Sequence[Any], *, written: bool) -> Kind:
    """The one kind of all values.

    Args:
        where: table and column, for messages.
        values: the labels.
        written: the values are the text of a CSV, in which numbers are written as text.

    Raises:
        DataError: they are fractions, or of several kinds.
    """
    names: dict[type, str] = {bool: "boolean", int: "integer", float: "number", str: "text"}
    kinds = Counter(names[type(value)] for value in values)
    if set(kinds) <= {"integer", "number"} and values:
        fractions = [value for value in values if not _is_whole(value)]
        if fractions:
            raise _quantities(where, fractions[0], values)
        return "integer"
    if len(kinds) > 1:
        mixed = " and ".join(
            f"{count} {kind}{'s' * (count > 1)}" for kind, count in kinds.most_common()
        )
        raise DataError(
            f"{where} mixes {mixed}; labels need one type: write all of them as text, or all as "
            "integers"
        )
    if written:
        return _written_kind(where, values)
    return "boolean" if "boolean" in kinds else "text"


def _is_whole(value: int | float) -> bool:
    return isinstance(value, int) or value.is_integer()


def _written_kind(where: str, values: Sequence[str]) -> Kind:
    """The kind of labels that a CSV holds as text."""
    texts = {value.strip() for value in values}
    for form in (_INTEGER, _WHOLE):
        if texts and all(map(form.fullmatch, texts)):
            return "integer"
    if texts and any(texts <= set(pair) for pair in _BOOLEANS):
        return "boolean"
    numbers = [_number(text) for text in texts]
    if all(number is not None for number in numbers) and any(
        number is not None and not number.is_integer() for number in numbers
    ):
        example = next(t for t in texts if not float(t).is_integer())
        raise _quantities(where, example, values)
    return "text"


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) else None


def _quantities(where: str, example: Any, values: Sequence[Any]) -> DataError:
    return DataError(
        f"{where} holds numbers such as {example} ({len(set(values))} different values in "
        f"{_rows(len(values))}); {ONE_CLASS}, and these look like quantities (a regression); if "
        "they are classes, write them as text such as 'level 0.5'"
    )


def _check_repeated(where: str, labels: Sequence[Label]) -> None:
    """Refuse labels of which no two are equal."""
    if len(labels) >= _ENOUGH and len(set(labels)) == len(labels):
        raise DataError(
            f"{where} has a different value in every one of {len(labels)} rows; {ONE_CLASS}, and "
            "this looks like an id or a quantity (a regression); name another --label column"
        )


def _dtype(cells: pd.Series) -> tuple[str, list[Any] | None, bool]:
    """The dtype of a column for `LabelType`; none of floats, which are integers with gaps."""
    import pandas as pd

    if isinstance(cells.dtype, pd.CategoricalDtype):
        categories = [c.item() if isinstance(c, np.generic) else c for c in cells.dtype.categories]
        return "category", categories, bool(cells.dtype.ordered)
    name = str(cells.dtype)
    return ("" if name == "object" or name.lower().startswith("float") else name), None, False


def _from_text(text: str, kind: Kind) -> Label:
    """A written label; a text that is not of this kind stays as it is."""
    bare = text.strip()
    whole = _WHOLE.fullmatch(bare)
    if kind == "integer" and (whole or _INTEGER.fullmatch(bare)):
        return int(whole[1] if whole else bare)
    if kind == "boolean" and any(bare in pair for pair in _BOOLEANS):
        return bare.lower() == "true"
    return text


def _folded(text: str) -> str:
    """The same text for spellings that people take for one: case, blanks, accents, numbers."""
    quoted = _BYTES.fullmatch(text)
    plain = unicodedata.normalize("NFKC", text[2:-1] if quoted else text)
    plain = "".join(c for c in plain if unicodedata.category(c) != "Cf")
    plain = " ".join(plain.split()).casefold()
    number = _number(plain)
    return plain if number is None else repr(number)


def _shown(text: str, others: Sequence[str]) -> str:
    """A label in quotes; by its code points where it looks like another."""
    looks = unicodedata.normalize("NFC", text)
    twins = [other for other in others if unicodedata.normalize("NFC", other) == looks]
    return ascii(text) if len(twins) > 1 else repr(text)


def _rows(count: int) -> str:
    return f"{count} row{'s' * (count != 1)}"
