"""The kinds of modality a manifest can declare. A new one is a transform and an entry here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from equipoise.data.media import read_array
from equipoise.data.transforms.audio import LogMel
from equipoise.data.transforms.image import Picture
from equipoise.data.transforms.vector import Numbers
from equipoise.errors import ConfigError, DataError, suggest


class Transform(Protocol):
    """A file into an array of one shape."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def decode(self, path: Path) -> np.ndarray: ...


KINDS: dict[str, type] = {"audio": LogMel, "image": Picture, "vector": Numbers}
ENDINGS = {
    **dict.fromkeys((".wav", ".flac", ".ogg", ".mp3", ".aiff"), "audio"),
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"), "image"),
    ".npy": "vector",
}


def check_kind(kind: str) -> str:
    """The kind itself.

    Raises:
        ConfigError: unknown kind.
    """
    if kind not in KINDS:
        raise ConfigError(f"unknown kind of modality {kind!r}{suggest(kind, KINDS)}")
    return kind


def make_transform(modality: str, kind: str, options: Mapping[str, Any], files: Sequence[Path | None]) -> Transform:
    """The transform of one modality; a vector's length is that of its first readable file.

    Raises:
        ConfigError: unknown kind, a setting it does not have, or a value the setting cannot take.
        DataError: no array file is readable.
    """
    known = [field.name for field in fields(KINDS[check_kind(kind)])]
    for option in options:
        if option not in known:
            raise ConfigError(f"data.options.{modality}: {kind} has no setting {option!r}{suggest(option, known)}")
    if kind == "vector" and "length" not in options:
        options = {**options, "length": _first_length(modality, files)}
    transform: Transform = KINDS[kind](**options)
    return transform


def _first_length(modality: str, files: Sequence[Path | None]) -> int:
    reason = "no file is given"
    for path in files:
        try:
            if path is not None:
                return len(read_array(path))
        except DataError as error:
            reason = str(error)
    raise DataError(f"modality {modality!r}: no readable array file ({reason})")
