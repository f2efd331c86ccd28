"""Run a plan for `bench` and `demo`: show progress, write the report, print the leaderboard."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from equipoise.cli.output import print_json, print_leaderboard, print_sweep
from equipoise.errors import printable

if TYPE_CHECKING:
    from equipoise.comparison.cell import Outcome
    from equipoise.comparison.plan import Plan


def run_and_show(plan: Plan, folder: Path, *, jobs: int, as_json: bool, trust: bool = False) -> int:
    """Run a plan and show everything that its folder then holds.

    Returns:
        The exit code: 1 if a cell failed.
    """
    from equipoise.comparison.run import run_comparison
    from equipoise.report import write_report
    from equipoise.report.records import read_board

    with ComparisonProgress() as progress:
        outcomes = run_comparison(plan, folder, jobs=jobs, trust=trust, watch=progress)
    failed = [outcome for outcome in outcomes if outcome.error]
    if len(failed) < len(outcomes):
        page = write_report([folder], folder / "report")
        # The folder is read, and not the outcomes: earlier commands may have left results there.
        board = read_board([folder])
        if as_json:
            print_json(board.to_json())
        elif board.rates:
            print_sweep(board, title=str(page))
        else:
            print_leaderboard(board, title=str(page))
    for outcome in failed:
        print(printable(f"equipoise: {outcome.cell.folder}: {outcome.error}"), file=sys.stderr)
    return 1 if failed else 0


class ComparisonProgress:
    """Progress on stderr: a bar on a terminal, a line per training elsewhere."""

    def __enter__(self) -> ComparisonProgress:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
        )

        self._since = time.monotonic()
        columns = (
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
        )
        self._bar = Progress(
            *columns, console=Console(stderr=True), disable=not sys.stderr.isatty()
        )
        self._task = self._bar.add_task("loading", total=None)
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def __call__(self, done: int, total: int, outcome: Outcome) -> None:
        """Show that one more training has ended."""
        missing = outcome.cell.settings.data.missing
        rate = f", missing {missing:g}" if missing else ""
        line = f"{outcome.cell.label} seed {outcome.cell.seed}{rate}: {_describe(outcome)}"
        self._bar.update(self._task, completed=done, total=total, description=line)
        if self._bar.disable:
            print(
                f"[{done}/{total}] {time.monotonic() - self._since:.0f} s  {line}",
                file=sys.stderr,
                flush=True,
            )


def _describe(outcome: Outcome) -> str:
    if outcome.result is None:
        return outcome.status
    return f"{outcome.status}, validation {outcome.result['validation']['fused']['accuracy']:.3f}"
