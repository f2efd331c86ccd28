"""Remarks: what a user should know of a file that could be read."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_HEARD = threading.local()


def remark(text: str) -> None:
    """Say something of the file that this thread decodes.

    Args:
        text: that follows "n files"; the same text for every file, so that they can be counted.
    """
    heard: list[str] | None = getattr(_HEARD, "texts", None)
    if heard is not None and text not in heard:
        heard.append(text)


@contextmanager
def collect_remarks() -> Iterator[list[str]]:
    """Collect the remarks that this thread makes inside the block."""
    before = getattr(_HEARD, "texts", None)
    texts: list[str] = []
    _HEARD.texts = texts
    try:
        yield texts
    finally:
        _HEARD.texts = before
