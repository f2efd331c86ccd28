"""The data under diagnosis: every row and every modality, with all their defects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from equipoise.data.decoding.cache import cache_folder
from equipoise.data.decoding.decode import Problem, decode_modalities, remarks_of
from equipoise.data.decoding.decoded import DecodedModality
from equipoise.data.locate import Source
from equipoise.data.manifest.columns import SPLIT_NAMES
from equipoise.data.manifest.file_part import FilePart
from equipoise.data.manifest.labels import in_order
from equipoise.data.manifest.manifest import Manifest, read_manifest
from equipoise.data.manifest.sheet import Sheet
from equipoise.data.modality import ModalitySpec
from equipoise.data.table.splits import assign_splits
from equipoise.data.table.steps import Vectors
from equipoise.data.table.table import Splits, Table
from equipoise.data.transforms.tabular import Inputs, Tabular
from equipoise.data.transforms.text import Pieces, Words
from equipoise.errors import DataError
from equipoise.settings import DataSettings

Read = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class ModalityView:
    """One modality of the data.

    Attributes:
        kind: vector, tabular, array, image, audio, video, flow or text.
        present: bool (N,); cells that cannot be read are absent.
        read: maps present rows (n,) to float32 (n, …), not scaled, in which NaN is padding; for
            texts to str (n,).
        spec: of a sample as a run reads it.
        files: (N,) file or part of a file, or None in a row without one; None if the cells are not
            paths.
        texts: (N,) text, or None in a row without one; None if the cells are not texts.
        columns: columns that the modality is read from; empty for a built-in data set.
        reading: the part of the training rows that is read, in words; "" for a built-in data set.
        cells: maps rows (n,) to float64 (n, number of columns), in which a category is a code; None
            if the modality is not tabular.
    """

    kind: str
    present: np.ndarray
    read: Read
    spec: ModalitySpec
    files: Sequence[FilePart | None] | None = None
    texts: Sequence[str | None] | None = None
    columns: Sequence[str] = ()
    reading: str = ""
    cells: Read | None = None


@dataclass(frozen=True)
class Study:
    """A whole data set of N rows.

    Attributes:
        ids: (N,), names of the rows.
        label: (N,), labels as text; None where unknown.
        split: (N,), "train", "validation" or "test", and "" for a row that is in none; None if no
            splits could be drawn.
        undrawn: the reason why no splits could be drawn; "" if there are splits.
        given: True if the data name their splits.
        group: (N,), values of the group column; None without one.
        views: {modality: its view}.
        problems: row, id, modality, file and reason of every bad cell.
        remarks: lines, what a user should know of files that could be read.
        sheet: the manifest, of which only rows 0 … N − 1 are known; None for a built-in data set.
    """

    ids: Sequence[str]
    label: Sequence[str | None]
    split: np.ndarray | None
    undrawn: str
    given: bool
    group: np.ndarray | None
    views: Mapping[str, ModalityView]
    problems: Sequence[Problem] = ()
    remarks: Sequence[str] = ()
    sheet: Sheet | None = None

    @property
    def classes(self) -> list[str]:
        """Names of the classes, in the order that a run has them."""
        return list(map(str, in_order({label for label in self.label if label is not None})))

    @cached_property
    def codes(self) -> np.ndarray:
        """int64 (N,), labels as indices of the classes; −1 where unknown."""
        number = {name: code for code, name in enumerate(self.classes)}
        return np.array(
            [-1 if label is None else number[label] for label in self.label], dtype=np.int64
        )

    def rows(self, split: str) -> np.ndarray:
        """Rows of a split; none if there are no splits."""
        if self.split is None:
            return np.empty(0, dtype=np.int64)
        return np.flatnonzero(self.split == split)

    def labelled_rows(self, modality: str, split: str) -> np.ndarray:
        """Rows of a split with a known label and this modality."""
        rows = self.rows(split)
        usable = self.views[modality].present[rows] & (self.codes[rows] >= 0)
        labelled: np.ndarray = rows[usable]
        return labelled


def from_source(source: Source, settings: DataSettings) -> Study:
    """Read a manifest, whatever the defects of its files.

    Raises:
        ConfigError: a wrong declaration or setting.
        DataError: the table itself is unusable, or a modality has no readable array file at all.
    """
    undrawn = ""

    def draw(manifest: Manifest) -> np.ndarray | None:
        nonlocal undrawn
        split, undrawn = _draw(manifest, settings)
        return split

    manifest = read_manifest(source.data, source.columns, settings.root or source.root, draw=draw)
    modalities, problems = decode_modalities(manifest, source.options, cache_folder(settings.cache))
    columns = {d.name: d.columns for d in manifest.declarations}
    views = {m: _view(manifest, m, found, columns[m]) for m, found in modalities.items()}
    split = manifest.split
    if split is not None and source.named["split"] is None:
        usable = np.any([view.present for view in views.values()], axis=0)
        split = np.where(usable, split, "")
    return Study(
        ids=manifest.ids,
        label=[None if label is None else str(label) for label in manifest.label],
        split=split,
        undrawn=undrawn,
        given=source.named["split"] is not None,
        group=manifest.group,
        views=views,
        problems=problems,
        remarks=remarks_of(manifest, modalities),
        sheet=manifest.sheet,
    )


def from_splits(parts: Splits) -> Study:
    """Study a built-in data set, which has no columns and no bad files."""
    tables: list[Table] = [getattr(parts, name) for name in SPLIT_NAMES]
    views = {
        m: ModalityView(
            kind=spec.kind,
            present=np.concatenate([table.present[m] for table in tables]),
            read=_reader(tables, m),
            spec=spec,
        )
        for m, spec in parts.train.specs.items()
    }
    group = None
    if parts.train.group is not None:
        group = np.concatenate([table.group for table in tables])
    return Study(
        ids=[i for table in tables for i in table.ids],
        label=[str(t.classes[code]) if code >= 0 else None for t in tables for code in t.label],
        split=np.repeat(np.array(SPLIT_NAMES, dtype=object), [len(table) for table in tables]),
        undrawn="",
        given=True,
        group=group,
        views=views,
    )


def _view(
    manifest: Manifest, modality: str, found: DecodedModality, columns: Sequence[str]
) -> ModalityView:
    files = manifest.files.get(modality)
    texts = manifest.texts.get(modality)
    transform = found.transform
    spec = found.spec
    finish: Callable[..., np.ndarray]
    if isinstance(transform, Words | Pieces):
        finish = _as_is
    elif isinstance(transform, Tabular):
        known_rows = manifest.training[found.present[manifest.training]]
        finish = Vectors(Inputs(transform.types, transform.learn(found.store[known_rows])))
        spec = finish.spec(spec)
    else:
        finish = _as_is if transform is None else transform.finish

    def read(rows: np.ndarray) -> np.ndarray:
        return finish(found.store[rows], None)

    if texts is not None and isinstance(transform, Words | Pieces):
        known = [texts[row] or "" for row in manifest.training if found.present[row]]
        words = transform.learn(known) if isinstance(transform, Words) else []
        spec = replace(spec, vocabulary=transform.tokens(words).size)
    return ModalityView(
        spec.kind,
        found.present,
        read,
        spec,
        files,
        texts,
        columns,
        found.reading.text,
        cells=_cells(found),
    )


def _cells(found: DecodedModality) -> Read | None:
    """Read the columns of a tabular modality before they become inputs."""
    if not isinstance(found.transform, Tabular):
        return None
    return lambda rows: found.store[rows]


def _as_is(block: np.ndarray, draws: None) -> np.ndarray:
    return block


def _reader(tables: Sequence[Table], modality: str) -> Read:
    """Read one modality of several tables, whose rows are counted one table after the other."""
    restricted = [table.only([modality]) for table in tables]
    start = np.cumsum([0, *map(len, tables)])

    def read(rows: np.ndarray) -> np.ndarray:
        of = np.searchsorted(start, rows, side="right") - 1
        found: np.ndarray | None = None
        for k in np.unique(of):
            block = restricted[k].rows(rows[of == k] - start[k]).inputs[modality].numpy()
            found = np.empty((len(rows), *block.shape[1:]), block.dtype) if found is None else found
            found[of == k] = block
        return np.empty((0,)) if found is None else found

    return read


def _draw(manifest: Manifest, settings: DataSettings) -> tuple[np.ndarray | None, str]:
    """Draw the splits that a run would draw of the rows that have a label.

    Returns:
        (N,) names of the splits, or None and the reason why they cannot be drawn.
    """
    rows = np.flatnonzero([label is not None for label in manifest.label])
    if not len(rows):
        return None, "no row has a label"
    label = np.unique([str(manifest.label[row]) for row in rows], return_inverse=True)[1]
    group = None if manifest.group is None else manifest.group[rows]
    split = np.full(len(manifest), "", dtype=object)
    try:
        split[rows] = assign_splits(
            label,
            group=group,
            validation=settings.validation,
            test=settings.test,
            seed=settings.seed,
        )
    except DataError as error:
        return None, str(error)
    return split, ""
