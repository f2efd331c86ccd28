"""Progress on standard error: a bar on a terminal or in a notebook, lines elsewhere."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from equipoise.errors import printable

T = TypeVar("T")
PATIENCE = 2.0  # seconds before `track` shows a bar

_silent: ContextVar[bool] = ContextVar("silent", default=False)


@contextmanager
def silence(silent: bool = True) -> Iterator[None]:
    """Show no progress inside the `with` block.

    Args:
        silent: False to leave it as it is.
    """
    token = _silent.set(silent or _silent.get())
    try:
        yield
    finally:
        _silent.reset(token)


def say(text: str) -> None:
    """Print a line on standard error, control characters escaped, unless silenced."""
    if not _silent.get():
        print(printable(text), file=sys.stderr, flush=True)


class Bar:
    """A bar that is there from the first update to the end of the `with` block.

    Args:
        lines: print a line for each update where no bar can be drawn.
        transient: take the bar away at the end.

    A notebook needs no ipywidgets for it: one output of the cell is replaced at each update.
    """

    def __init__(self, *, lines: bool = True, transient: bool = False) -> None:
        self.lines = lines
        self.transient = transient
        self._bar: Any = None
        self._output: Any = None

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()
        if self._output is not None and self.transient:
            self._output.update(_html(""))
        self._bar = None
        self._output = None

    def update(self, done: int, total: int | None, text: str, line: str | None = None) -> None:
        """Show how much is done.

        Args:
            done: steps that are done.
            total: steps in all; None where nobody knows.
            text: beside the bar.
            line: printed instead where no bar can be drawn.
        """
        if _silent.get():
            return
        if sys.stderr.isatty():
            self._draw(done, total, printable(text))
        elif _in_notebook():
            self._show(done, total, printable(text))
        elif self.lines:
            say(line if line is not None else text)

    def _draw(self, done: int, total: int | None, text: str) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                Progress,
                TextColumn,
                TimeElapsedColumn,
                TimeRemainingColumn,
            )

            self._bar = Progress(
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.description}", markup=False),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=self.transient,
            )
            self._bar.add_task(text, total=total)
            self._bar.start()
        self._bar.update(0, completed=done, total=total, description=text)

    def _show(self, done: int, total: int | None, text: str) -> None:
        from IPython.display import display

        much = "" if total is None else f' value="{done}" max="{total}"'
        shown = f"<progress{much}></progress> {done}/{total or '?'} {html.escape(text)}"
        if self._output is None:
            self._output = display(_html(shown), display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._output.update(_html(shown))


def track(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Yield the items; show a bar, but no lines, where they take a while."""
    started = time.monotonic()
    with Bar(lines=False, transient=True) as bar:
        shown = started
        for done, item in enumerate(items, 1):
            now = time.monotonic()
            if now - started > PATIENCE and now - shown > 0.1:
                bar.update(done, total, what)
                shown = now
            yield item


def _html(text: str) -> Any:
    from IPython.display import HTML

    return HTML(text)  # type: ignore[no-untyped-call]


def _in_notebook() -> bool:
    """True in a notebook, in which a cell's output can be replaced."""
    # Not imported, since a process that has not imported IPython is no notebook.
    module = sys.modules.get("IPython")
    shell = None if module is None else module.get_ipython()
    return hasattr(shell, "kernel")
