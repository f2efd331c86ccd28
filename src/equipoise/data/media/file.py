"""Checks of any file before a decoder opens it, and one kind of error for all decoders."""

from __future__ import annotations

import errno
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from equipoise.data.manifest.file_part import FilePart
from equipoise.errors import DataError

_LFS = b"version https://git-lfs.github.com/spec/"
_NO_FILES = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
"""(test of a file's mode, what it is)"""


LONGEST_READ = 10.0
"""Seconds after which FFmpeg stops looking for the next packet in a file that may have none."""


class SlowError(DataError):
    """FFmpeg found no next packet in `LONGEST_READ` seconds: the file is damaged, or all stood
    still, as a disk of the network or a suspended machine does."""


def check_window(part: FilePart) -> None:
    """Refuse a window that holds nothing.

    Raises:
        DataError: the window ends before it begins.
    """
    if part.window.is_empty:
        raise DataError(f"{part}: the window is empty")


def check_file(path: Path) -> None:
    """Refuse a file that would make a decoder fail with an unclear message, or wait forever.

    Raises:
        DataError: no such file, not an ordinary file, not readable, empty, or a Git LFS pointer
            instead of its content.
    """
    try:
        # Asked before the file is opened: opening a named pipe waits for somebody to write to it.
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            found = next((words for test, words in _NO_FILES if test(mode)), "something else")
            raise DataError(f"{path}: cannot be read (it is {found}, not a file)")
        with path.open("rb") as file:
            head = file.read(len(_LFS))
    except FileNotFoundError:
        raise DataError(f"{path}: file not found{_hint(path)}") from None
    except OSError as error:
        shown = str(path)
        if error.errno == errno.ENAMETOOLONG:
            shown = f"{shown[:60]}…{shown[-20:]}"
        raise DataError(f"{shown}: cannot be read ({error.strerror})") from None
    except ValueError as error:  # a NUL byte in the path
        raise DataError(f"{path}: cannot be read ({error})") from None
    if not head:
        raise DataError(f"{path}: the file is empty (0 bytes)")
    if head == _LFS:
        raise DataError(f"{path}: a Git LFS pointer, not the file itself; run 'git lfs pull'")


def _hint(path: Path) -> str:
    """Say how a window is written, where one that is not understood makes a file seem missing."""
    name, mark, rest = path.name.rpartition("#")
    if not mark or not path.with_name(name or ".").is_file():
        return ""
    return (
        f"; {name!r} is there, so if '#{rest}' is to be a part of it, write #t=START,END in "
        "seconds, #FIRST:LAST in frames, or #ROW of an array; a picture has no parts"
    )


@contextmanager
def decoding(path: Path, failure: str) -> Iterator[None]:
    """Turn whatever a decoder raises into an error that names the file.

    Decoders raise exceptions of any type on damaged files: their own, ValueError, SyntaxError,
    KeyError, OverflowError, RecursionError and more. Only MemoryError passes, because it says
    nothing about the file.

    Args:
        path: of the file.
        failure: what is said of it, such as "not readable as audio".

    Raises:
        SlowError: FFmpeg gave up after `LONGEST_READ` seconds.
        DataError: the decoder failed.
    """
    try:
        yield
    except (DataError, MemoryError):
        raise
    except Exception as error:
        if type(error).__name__ == "ExitError":  # of PyAV, which pictures need not import
            raise SlowError(
                f"{path}: {failure} (no end of reading after {LONGEST_READ:.0f} s)"
            ) from None
        raise DataError(f"{path}: {failure} ({reason(error, path)})") from None


def reason(error: Exception, path: Path) -> str:
    """Put a decoder's message into one line, without the path."""
    words = getattr(error, "strerror", None) or str(error).replace(str(path), "file")
    return " ".join(words.split()) or type(error).__name__
