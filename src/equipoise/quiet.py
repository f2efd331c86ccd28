"""Temporarily silence what libraries print; we raise a clearer error ourselves."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from logging import ERROR, getLogger
from typing import TextIO

STDERR = 2


@contextmanager
def quiet(library: str) -> Iterator[None]:
    """Let a library log errors only.

    Args:
        library: name of its logger, which gets its level back afterwards.
    """
    logger = getLogger(library)
    level = logger.level
    logger.setLevel(ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


class _Muffler:
    """Sends file descriptor 2 to nowhere while any thread is inside.

    C libraries print to the descriptor. Python prints to `sys.stderr`, which meanwhile is a stream
    of its own to the terminal, so that messages, progress and tracebacks are still seen.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside = 0
        self.before: TextIO | None = None
        self.stand_in: TextIO | None = None

    def __enter__(self) -> None:
        with self.lock:
            self.inside += 1
            if self.inside == 1:
                with suppress(OSError):  # a process may have no standard error
                    self._enter()

    def __exit__(self, *raised: object) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside or self.stand_in is None:
                return
            os.dup2(self.stand_in.fileno(), STDERR)
            # Somebody else may have replaced it meanwhile, a progress bar for example.
            if self.before is not None and sys.stderr is self.stand_in:
                sys.stderr = self.before
            self.before = None

    def _enter(self) -> None:
        if self.stand_in is None:
            # It is never closed, because others may keep it while it stands for `sys.stderr`.
            self.stand_in = open(  # noqa: SIM115
                os.dup(STDERR), "w", encoding="utf-8", errors="backslashreplace", buffering=1
            )
        else:
            os.dup2(STDERR, self.stand_in.fileno(), inheritable=False)
        with suppress(AttributeError, ValueError, OSError):  # of streams without a descriptor
            if sys.stderr.fileno() == STDERR:
                sys.stderr.flush()
                self.before = sys.stderr
                sys.stderr = self.stand_in
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, STDERR)
        os.close(nowhere)


muffled = _Muffler()
"""`with muffled:` around calls of C libraries that print to the terminal."""
