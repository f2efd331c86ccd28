"""One training in a folder at a time: an advisory lock that vanishes with the process that holds it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path

try:
    import fcntl
except ImportError:  # no such locks on this system: nothing is refused here
    fcntl = None  # type: ignore[assignment]

from equipoise.errors import RunError
from equipoise.training.runtime import Runtime

NAME = ".lock"
"""An empty file that stays in the folder: were it removed, two processes could lock two files of that name."""


class BusyError(RunError):
    """Another process trains in the folder."""


@contextmanager
def alone(folder: Path, runtime: Runtime | None = None) -> Iterator[None]:
    """Be the only one who trains in a folder, made if need be; of several ranks, the first holds
    the lock for all.

    Raises:
        BusyError: another process trains there.
        RunError: the folder cannot be written.
    """
    runtime = runtime or Runtime()
    lock = _open(folder / NAME) if runtime.main else None
    try:
        if runtime.any(lock is not None and not _take(lock)):
            raise BusyError(
                f"{folder}: another process trains in this folder; wait for its end, or stop it"
            )
        yield
    finally:
        if lock is not None:
            lock.close()


def _open(path: Path) -> TextIOWrapper:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a")
    except OSError as error:
        raise RunError(
            f"{path.parent}: cannot be written ({error.strerror}); choose another --out"
        ) from None


def _take(lock: TextIOWrapper) -> bool:
    """False if another process holds it."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True
