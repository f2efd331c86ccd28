"""What `bench` and `demo` share: run a plan, show how far it is, end with the leaderboard and the report."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from equipoise.cli.output import print_json, print_leaderboard, print_sweep

if TYPE_CHECKING:
    from equipoise.comparison.cell import Outcome
    from equipoise.comparison.plan import Plan
    from equipoise.report.records import Group


def compare(plan: Plan, folder: Path, *, jobs: int, as_json: bool) -> int:
    """Run a plan and show what its folder then holds; returns the exit code, 1 if a cell failed."""
    from equipoise.comparison.run import run_comparison
    from equipoise.report import write_report
    from equipoise.report.records import read_levels, read_runs

    with Cells() as cells:
        outcomes = run_comparison(plan, folder, jobs=jobs, watch=cells)
    failed = [outcome for outcome in outcomes if outcome.error]
    if len(failed) < len(outcomes):  # the table has all that the folder holds, as the report does
        page = write_report([folder], folder / "report")
        by_rate = {rate: _results(groups) for rate, (groups, _) in read_levels([folder]).items()}
        results = [] if by_rate else _results(read_runs([folder])[0])
        if as_json:
            print_json(by_rate or results)
        elif by_rate:
            print_sweep(by_rate, title=str(page))
        else:
            print_leaderboard(results, title=str(page))
    for outcome in failed:
        print(f"equipoise: {outcome.cell.folder}: {outcome.error}", file=sys.stderr)
    return 1 if failed else 0


def _results(groups: Iterable[Group]) -> list[dict[str, Any]]:
    return [run.result for group in groups for run in group.runs]


class Cells:
    """Progress on stderr: a bar on a terminal, a line per training elsewhere."""

    def __enter__(self) -> Cells:
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
