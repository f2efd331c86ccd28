"""What gives the label away, or lets a model meet in testing what it was trained on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.data.manifest.cells import Cells
from equipoise.data.media import Window, split_window
from equipoise.diagnosis.columns import looks_like_group
from equipoise.diagnosis.study import Study
from equipoise.errors import DataError

OFTEN = 0.5
"""Share of the samples whose own label must stand in their text or path before it is worth a word."""
SURE = 0.9
"""Share of the texts or paths naming a class that must name the right one."""
MEASURED = 20
"""Validation samples without which a perfect prediction says little."""
WIDTH = 1000
"""Columns of a vector that are looked at, one by one."""


def find_leaks(study: Study, group: str | None, other: Sequence[str]) -> dict[str, Any]:
    """Groups on both sides of the splits, labels in names and words, and numbers that equal the
    label.

    Args:
        study: the data.
        group: the group column, if one is named.
        other: columns that are no part of any modality, and neither label, split nor id.

    Returns:
        {"groups": [{"column", "windows": whether it stands for files cut into windows, "values",
        "shared": values in training and in evaluation, "samples": of evaluation with such a value,
        "of": samples of evaluation}], "label_in": [{"modality", "where": "text" or "path", "share":
        of the samples, "precision"}], "numbers": [{"modality", "column"}]}
    """
    return {
        "groups": _groups(study, group, other),
        "label_in": _labels_in_words(study),
        "numbers": [
            {"modality": m, "column": c} for m in study.views for c in _telling_numbers(study, m)
        ],
    }


def _groups(study: Study, group: str | None, other: Sequence[str]) -> list[dict[str, Any]]:
    """Of the group column, of columns named like one, and of files of which samples are windows."""
    columns: dict[str, Sequence[str | None]] = {}
    if group is not None and study.group is not None:
        columns[group] = [str(value) for value in study.group]
    if study.sheet is not None:
        cells = Cells(study.sheet)
        columns.update({c: cells.texts(c) for c in other if c != group and looks_like_group(c)})
    found = [
        {"column": name, "windows": False, **_shared(study, v)}
        for name, v in columns.items()
        if _repeats(v)
    ]
    for modality, view in study.views.items():
        files = [None if file is None else _recording(file) for file in view.files or ()]
        if _repeats(files):
            found.append(
                {"column": f"file of {modality}", "windows": True, **_shared(study, files)}
            )
    return found


def _repeats(values: Sequence[str | None]) -> bool:
    known = [value for value in values if value is not None]
    return len(set(known)) < len(known)


def _recording(path: Path) -> str | None:
    """The file that a window in time is cut from.

    None for a whole file, whose second occurrence is a copy, and for a row of an array file, where
    neighbours are unrelated.
    """
    try:
        file, window = split_window(path)
    except DataError:
        return None
    return None if window == Window(row=window.row) else str(file)


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
        told = _told(cells, study.label, study.classes)
        if told is not None:
            found.append({"modality": modality, "where": "text" if view.texts else "path", **told})
    return found


def _told(
    cells: Sequence[str | None], label: Sequence[str | None], classes: Sequence[str]
) -> dict[str, float] | None:
    """How often a cell names a class, and the right one; None where that is no use."""
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
    """Columns whose value alone, cut into as many intervals as there are classes, gives every label."""
    from sklearn.tree import DecisionTreeClassifier

    view = study.views[modality]
    codes = study.codes
    train, later = (
        rows[view.present[rows] & (codes[rows] >= 0)]
        for rows in map(study.rows, ("train", "validation"))
    )
    if view.kind != "vector" or len(later) < MEASURED or len(np.unique(codes[train])) < 2:
        return
    known = view.read(train)
    asked = view.read(later)
    for column in range(min(known.shape[1], WIDTH)):
        tree = DecisionTreeClassifier(max_leaf_nodes=len(study.classes), random_state=0)
        tree.fit(known[:, [column]], codes[train])
        if (tree.predict(asked[:, [column]]) == codes[later]).all():
            yield (
                view.columns[column] if len(view.columns) == known.shape[1] else f"number {column}"
            )
