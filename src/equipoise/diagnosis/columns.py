"""Kinds of the columns of a table, and declarations that fit them."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

from equipoise.data.manifest.cells import is_number, type_of
from equipoise.data.manifest.columns import SPLIT_ALIASES, SPLIT_NAMES, ColumnReader
from equipoise.data.manifest.file_part import FilePart
from equipoise.data.manifest.kinds import KIND_BY_ENDING, KINDS
from equipoise.data.manifest.sheet import Sheet
from equipoise.data.media.array import map_array
from equipoise.errors import DataError

ColumnRecord = dict[str, Any]
"""A column as `describe_columns` describes it."""

LABEL_NAMES = (
    "label",
    "class",
    "target",
    "category",
    "emotion",
    "sentiment",
    "intent",
    "genre",
    "y",
    "outcome",
    "diagnosis",
    "species",
    "survived",
    "churn",
    "income",
)
"""Usual names of a label column, the likelier first."""

# Samples of one of these belong in one split.
_KEPT_TOGETHER = (
    "speaker|subject|session|patient|person|participant|actor|singer|user|author|dialog|dialogue|"
    "conversation|recording|video|movie|film|episode|site|scanner|device|family|group"
)
_GROUP = re.compile(rf"(?:{_KEPT_TOGETHER})s?(?:id|name|number|no|nr)?")
# The name of a DataFrame's own index, after the table was written and read again.
_UNNAMED = re.compile(r"(?:Unnamed: \d+(?:\.\d+)?)?")
_SHOWN = 40  # characters of an example
FAMILY = 4
"""Number columns that begin alike from which they are always a vector of their own."""
_OPENED = 5  # array files whose shape is read


def describe_columns(sheet: Sheet, base: Path) -> list[ColumnRecord]:
    """Describe every column.

    Args:
        sheet: the table.
        base: folder that relative paths start from.

    Returns:
        [{"column": name, "looks_like": a kind of modality, number, category, date, split, id or
        empty, "empty": fraction of the cells, "filled": number of cells, "distinct": number of
        values, "example", "files_not_found": number of cells}]
    """
    reader = ColumnReader(sheet)
    return [_describe(column, reader.texts(column), base) for column in reader.columns]


def looks_like_group(name: str) -> bool:
    """True for the name of a column that says whom or what a sample comes from.

    Examples are speaker_id, Subject and session-nr.
    """
    return any(_GROUP.fullmatch(word) for word in re.split(r"[^a-z]+", name.lower()))


def suggest_declarations(
    columns: Sequence[ColumnRecord], named: Mapping[str, str | None]
) -> dict[str, Any]:
    """Suggest declarations that fit the columns; a column without a name is left out.

    Args:
        columns: as `describe_columns` describes them.
        named: {role: column that the user named, or None} for label, split, group, id
            and weight; no column is taken for a weight unless the user names it.

    Returns:
        {"modality": declarations, "label", "split", "group", "id", "weight": column or None}
    """
    kinds = {column["column"]: column["looks_like"] for column in columns}
    chosen = {role: name if name in kinds else None for role, name in named.items()}
    columns = [column for column in columns if not _UNNAMED.fullmatch(column["column"])]
    kinds = {column["column"]: column["looks_like"] for column in columns}
    _choose(chosen, "split", [c for c, kind in kinds.items() if kind == "split"])
    _choose(chosen, "label", _labels(columns))
    _choose(chosen, "group", _groups(columns))
    ids = [c["column"] for c in columns if c["looks_like"] == "id" and not c["empty"]]
    _choose(chosen, "id", sorted(ids, key=lambda c: c.lower() != "id"))
    free = [
        column
        for column in columns
        if column["column"] not in chosen.values() and "," not in column["column"]
    ]
    declared = {
        _name(column["column"]): f"{column['column']}:{column['looks_like']}"
        for column in free
        if column["looks_like"] in KINDS
    }
    declared |= _tables([column for column in free if _is_feature(column)], set(declared))
    return {**chosen, "modality": [f"{name}={of}" for name, of in declared.items()]}


def _describe(name: str, texts: Sequence[str | None], base: Path) -> ColumnRecord:
    filled = [text for text in texts if text is not None]
    looks = _looks_like(name, filled)
    is_file = looks in KIND_BY_ENDING.values()
    missing = 0
    if is_file:
        missing = sum(not os.path.exists(FilePart.parse(text, base).path) for text in filled)
    if looks == "vector":
        shapes = [_shape(FilePart.parse(cell, base)) for cell in filled[:_OPENED]]
        # A series is shorter in one sample than in another; a vector is not.
        lengths = {shape for shape in shapes if shape}
        if len(lengths) > 1 or any(len(shape) > 1 for shape in lengths):
            looks = "array"
    return {
        "column": name,
        "looks_like": looks,
        "empty": 1 - len(filled) / len(texts),
        "filled": len(filled),
        "distinct": len(set(filled)),
        "example": filled[0][:_SHOWN] if filled else "",
        "files_not_found": missing,
    }


def _looks_like(name: str, filled: Sequence[str]) -> str:
    if not filled:
        return "empty"
    if _UNNAMED.fullmatch(name):
        return "id"
    endings = [KIND_BY_ENDING.get(FilePart.parse(text).path.suffix.lower()) for text in filled]
    kind, count = Counter(endings).most_common(1)[0]
    if kind is not None and count > len(filled) / 2:
        return kind
    if all(text.lower() in SPLIT_ALIASES for text in filled):
        return "split"
    distinct = list(dict.fromkeys(filled))
    unique = len(filled) > 1 and len(distinct) == len(filled)
    of = type_of(distinct)
    if of == "number":
        named = unique and re.fullmatch(r"(.*[^a-z])?(id|index|nr|no)", name.lower())
        return "id" if named or _counts_rows(filled) else "number"
    if of.startswith("date"):
        return "date"
    if median(len(text.split()) for text in filled) > 2:
        return "text"
    return "id" if unique else "category"


def _counts_rows(filled: Sequence[str]) -> bool:
    """True for integers that rise by one."""
    if len(filled) < 3 or not all(map(is_number, filled)):
        return False
    first = float(filled[0])
    return first.is_integer() and all(float(t) == first + k for k, t in enumerate(filled))


def _shape(part: FilePart) -> tuple[int, ...]:
    """Shape of a sample in an array file; () if the file cannot be read."""
    try:
        shape = map_array(part.path).shape
    except DataError:
        return ()
    return shape if part.window.row is None else shape[1:]


def _groups(columns: Sequence[ColumnRecord]) -> list[str]:
    """Columns named like a group that have at least as many values as there are splits."""
    found = [
        c for c in columns if looks_like_group(c["column"]) and c["distinct"] >= len(SPLIT_NAMES)
    ]
    return [c["column"] for c in found if c["looks_like"] in ("category", "number")]


def _labels(columns: Sequence[ColumnRecord]) -> list[str]:
    """Columns that could be the label, the likeliest first.

    First come those with a usual name, then those with values that repeat, the fewest values first;
    of equally few, the last column, where most tables have their label.
    """
    usual = [
        c["column"] for c in columns if c["column"].lower() in LABEL_NAMES and c["distinct"] > 1
    ]
    usual.sort(key=lambda name: LABEL_NAMES.index(name.lower()))
    few = [c for c in columns if c["looks_like"] == "category" and c["distinct"] > 1]
    few = [c for c in few if not looks_like_group(c["column"])]
    few.reverse()
    return [*usual, *(c["column"] for c in sorted(few, key=lambda c: int(c["distinct"])))]


def _choose(chosen: dict[str, str | None], role: str, candidates: Sequence[str]) -> None:
    taken = set(chosen.values())
    chosen[role] = chosen.get(role) or next((c for c in candidates if c not in taken), None)


def _is_feature(column: ColumnRecord) -> bool:
    """True for a column of values that a tabular modality can learn from.

    A group tells whom a sample comes from, and a category of which most values are different names
    each sample: models would learn both by heart.
    """
    looks = column["looks_like"]
    if looks not in ("number", "category", "date"):
        return False
    if looks_like_group(column["column"]) and column["distinct"] >= len(SPLIT_NAMES):
        return False
    return bool(looks != "category" or column["distinct"] <= column["filled"] / 2)


def _tables(columns: Sequence[ColumnRecord], names: Set[str]) -> dict[str, str]:
    """Declarations {name: columns and kind} of vectors and of one tabular modality.

    Number columns whose names begin alike are a vector. All other columns, and short families
    beside more of them, are one tabular modality together.

    Args:
        columns: numbers, categories and dates.
        names: that other modalities have.
    """
    families: dict[str, list[ColumnRecord]] = {}
    alone: list[ColumnRecord] = []
    for column in columns:
        if column["looks_like"] == "number":
            families.setdefault(_stem(column["column"]), []).append(column)
        else:
            alone.append(column)
    alone += [family[0] for family in families.values() if len(family) == 1]
    found: dict[str, str] = {}
    for stem, family in families.items():
        if len(family) == 1:
            continue
        if len(family) < min(FAMILY, len(alone)):
            alone += family
            continue
        # In a vector a whole row is empty or none of it.
        gaps = len({column["filled"] for column in family}) > 1
        of = ",".join(column["column"] for column in family)
        found[_free(_name(stem), {*names, *found})] = f"{of}:{'tabular' if gaps else 'vector'}"
    if alone:
        of = ",".join(column["column"] for column in columns if column in alone)
        found[_free("table", {*names, *found})] = f"{of}:tabular"
    return found


def _stem(column: str) -> str:
    """The beginning of a name that its family shares."""
    if column[-1:].isdigit():
        return re.sub(r"[_\-. ]?\d+$", "", column) or "numbers"
    return column.partition("_")[0] or "numbers"


def _free(name: str, taken: Set[str]) -> str:
    """The name, or the first of name_2, name_3, … that is free."""
    if name not in taken:
        return name
    return next(n for k in count(2) if (n := f"{name}_{k}") not in taken)


def _name(column: str) -> str:
    """A name that a modality can have, made from that of a column; see `Declaration`."""
    name = re.sub(r"\W", "_", column)
    return name if name.isidentifier() and not hasattr(dict, name) else f"m_{name}"
