"""Run a plan for `bench` and `demo`: show progress, write the report, print what was found."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from equipoise.cli.output import print_json, print_leaderboard, print_sweep
from equipoise.errors import printable

if TYPE_CHECKING:
    from equipoise.comparison.plan import Plan


def run_and_show(plan: Plan, folder: Path, *, jobs: int, as_json: bool, trust: bool = False) -> int:
    """Run a plan and show everything that its folder then holds.

    Returns:
        The exit code: 1 if a cell failed.
    """
    from equipoise.comparison.progress import ComparisonProgress
    from equipoise.comparison.run import run_comparison
    from equipoise.report import write_report
    from equipoise.report.conclusion import conclude
    from equipoise.report.records import read_board, read_runs

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
            for sentence in conclude(read_runs([folder])[0]):
                print(printable(sentence))
    for outcome in failed:
        print(printable(f"equipoise: {outcome.cell.folder}: {outcome.error}"), file=sys.stderr)
    return 1 if failed else 0
