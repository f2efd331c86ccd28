"""Silence for a library whose remarks are told better by an error of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from logging import ERROR, getLogger


@contextmanager
def quiet(library: str) -> Iterator[None]:
    """Inside, a library logs errors only; its level is as before afterwards."""
    logger = getLogger(library)
    level = logger.level
    logger.setLevel(ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
