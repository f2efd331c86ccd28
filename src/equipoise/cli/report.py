"""Write a page that compares finished runs, with tables and figures.

example:
  equipoise report runs/mla runs/joint --out runs/comparison
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs", nargs="+", metavar="RUNS", help="run folders, or folders of `equipoise bench`"
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the report")


def run(args: argparse.Namespace) -> int:
    from equipoise.report import write_report

    print(write_report([Path(folder) for folder in args.runs], Path(args.out)))
    return 0
