"""A progress bar on a terminal, for work that takes more than a moment."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 2.0  # seconds before a bar appears


def track(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Yield the items; show a bar on standard error if it is a terminal and they take a while."""
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import Progress

    started = time.monotonic()
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total, visible=False)
        for item in items:
            progress.update(task, advance=1, visible=time.monotonic() - started > PATIENCE)
            yield item
