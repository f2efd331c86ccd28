"""Progress of a training, on stderr: a bar on a terminal, a line per epoch elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

from equipoise.errors import printable


class TrainingProgress:
    """A display that is called with each epoch's line of `metrics.jsonl`.

    Args:
        epochs: number that is expected; a method that trains in phases may need more.
    """

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self._bar: Any = None

    def __enter__(self) -> TrainingProgress:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                Progress,
                TextColumn,
                TimeRemainingColumn,
            )

            columns = (
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.description}"),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=Console(stderr=True))
            self._bar.add_task("first epoch", total=self.epochs)
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()

    def __call__(self, line: dict[str, Any]) -> None:
        done = line["epoch"] + 1
        total = max(done, self.epochs)
        if self._bar:
            self._bar.update(0, completed=done, total=total, description=_describe(line))
        else:
            print(
                f"epoch {done}/{total}  {_describe(line)}  {line['seconds']:.1f} s",
                file=sys.stderr,
                flush=True,
            )


def _describe(line: dict[str, Any]) -> str:
    validation = line["validation"]
    parts = [f"fused {validation['fused']['accuracy']:.3f}"]
    parts += [
        f"{name} {metrics['accuracy']:.3f}"
        for name, metrics in validation["modalities"].items()
        if metrics["accuracy"] is not None
    ]
    loss = "" if line["loss"] is None else f"loss {line['loss']:.3f}  "
    return printable(loss + "validation " + "  ".join(parts))
