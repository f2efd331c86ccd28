"""Arrays of numbers from .npy files."""

from __future__ import annotations

import threading

import numpy as np

from equipoise.data.manifest.file_part import FilePart
from equipoise.data.media.file import check_file, check_window, reason
from equipoise.errors import DataError

_HEADER = threading.Lock()
"""NumPy parses a header as Python source, which is not safe in several threads before Python
3.12.4."""


def read_array(part: FilePart) -> np.ndarray:
    """Read a .npy file, or one row of it (`all.npy#17`).

    Returns:
        float32, of any shape.

    Raises:
        DataError: not a .npy file of finite numbers, or there is no such row.
    """
    check_window(part)
    file = part.path
    row = part.window.row
    check_file(file)
    try:
        with _HEADER:  # the numbers are read below, outside the lock
            loaded = np.load(file, mmap_mode="r", allow_pickle=False)
        if not isinstance(loaded, np.ndarray):
            raise ValueError("an archive of several arrays")
        if row is not None and not (loaded.ndim and row < len(loaded)):
            raise DataError(f"{part}: there is no row {row} in an array of shape {loaded.shape}")
        array = np.array(loaded if row is None else loaded[row], dtype=np.float32)
    except (ValueError, EOFError, OSError, TypeError) as error:
        raise DataError(f"{file}: not a .npy array of numbers ({reason(error, file)})") from None
    if not array.size:
        raise DataError(f"{part}: the array is empty")
    if not np.isfinite(array).all():
        raise DataError(f"{part}: holds NaN or infinite numbers")
    return array
