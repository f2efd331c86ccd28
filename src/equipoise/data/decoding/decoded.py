"""One modality of a manifest: from its cells to a store of rows."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.data.decoding.cache import decode_all
from equipoise.data.decoding.store import Store
from equipoise.data.manifest.cells import CellColumn, has_two_readings, is_number
from equipoise.data.manifest.declaration import Declaration
from equipoise.data.manifest.file_part import FilePart
from equipoise.data.manifest.manifest import Manifest
from equipoise.data.media import read_array
from equipoise.data.modality import ModalitySpec
from equipoise.data.transforms.array import Numbers
from equipoise.data.transforms.base import Transform
from equipoise.data.transforms.kinds import make_tabular, make_text, make_transform, name_of
from equipoise.data.transforms.sizes import (
    Measured,
    Reading,
    describe,
    measure_files,
    measure_texts,
)
from equipoise.data.transforms.tabular import Tabular
from equipoise.data.transforms.text import Pieces, Words
from equipoise.errors import ConfigError, DataError, suggest

MANY = 20
"""Different texts of a category from which it is asked whether they are one."""
ODD = 0.1
"""Largest fraction of texts that are not numbers in a category that was probably meant as one."""
NUL = "the text holds a NUL byte; was it a binary file?"


@dataclass(frozen=True)
class DecodedModality:
    """A modality of a whole manifest.

    Attributes:
        spec: of a sample as batches hold it.
        store: of N rows.
        present: bool (N,).
        transform: finishes a row each time it is read; None of number columns without settings.
        settings: of the transform, enough to read new data in the same way.
        bad: {row: reason} of cells that cannot be used.
        reading: the part of the training rows that is read.
        remarks: {row: lines, what a user should know of its file}.
    """

    spec: ModalitySpec
    store: Store
    present: np.ndarray
    transform: Transform | Words | Pieces | Tabular | None
    settings: dict[str, Any]
    bad: dict[int, str]
    reading: Reading
    remarks: dict[int, str] = field(default_factory=dict)


def decode_modality(
    manifest: Manifest, declaration: Declaration, options: Mapping[str, Any], cache: Path
) -> DecodedModality:
    """Read numbers and texts as they are, and files through the cache.

    Sizes that the options leave open follow the training rows.

    Args:
        manifest: the table.
        declaration: of the modality, with its kind.
        options: settings of its transform.
        cache: folder of decoded arrays.

    Raises:
        ConfigError: a setting that the kind does not have.
        DataError: no array file of the training rows is readable.
        RunError: the cache cannot be written.
    """
    modality = declaration.name
    if modality in manifest.numbers:
        return _numbers(manifest.numbers[modality], declaration, options)
    if modality in manifest.texts:
        return _texts(manifest.texts[modality], declaration, options, manifest.training)
    if modality in manifest.cells:
        return _tabular(manifest, declaration, options)
    kind = str(declaration.kind)
    files = manifest.files[modality]
    training = [files[row] for row in manifest.training]
    measured = measure_files(kind, training)
    _check_arrays(modality, kind, options, training, measured)
    transform = make_transform(modality, kind, options, measured)
    store, bad = decode_all(modality, files, transform, cache)
    spec = ModalitySpec(modality, kind, transform.shape)
    present = _present([file is not None for file in files], bad)
    reading = describe(name_of(kind, options), transform, measured)
    settings = _settings(transform, options)
    return DecodedModality(spec, store, present, transform, settings, bad, reading, store.remarks)


def _check_arrays(
    modality: str,
    kind: str,
    options: Mapping[str, Any],
    files: Sequence[FilePart | None],
    measured: Measured,
) -> None:
    """Refuse arrays of which none in the training rows tells a shape, where one is needed.

    Raises:
        DataError: none is readable.
    """
    needed = {"vector": "length", "array": "rest"}.get(kind)
    if needed is None or needed in options or measured.headers:
        return
    reason = "no file is given"
    for part in files:
        try:
            if part is not None:
                read_array(part)
        except DataError as error:
            reason = str(error)
            break
    raise DataError(
        f"modality {modality!r}: no readable array file in the training rows ({reason})"
    )


def _numbers(
    values: np.ndarray, declaration: Declaration, options: Mapping[str, Any]
) -> DecodedModality:
    """Read columns of numbers, of which `normalise` is the only setting."""
    spec = ModalitySpec(declaration.name, str(declaration.kind), values.shape[1:])
    present = ~np.isnan(values).any(axis=1)
    count = values.shape[1]
    normalise = options.get("normalise", "auto")
    scaled = "as they are" if normalise == "none" else "standardised"
    reading = Reading(f"{count} number{'s' * (count > 1)}, {scaled}")
    transform = Numbers(count, normalise) if options else None
    settings = dict(options)
    return DecodedModality(spec, np.nan_to_num(values), present, transform, settings, {}, reading)


def _tabular(
    manifest: Manifest, declaration: Declaration, options: Mapping[str, Any]
) -> DecodedModality:
    """Read columns of any type; a column whose type nobody gives gets that of the training rows."""
    name = declaration.name
    cells = manifest.cells[name]
    given = make_tabular(name, options)
    for column in given.types:
        if column not in cells:
            raise ConfigError(
                f"data.options.{name}.types: the modality has no column {column!r}"
                f"{suggest(column, cells)}"
            )
    transform = replace(
        given,
        types={c: given.types.get(c) or _type(manifest, c, found) for c, found in cells.items()},
    )
    store = np.full((len(manifest), len(cells)), np.nan)
    bad: dict[int, str] = {}
    for place, (column, found) in enumerate(cells.items()):
        kind = transform.types[column]
        store[:, place], wrong = found.numbers(kind)
        for row in wrong.tolist():
            text = found.text(row)
            wanted = "finite number" if kind == "number" else kind.partition(" ")[0]
            bad.setdefault(row, f"{text!r} in column {column!r} is not a {wanted}")
    present = _present((~np.isnan(store).all(axis=1)).tolist(), bad)
    spec = ModalitySpec(name, str(declaration.kind), store.shape[1:])
    settings = _settings(transform, options)
    return DecodedModality(spec, store, present, transform, settings, bad, _counted(transform))


def _type(manifest: Manifest, column: str, cells: CellColumn) -> str:
    """The type of a column in the training rows; warns of a doubtful one."""
    kind = cells.type_in(manifest.training)
    if cells.says:
        return kind
    texts, filled = cells.among(manifest.training)
    where = f"{manifest.where}: column {column!r}"
    if has_two_readings(texts, kind):
        warnings.warn(
            f"{where}: nothing tells whether day or month stands first; the month is taken",
            stacklevel=2,
        )
    if kind != "category":
        return kind
    odd = [text for text in texts if not is_number(text)]
    if len(texts) > MANY and len(odd) < ODD * len(texts):
        warnings.warn(
            f"{where} is taken as a category, since {len(odd)} of its {len(texts)} values are not "
            f"numbers (such as {odd[0][:40]!r}); empty these cells to have it as a number",
            stacklevel=2,
        )
    elif len(texts) > max(MANY, filled / 2):
        warnings.warn(
            f"{where} is a category of {len(texts)} values in {filled} training rows, which tells "
            "little; leave it out, or make it a modality of text",
            stacklevel=2,
        )
    return kind


def _counted(transform: Tabular) -> Reading:
    """The number of columns of each type, such as "2 numbers, 1 date"."""
    plural = {"number": "numbers", "boolean": "booleans", "category": "categories", "date": "dates"}
    counts = Counter(kind.partition(" ")[0] for kind in transform.types.values())
    parts = [f"{counts[k]} {k if counts[k] == 1 else plural[k]}" for k in plural if counts[k]]
    return Reading(", ".join(parts))


def _texts(
    texts: list[str | None],
    declaration: Declaration,
    options: Mapping[str, Any],
    training: np.ndarray,
) -> DecodedModality:
    measured = measure_texts([texts[row] for row in training], make_text(declaration.name, options))
    transform = make_text(declaration.name, options, measured)
    bad = {row: NUL for row, text in enumerate(texts) if text and "\0" in text}
    store = np.array([text or "" for text in texts], dtype=object)
    spec = ModalitySpec(declaration.name, str(declaration.kind), (transform.length,))
    present = _present([text is not None for text in texts], bad)
    reading = describe(name_of("text", options), transform, measured)
    settings = _settings(transform, options)
    return DecodedModality(spec, store, present, transform, settings, bad, reading)


def _present(filled: list[bool], bad: Mapping[int, str]) -> np.ndarray:
    present = np.array(filled, dtype=bool)
    present[list(bad)] = False
    return present


def _settings(transform: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    named = {"transform": options["transform"]} if "transform" in options else {}
    return {**named, **asdict(transform)}
