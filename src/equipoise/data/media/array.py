"""Arrays of numbers from .npy files."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

from equipoise.data.media.file import check_file, reason, split_window
from equipoise.errors import DataError

_HEADER = threading.Lock()
"""NumPy parses a header as Python source, and before 3.12.4 that is not safe in several threads at a time."""


def read_array(path: Path) -> np.ndarray:
    """float32 array of a .npy file, or one row of it (`all.npy#17`), of any shape.

    Raises:
        DataError: not a .npy file of finite numbers, or it has no such row.
    """
    file, window = split_window(path)
    check_file(file)
    try:
        with _HEADER:  # numbers are read later, outside
            loaded = np.load(file, mmap_mode="r", allow_pickle=False)
        if not isinstance(loaded, np.ndarray):
            raise ValueError("an archive of several arrays")
        if window.row is not None and not (loaded.ndim and window.row < len(loaded)):
            raise DataError(
                f"{path}: there is no row {window.row} in an array of shape {loaded.shape}"
            )
        array = np.array(loaded if window.row is None else loaded[window.row], dtype=np.float32)
    except (ValueError, EOFError, OSError, TypeError) as error:
        raise DataError(f"{file}: not a .npy array of numbers ({reason(error, file)})") from None
    if not array.size:
        raise DataError(f"{path}: the array is empty")
    if not np.isfinite(array).all():
        raise DataError(f"{path}: holds NaN or infinite numbers")
    return array
