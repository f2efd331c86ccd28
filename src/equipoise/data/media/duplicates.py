"""Content that occurs twice: copies of a file, a text or numbers.

Copies matter most across splits, where they leak test data into training.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

from equipoise.data.manifest.file_part import FilePart, Window

Key = TypeVar("Key", bound=Hashable)


def same_texts(texts: Sequence[str | None]) -> list[list[int]]:
    """Group the rows that have the same text, whatever its case and spacing.

    Empty texts are not copies of each other.
    """
    return alike(" ".join(text.lower().split()) if text else None for text in texts)


def same_files(parts: Sequence[FilePart | None]) -> list[list[int]]:
    """Group the rows that have the same file content. Only files of the same size are read.

    A window counts as part of the content. None, folders and missing files have no copies.
    """
    sizes = alike(_size(part) for part in parts)
    return [
        [places[k] for k in group]
        for places in sizes
        for group in alike(_digest(parts[k]) for k in places)
    ]


def alike(keys: Iterable[Key | None]) -> list[list[int]]:
    """Group the places of equal keys, at least two in a group; None equals nothing."""
    places: dict[Key, list[int]] = {}
    for place, key in enumerate(keys):
        if key is not None:
            places.setdefault(key, []).append(place)
    return [group for group in places.values() if len(group) > 1]


def count_copies(
    groups: Iterable[Sequence[int]], split: Sequence[str], label: Sequence[str | None]
) -> dict[str, int]:
    """Count the samples that have a copy.

    Args:
        groups: of rows with the same content.
        split: of every row.
        label: of every row.

    Returns:
        {"samples": in all groups, "across_splits": in groups that span several splits,
        "other_label": in groups that have several labels}.
    """
    groups = list(groups)
    return {
        "samples": sum(map(len, groups)),
        "across_splits": sum(map(len, spanning(groups, split))),
        "other_label": sum(map(len, spanning(groups, label))),
    }


def spanning(
    groups: Iterable[Sequence[int]], values: Sequence[str | None]
) -> Iterator[Sequence[int]]:
    """Yield the groups whose members differ in a value; None does not count as one."""
    return (group for group in groups if len({values[k] for k in group} - {None}) > 1)


def _size(part: FilePart | None) -> tuple[int, Window] | None:
    """Size of the file in bytes, and the window; None where there is no file."""
    if part is None or not part.path.is_file():
        return None
    return part.path.stat().st_size, part.window


def _digest(part: FilePart | None) -> bytes | None:
    if part is None:
        return None
    with part.path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
