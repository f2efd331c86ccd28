"""Leaks: content that gives the label away, and groups in training and evaluation at once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from equipoise.data.manifest.columns import ColumnReader
from equipoise.data.manifest.file_part import FilePart
from equipoise.diagnosis.columns import looks_like_group
from equipoise.diagnosis.study import Study

OFTEN = 0.5
"""Smallest fraction of the samples with their own label in text or path that is reported."""
SURE = 0.9
"""Smallest fraction of right classes, among texts or paths with a class, that is reported."""
MEASURED = 20
"""With fewer validation samples an accuracy, even a perfect one, says little."""
TESTED_COLUMNS = 1000
"""Largest number of columns of a vector that are tested, one by one."""


def find_leaks(study: Study, group: str | None, other: Sequence[str]) -> dict[str, Any]:
    """Find groups in several splits, labels in texts and paths, and numbers that equal the label.

    Args:
        study: the data.
        group: the group column; None if none is named.
        other: columns that are neither part of a modality nor label, split or id.

    Returns:
        {"groups": [{"column", "windows": True for files that are cut into windows, "values": number
        of values, "shared": values both in training and in evaluation, "samples": evaluation
        samples with such a value, "of": evaluation samples}], "label_in": [{"modality", "where":
        "text" or "path", "share": fraction of the samples, "precision"}], "numbers": [{"modality",
        "column"}]}
    """
    return {
        "groups": _groups(study, group, other),
        "label_in": _labels_in_words(study),
        "numbers": [
            {"modality": m, "column": c} for m in study.views for c in _telling_numbers(study, m)
        ],
    }


def _groups(study: Study, group: str | None, other: Sequence[str]) -> list[dict[str, Any]]:
    """Groups by the group column, by columns named like one, and by files cut into windows."""
    columns: dict[str, Sequence[str | None]] = {}
    if group is not None and study.group is not None:
        columns[group] = [str(value) for value in study.group]
    if study.sheet is not None:
        reader = ColumnReader(study.sheet)
        columns.update({c: reader.texts(c) for c in other if c != group and looks_like_group(c)})
    found: list[dict[str, Any]] = []
    for name, values in columns.items():
        if _repeats(values):
            found.append({"column": name, "windows": False, **_shared(study, values)})
    for modality, view in study.views.items():
        files = [None if file is None else _recording(file) for file in view.files or ()]
        if _repeats(files):
            name = f"file of {modality}"
            found.append({"column": name, "windows": True, **_shared(study, files)})
    return found


def _repeats(values: Sequence[str | None]) -> bool:
    known = [value for value in values if value is not None]
    return len(set(known)) < len(known)


def _recording(part: FilePart) -> str | None:
    """The file that a window in time is cut from, or None.

    None stands for a whole file, whose second occurrence is a copy, and for a row of an array file,
    whose neighbours are unrelated.
    """
    if part.window.is_empty or not part.window.is_in_time:
        return None
    return str(part.path)


def _shared(study: Study, values: Sequence[str | None]) -> dict[str, int]:
    known = np.array([value if value is not None else "" for value in values], dtype=object)
    taught = set(known[study.rows("train")]) - {""}
    later = np.concatenate([study.rows("validation"), study.rows("test")])
    met = [value for value in known[later] if value in taught]
    return {
        "values": len(set(known) - {""}),
        "shared": len(set(met)),
        "samples": len(met),
        "of": len(later),
    }


def _labels_in_words(study: Study) -> list[dict[str, Any]]:
    found = []
    for modality, view in study.views.items():
        cells = view.texts or [None if file is None else str(file) for file in view.files or ()]
        named = _naming(cells, study.label, study.classes)
        if named is not None:
            found.append({"modality": modality, "where": "text" if view.texts else "path", **named})
    return found


def _naming(
    cells: Sequence[str | None], label: Sequence[str | None], classes: Sequence[str]
) -> dict[str, float] | None:
    """Fractions of the cells, and of those with a class in them, that name their own class.

    Returns:
        {"share", "precision"}, as in `find_leaks`; None where that is too rare to matter.
    """
    names = {_plain(c): c for c in classes if len(c) > 2 and not c.replace(".", "").isdigit()}
    if not names:
        return None
    longest_first = sorted(map(re.escape, names), key=len, reverse=True)
    pattern = re.compile(rf"(?<![^\W_])(?:{'|'.join(longest_first)})(?![^\W_])")
    named = [
        ({names[word] for word in pattern.findall(_plain(cell))}, own)
        for cell, own in zip(cells, label, strict=False)
        if cell is not None and own is not None
    ]
    telling = [(words, own) for words, own in named if words]
    right = sum(words == {own} for words, own in telling)
    if not telling or right < OFTEN * len(named) or right < SURE * len(telling):
        return None
    return {"share": right / len(named), "precision": right / len(telling)}


def _plain(text: str) -> str:
    return re.sub(r"[\s_-]+", " ", text.casefold())


def _telling_numbers(study: Study, modality: str) -> Iterator[str]:
    """Columns that alone predict every label.

    The values of a column are cut into as many intervals as there are classes.
    """
    from sklearn.tree import DecisionTreeClassifier

    view = study.views[modality]
    codes = study.codes
    train = study.labelled_rows(modality, "train")
    later = study.labelled_rows(modality, "validation")
    read = view.cells or (view.read if view.kind == "vector" else None)
    if read is None or len(later) < MEASURED or len(np.unique(codes[train])) < 2:
        return
    known = read(train)
    asked = read(later)
    for column in range(min(known.shape[1], TESTED_COLUMNS)):
        here = ~np.isnan(known[:, column])
        there = ~np.isnan(asked[:, column])
        # A gap tells nothing. The codes of categories are in no order, yet a leaf for each class
        # is enough where each class has one value.
        if here.sum() < MEASURED or there.sum() < MEASURED:
            continue
        tree = DecisionTreeClassifier(max_leaf_nodes=len(study.classes), random_state=0)
        tree.fit(known[here][:, [column]], codes[train][here])
        if (tree.predict(asked[there][:, [column]]) == codes[later][there]).all():
            by_name = len(view.columns) == known.shape[1]
            yield view.columns[column] if by_name else f"number {column}"
