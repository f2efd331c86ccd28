"""One modality of a manifest: from its cells to a store of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.data.decoding.cache import decode_all
from equipoise.data.decoding.store import Store
from equipoise.data.manifest.declaration import Declaration
from equipoise.data.manifest.file_part import FilePart
from equipoise.data.manifest.manifest import Manifest
from equipoise.data.media import read_array
from equipoise.data.modality import ModalitySpec
from equipoise.data.transforms.base import Transform
from equipoise.data.transforms.kinds import make_text, make_transform, name_of
from equipoise.data.transforms.sizes import (
    Measured,
    Reading,
    describe,
    measure_files,
    measure_texts,
)
from equipoise.data.transforms.text import Pieces, Words
from equipoise.errors import DataError

NUL = "the text holds a NUL byte; was it a binary file?"


@dataclass(frozen=True)
class DecodedModality:
    """A modality of a whole manifest.

    Attributes:
        spec: of a sample as batches hold it.
        store: of N rows.
        present: bool (N,).
        transform: finishes a row each time it is read; None of number columns.
        settings: of the transform, enough to read new data in the same way.
        bad: {row: reason} of cells that cannot be used.
        reading: the part of the training rows that is read.
        remarks: {row: lines, what a user should know of its file}.
    """

    spec: ModalitySpec
    store: Store
    present: np.ndarray
    transform: Transform | Words | Pieces | None
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
        return _numbers(manifest.numbers[modality], declaration)
    if modality in manifest.texts:
        return _texts(manifest.texts[modality], declaration, options, manifest.training)
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


def _numbers(values: np.ndarray, declaration: Declaration) -> DecodedModality:
    spec = ModalitySpec(declaration.name, str(declaration.kind), values.shape[1:])
    present = ~np.isnan(values).any(axis=1)
    count = values.shape[1]
    reading = Reading(f"{count} number{'s' * (count > 1)}, standardised")
    return DecodedModality(spec, np.nan_to_num(values), present, None, {}, {}, reading)


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
