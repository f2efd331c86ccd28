"""The last step of every preparer: the manifest, `dataset.json`, and facts about what was found.

A preparer says where the parts of a sample are in the official download. Everything else is here:
rows whose files are missing are left out and counted, a Git LFS pointer is refused, the counts are
compared with the published ones, and copies of the same content are found, above all if one copy is
for training and the other for testing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from equipoise import spreadsheet
from equipoise.data.datasets.preparing.counting import Total, count_splits, tell_difference
from equipoise.data.manifest.file_part import FilePart
from equipoise.data.media import check_file
from equipoise.data.media.duplicates import count_copies, same_files, same_texts
from equipoise.data.table.splits import assign_splits
from equipoise.errors import DataError

Row = dict[str, str]
FILES = ("audio", "video", "image", "flow", "array")
"""Kinds of modality whose cells are paths."""


@dataclass(frozen=True)
class Collection:
    """A data set as its preparer found it.

    Attributes:
        name: under which it is registered.
        modalities: declarations `name=column:kind`.
        rows: with the columns `id`, `label`, `split`, one per modality ("" where absent), and
            `group` if the samples have groups. Further columns are kept.
        root: folder to which paths are relative; None for the prepared folder.
        options: {modality: settings of its transform}, where the defaults do not fit.
        published: {split: samples in the published list}.
        total: published samples of all splits; None for the sum of `published`.
        left_out: (id, reason) of known bad records and other samples that were not taken.
        notes: what a user must know about these splits.
    """

    name: str
    modalities: Sequence[str]
    rows: Sequence[Row]
    root: Path | None = None
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    published: Mapping[str, int] = field(default_factory=dict)
    total: Total | None = None
    left_out: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = ()


def write(out: Path, collection: Collection) -> dict[str, Any]:
    """Write `manifest.csv`, `dataset.json` and, if rows were left out, `left_out.csv`.

    Args:
        out: an existing empty folder.
        collection: the data set.

    Returns:
        {"splits": {split: {"samples", "published", "classes": {class: samples}}}, "all":
        {"samples", "published"}, "left_out": {reason: samples}, "duplicates": {column: counts},
        "notes": […]}. A note tells a difference from the published number of samples.

    Raises:
        DataError: not a single file is there, one is a Git LFS pointer, or train, validation or
            test is empty.
    """
    rows, missing = _with_files(collection, out)
    left_out = [*collection.left_out, *missing]
    total = collection.total
    if total is None and collection.published:
        total = Total(sum(collection.published.values()))
    notes = list(collection.notes)
    if total is not None:
        notes += tell_difference(len(rows), total, len(missing))
    facts = {
        "splits": count_splits(collection.name, rows, collection.published),
        "all": {"samples": len(rows), "published": total.samples if total else None},
        "left_out": dict(Counter(reason for _, reason in left_out)),
        "duplicates": _duplicates(collection, rows, out),
        "notes": notes,
    }
    _write_table(out / "manifest.csv", rows)
    if left_out:
        _write_table(out / "left_out.csv", [{"id": i, "reason": reason} for i, reason in left_out])
    description = {
        "name": collection.name,
        "manifest": "manifest.csv",
        "protected": True,  # from spreadsheet programs; the reader takes the apostrophes back
        "modalities": list(collection.modalities),
        "label": "label",
        "split": "split",
        "id": "id",
        "options": {m: dict(settings) for m, settings in collection.options.items()},
        **({"group": "group"} if any("group" in row for row in rows) else {}),
        **({"root": str(collection.root.resolve())} if collection.root else {}),
        "facts": facts,
    }
    (out / "dataset.json").write_text(
        json.dumps(description, indent=1, ensure_ascii=False), encoding="utf-8"
    )
    return facts


def carve_validation(rows: Sequence[Row], fraction: float, seed: int) -> None:
    """Turn a fraction of the training rows into validation rows, in place.

    Rows with a `group` are drawn by group, others by class.

    Raises:
        DataError: too few groups or samples, or no group of a class is left to train on.
    """
    train = [row for row in rows if row["split"] == "train"]
    draw_splits(train, validation=fraction, test=0.0, seed=seed)


def draw_splits(rows: Sequence[Row], *, validation: float, test: float, seed: int) -> None:
    """Draw the split of every row, in place.

    Rows with a `group` are drawn by group, others by class.

    Args:
        rows: with or without `group`.
        validation: fraction of the rows.
        test: fraction of the rows.
        seed: of the draw.

    Raises:
        DataError: too few groups or samples, or no group of a class is left to train on.
    """
    classes, label = np.unique([row["label"] for row in rows], return_inverse=True)
    group = np.array([row["group"] for row in rows]) if rows and "group" in rows[0] else None
    drawn = assign_splits(
        label,
        validation=validation,
        test=test,
        seed=seed,
        group=group,
        classes=[str(name) for name in classes],
        remedy="draw again with another --seed",
    )
    for row, split in zip(rows, drawn, strict=True):
        row["split"] = str(split)


def need_folder(path: str | Path, what: str) -> Path:
    """Return an existing folder as a path.

    Raises:
        DataError: it is missing; `what` says what belongs in it.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; {what}")
    return folder


