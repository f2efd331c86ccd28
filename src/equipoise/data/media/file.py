"""What is asked of any file before a decoder sees it, and which part of it a cell of a manifest means."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from equipoise.errors import DataError

_WINDOW = re.compile(
    r"#(?:(?P<first>\d+):(?P<last>\d+)|t=(?P<start>\d+(?:\.\d+)?),(?P<end>\d+(?:\.\d+)?)|(?P<row>\d+))$"
)
_LFS = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True)
class Window:
    """What part of a file is meant: `a.avi#138:218` (frames), `a.wav#t=6.29,8.23` (seconds) or
    `all.npy#17` (row).

    Attributes:
        first: frame, counted from 0; None where the window is not in frames.
        last: frame after the last one.
        start: seconds.
        end: seconds.
        row: along the first axis of an array, counted from 0.
    """

    first: int | None = None
    last: int | None = None
    start: float | None = None
    end: float | None = None
    row: int | None = None


def without_window(cell: str) -> str:
    """The path alone."""
    return _WINDOW.sub("", cell)


def split_window(path: Path) -> tuple[Path, Window]:
    """The file, and the part of it that is meant.

    Raises:
        DataError: the window ends before it begins.
    """
    match = _WINDOW.search(path.name)
    if match is None:
        return path, Window()
    first, last, start, end, row = match.groups()
    file = path.with_name(without_window(path.name))
    if row is not None:
        return file, Window(row=int(row))
    window = Window(int(first), int(last)) if first else Window(start=float(start), end=float(end))
    if (window.last or window.end or 0) <= (window.first or window.start or 0):
        raise DataError(f"{path}: the window is empty")
    return file, window


def check_file(path: Path) -> None:
    """Catch what no decoder explains well.

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
    """The decoder's words in one line, without repeating the path."""
    words = getattr(error, "strerror", None) or str(error).replace(str(path), "file")
    return " ".join(words.split()) or type(error).__name__
