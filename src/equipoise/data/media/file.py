"""Checks of any file before a decoder opens it."""

from __future__ import annotations

from pathlib import Path

from equipoise.data.manifest.file_part import FilePart
from equipoise.errors import DataError

_LFS = b"version https://git-lfs.github.com/spec/"


def check_window(part: FilePart) -> None:
    """Refuse a window that holds nothing.

    Raises:
        DataError: the window ends before it begins.
    """
    if part.window.is_empty:
        raise DataError(f"{part}: the window is empty")


def check_file(path: Path) -> None:
    """Refuse a file that would make a decoder fail with an unclear message.

    Raises:
        DataError: no such file, not readable, empty, or a Git LFS pointer instead of its content.
    """
    try:
        with path.open("rb") as file:
            head = file.read(len(_LFS))
    except FileNotFoundError:
        raise DataError(f"{path}: file not found") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    if not head:
        raise DataError(f"{path}: the file is empty (0 bytes)")
    if head == _LFS:
        raise DataError(f"{path}: a Git LFS pointer, not the file itself; run 'git lfs pull'")


def reason(error: Exception, path: Path) -> str:
    """Put a decoder's message into one line, without the path."""
    words = getattr(error, "strerror", None) or str(error).replace(str(path), "file")
    return " ".join(words.split()) or type(error).__name__
