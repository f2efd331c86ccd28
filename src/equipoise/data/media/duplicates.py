"""Content that occurs twice: copies of a file, of a text, of numbers. Above all across splits, where they leak."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

from equipoise.data.manifest.file_part import FilePart, Window

Key = TypeVar("Key", bound=Hashable)


def same_texts(texts: Sequence[str | None]) -> list[list[int]]:
    """Groups of rows of the same text, whatever its case and spacing; empty ones are no copies of each other."""
    return alike(" ".join(text.lower().split()) if text else None for text in texts)


def same_files(parts: Sequence[FilePart | None]) -> list[list[int]]:
    """Groups of rows of the same file content; only files of the same size are read.

    A window is part of the content. None, folders and files that are not there have no copies.
    """
    sizes = alike(_size(part) for part in parts)
    return [
        [places[k] for k in group]
        for places in sizes
        for group in alike(_digest(parts[k]) for k in places)
    ]


def alike(keys: Iterable[Key | None]) -> list[list[int]]:
    """Groups of at least two places of equal keys; None equals nothing."""
    places: dict[Key, list[int]] = {}
    for place, key in enumerate(keys):
        if key is not None:
            places.setdefault(key, []).append(place)
    return [group for group in places.values() if len(group) > 1]


def count_copies(
    groups: Iterable[Sequence[int]], split: Sequence[str], label: Sequence[str | None]
) -> dict[str, int]:
    """Samples in groups of copies, and how many of these have a copy in another split or of another label."""
    groups = list(groups)
    return {
        "samples": sum(map(len, groups)),
        "across_splits": sum(map(len, spanning(groups, split))),
        "other_label": sum(map(len, spanning(groups, label))),
    }


def spanning(
    groups: Iterable[Sequence[int]], values: Sequence[str | None]
) -> Iterator[Sequence[int]]:
    """The groups whose members differ in a value, None aside."""
    return (group for group in groups if len({values[k] for k in group} - {None}) > 1)


def _size(part: FilePart | None) -> tuple[int, Window] | None:
    """The size of the file in bytes and the window, which are cheap to compare."""
    if part is None or not part.path.is_file():
        return None
    return part.path.stat().st_size, part.window


def _digest(part: FilePart | None) -> bytes | None:
    if part is None:
        return None
    with part.path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
