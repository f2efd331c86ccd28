"""Arrays of numbers from .npy files."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

from equipoise.data.manifest.file_part import FilePart
from equipoise.data.media.file import check_file, check_window, decoding
from equipoise.errors import DataError

NUMBERS = "biuf"
"""Kinds of NumPy types that are read: booleans, integers and floating-point numbers."""

_HEADER = threading.Lock()
"""NumPy parses a header as Python source, which is not safe in several threads before Python
3.12.4."""


def read_array(part: FilePart) -> np.ndarray:
    """Read a .npy file, or one row of it (`all.npy#17`). Nothing is ever unpickled.

    Returns:
        float32, of any shape.

    Raises:
        DataError: not a .npy file of finite real numbers, or there is no such row.
    """
    check_window(part)
    row = part.window.row
    loaded = map_array(part.path)
    with decoding(part.path, "not a .npy array of numbers"):
        if row is not None and not (loaded.ndim and row < len(loaded)):
            raise DataError(f"{part}: there is no row {row} in an array of shape {loaded.shape}")
        with np.errstate(over="ignore"):  # a number too large becomes infinite, refused below
            chosen = loaded if row is None else loaded[row]
            array = np.array(chosen, dtype=np.float32, order="C")
    if not array.size:
        raise DataError(f"{part}: the array is empty")
    if not np.isfinite(array).all():
        raise DataError(f"{part}: holds NaN or infinite numbers")
    return array


def map_array(path: Path) -> np.ndarray:
    """Map the numbers of a .npy file into memory, so that its header cannot claim more than it has.

    Raises:
        DataError: not a .npy file of real numbers.
    """
    check_file(path)
    with decoding(path, "not a .npy array of numbers"):
        return _mapped(path)


def _mapped(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        magic = file.read(len(np.lib.format.MAGIC_PREFIX))
    if magic[:4] == b"PK\x03\x04":
        raise ValueError("an archive of several arrays")
    try:
        with _HEADER:  # the numbers are read later, outside the lock
            loaded: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except MemoryError:  # Python's parser, of brackets that are nested too deep
        raise ValueError("a damaged header") from None
    if loaded.dtype.kind not in NUMBERS:
        raise ValueError(f"it holds {loaded.dtype}")
    if any(size < 0 for size in loaded.shape):
        raise ValueError("a damaged header")
    return loaded
