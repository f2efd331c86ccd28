"""One training in a folder at a time.

The lock is advisory and goes with the process that holds it, so that a killed run leaves nothing to
clean up.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path

from equipoise.errors import RunError
from equipoise.files import take_lock
from equipoise.training.runtime import Runtime

LOCK_FILE = ".lock"
"""An empty file that stays in the folder. If it were removed at the end, one process could lock the
removed file and another one a new file of the same name."""


class BusyError(RunError):
    """Another process trains in the folder."""


@contextmanager
def hold_folder(folder: Path, runtime: Runtime | None = None) -> Iterator[None]:
    """Keep other processes from training in a folder.

    Args:
        folder: made if it does not exist.
        runtime: where there are several ranks, the first one holds the lock for all of them.

    Raises:
        BusyError: another process trains there.
        RunError: the folder cannot be written.
    """
    runtime = runtime or Runtime()
    lock = _open(folder / LOCK_FILE) if runtime.main else None
    try:
        # All ranks ask together: the others must learn that the first one did not get the lock.
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
    """False if another process holds the lock."""
    try:
        return take_lock(lock, wait=False)
    except OSError:  # a file system without locks: training goes on unprotected
        return True