def need_file(path: Path, what: str) -> Path:
    """Return an existing file.

    Raises:
        DataError: it is missing, empty, or a Git LFS pointer; `what` says where it comes from.
    """
    if not path.exists():
        raise DataError(f"{path}: file not found; {what}")
    check_file(path)
    return path


def _file_columns(collection: Collection) -> list[str]:
    """The columns whose cells are paths."""
    declared = [text.partition("=")[2].rpartition(":") for text in collection.modalities]
    return [column for column, _, kind in declared if kind in FILES]


def _with_files(collection: Collection, out: Path) -> tuple[list[Row], list[tuple[str, str]]]:
    """The rows whose files are all there, and (id, reason) of the others."""
    base = collection.root or out
    columns = _file_columns(collection)
    kept: list[Row] = []
    missing: list[tuple[str, str]] = []
    for row in collection.rows:
        lacking = [column for column in columns if row[column] and not _exists(row[column], base)]
        if lacking:
            missing.append((row["id"], f"{lacking[0]} file not found"))
        else:
            kept.append(row)
    if not kept:
        first = next((base / row[c] for row in collection.rows for c in columns if row[c]), None)
        expected = f"; expected for example {first}" if first else ""
        raise DataError(
            f"{base}: none of the {len(collection.rows)} samples of {collection.name} is here"
            f"{expected}"
        )
    for column in columns:
        first = next((FilePart.parse(row[column], base).path for row in kept if row[column]), None)
        if first is not None and first.is_file():
            check_file(first)
    return kept, missing


def _exists(cell: str, base: Path) -> bool:
    """True if the file of a cell is there, or both folders of a pair."""
    return all(part.path.exists() for part in FilePart.parse(cell, base).sides())


def _duplicates(
    collection: Collection, rows: Sequence[Row], out: Path
) -> dict[str, dict[str, int]]:
    """The counts of `count_copies` for every column that has copies."""
    base = collection.root or out
    files = set(_file_columns(collection))
    columns = [
        c
        for text in collection.modalities
        for c in text.partition("=")[2].rpartition(":")[0].split(",")
    ]
    split = [row["split"] for row in rows]
    label = [row["label"] for row in rows]
    found = {}
    for column in columns:
        cells = [row[column] or None for row in rows]
        same = (
            same_files([FilePart.parse(cell, base) if cell else None for cell in cells])
            if column in files
            else same_texts(cells)
        )
        found[column] = count_copies(same, split, label)
    return {column: counts for column, counts in found.items() if counts["samples"]}


def _write_table(path: Path, rows: Sequence[Row]) -> None:
    """Write rows so that no spreadsheet program runs the texts of a download, such as tweets."""
    columns = list(rows[0])
    lines = [columns, *([row[column] for column in columns] for row in rows)]
    path.write_text(spreadsheet.write(lines), encoding="utf-8", newline="")
