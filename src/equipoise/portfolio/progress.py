"""The progress of a search."""

from __future__ import annotations

from equipoise.portfolio.search import Progress
from equipoise.progress import Bar


class SearchProgress:
    """A display of each trial that has ended: a bar where one can be drawn, lines elsewhere."""

    def __init__(self) -> None:
        self.bar = Bar()

    def __enter__(self) -> SearchProgress:
        self.bar.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.__exit__(*error)

    def __call__(self, progress: Progress) -> None:
        """Show what a trial found, and how much of the time has passed."""
        whole = round(progress.spent + progress.left)
        line = f"{progress.spent:.0f}/{whole} s  {progress.text}"
        self.bar.update(round(progress.spent), whole, progress.text, line)
