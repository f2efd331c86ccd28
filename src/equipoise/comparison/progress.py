"""The progress of a comparison."""

from __future__ import annotations

import time

from equipoise.comparison.cell import Outcome
from equipoise.progress import Bar


class ComparisonProgress:
    """A display that is called as each training ends."""

    def __init__(self) -> None:
        self.bar = Bar()
        self.since = time.monotonic()

    def __enter__(self) -> ComparisonProgress:
        self.bar.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.__exit__(*error)

    def __call__(self, done: int, total: int, outcome: Outcome) -> None:
        """Show that one more training has ended."""
        missing = outcome.cell.settings.data.missing
        rate = f", missing {missing:g}" if missing else ""
        fold = "" if outcome.cell.fold is None else f" fold {outcome.cell.fold}"
        text = f"{outcome.cell.label} seed {outcome.cell.seed}{fold}{rate}: {_describe(outcome)}"
        seconds = time.monotonic() - self.since
        self.bar.update(done, total, text, f"[{done}/{total}] {seconds:.0f} s  {text}")


def _describe(outcome: Outcome) -> str:
    if outcome.result is None:
        return outcome.status
    return f"{outcome.status}, validation {outcome.result['validation']['fused']['accuracy']:.3f}"
