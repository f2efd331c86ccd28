"""Find the prepared folders that a study needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from equipoise.data.locate import read_prepared
from equipoise.errors import DataError
from equipoise.studies.study import StudyData


@dataclass(frozen=True)
class Found:
    """A prepared folder, or the reason why a data set cannot be used.

    Attributes:
        folder: it; None if there is none.
        declared: the modalities to read, as `name=columns:kind`; empty for all that it has.
        reason: in one line; empty if the folder can be used.
    """

    folder: Path | None = None
    declared: tuple[str, ...] = ()
    reason: str = ""


def find_data(data: StudyData, roots: Sequence[Path]) -> Found:
    """Find a data set in some folders, each a prepared one or a folder of them.

    A folder of the set's own name comes before one that holds the same set under another name.

    Raises:
        DataError: a dataset.json there is not valid.
    """
    named, others = [], []
    for folder, facts in _prepared(roots):
        if folder.name == data.set:
            named.append((folder, facts))
        elif facts.get("name") == data.set:
            others.append((folder, facts))
    lacking = ""
    for folder, facts in (*named, *others):
        declared = {text.partition("=")[0]: text for text in facts["modalities"]}
        absent = [m for m in data.modalities if m not in declared]
        if not absent:
            used = tuple(declared[m] for m in declared if m in data.modalities)
            return Found(folder, used if len(used) < len(declared) else ())
        lacking = lacking or f"{folder} was prepared without {', '.join(absent)}"
    places = ", ".join(map(str, roots))
    return Found(reason=lacking or f"no folder {data.set!r} that `prepare` made in {places}")


def _prepared(roots: Iterable[Path]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The prepared folders among some folders and right below them."""
    for root in roots:
        if not root.is_dir():
            raise DataError(f"{root}: no such folder; give folders that `prepare` made with --root")
        for folder in (root, *sorted(path for path in root.iterdir() if path.is_dir())):
            if (folder / "dataset.json").is_file():
                yield folder, read_prepared(folder)[1]
