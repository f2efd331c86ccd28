"""Compare five methods on real images, about a minute in all, and write the report."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

METHODS: dict[str, dict[str, Any]] = {
    name: {"method": {"name": name}} for name in ("joint", "ogm-ge", "mla", "lfm", "mie")
}
SETTINGS: dict[str, Any] = {"data": {"source": "digits"}}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", metavar="DIR", default="runs/demo", help="folder of the comparison [runs/demo]")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="trainings at a time [2]")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")


def run(args: argparse.Namespace) -> int:
    from equipoise.benchmark.plan import Plan
    from equipoise.cli.comparison import compare

    return compare(Plan(METHODS, shared=SETTINGS), Path(args.out), jobs=args.jobs, as_json=args.json)
