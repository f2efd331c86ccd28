"""Compare five methods on real images, about a minute in all, and write the report."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

LEARNING_RATES = {"joint": 0.03, "ogm-ge": 0.03, "mla": 0.03, "lfm": 0.1, "mie": 0.01}
"""Each method's best of 0.003, 0.01, 0.03 and 0.1 on validation, three seeds: `equipoise bench
--data digits --methods joint,ogm-ge,mla,lfm,mie --epochs 20 --grid
optimiser.lr=0.003,0.01,0.03,0.1`."""

METHODS: dict[str, dict[str, Any]] = {
    name: {"method": {"name": name}, "optimiser": {"lr": rate}}
    for name, rate in LEARNING_RATES.items()
}
SETTINGS: dict[str, Any] = {"data": {"source": "digits"}, "epochs": 20}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", metavar="DIR", default="runs/demo", help="folder of the comparison [runs/demo]"
    )
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="trainings at a time [2]")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")


def run(args: argparse.Namespace) -> int:
    from equipoise.cli.comparison import compare
    from equipoise.comparison.plan import Plan

    return compare(
        Plan(METHODS, shared=SETTINGS), Path(args.out), jobs=args.jobs, as_json=args.json
    )
