"""Temporarily silence a library's log messages; we raise a clearer error ourselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from logging import ERROR, getLogger


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
