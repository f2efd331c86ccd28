"""Writing files so that a reader finds the old content or the new one, and locking them."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from threading import get_ident
from typing import IO, Any

_hasty: ContextVar[bool] = ContextVar("hasty", default=False)


@contextmanager
def hastily() -> Iterator[None]:
    """Force nothing to disk inside the `with` block: for a folder that is read and thrown away."""
    token = _hasty.set(True)
    try:
        yield
    finally:
        _hasty.reset(token)


def in_haste() -> bool:
    """True inside a block of `hastily`."""
    return _hasty.get()


def force(descriptor: int) -> None:
    """Force an open file or folder to disk, unless in haste."""
    if not in_haste():
        os.fsync(descriptor)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name a file in the errors of the system about it; those of a full disk name none."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:  # else the name would take the place of the message
            error.filename = str(path)
        raise


def write_file(path: Path, content: bytes) -> None:
    """Write a file and force it to disk."""
    with naming(path), path.open("wb") as file:
        file.write(content)
        file.flush()
        force(file.fileno())


def replace_file(path: Path, content: bytes) -> None:
    """Write a file beside `path`, then rename it over `path`."""
    # The name is this thread's own, so that two writers never share a temporary file.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{get_ident()}.tmp")
    try:
        with naming(path):
            write_file(temporary, content)
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def take_lock(file: IO[Any] | int, *, wait: bool = True) -> bool:
    """Take the advisory lock of an open file.

    The lock goes when the file is closed, hence also when the process ends in any way.

    Args:
        file: open file, or the descriptor of an open folder.
        wait: wait while another process holds the lock, instead of returning False.

    Returns:
        True if this process now holds the lock.

    Raises:
        OSError: the file system has no locks.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
