"""Compare methods over several seeds, and write the report.

Trainings that are done are skipped, interrupted ones continue, and one that fails does not stop
the others. Methods and seeds can be added to the folder of an earlier comparison, with the same
settings and the same grid. Several missing rates (first:last:step, or a list such as 0.1,0.3) make
a sweep: a comparison at each rate, with cells hidden in all three splits.

examples:
  equipoise bench --data digits --methods joint,mla,mie --seeds 3 --out runs/bench
  equipoise bench --methods all --seeds 0,1,2 --grid optimiser.lr=0.01,0.1 --jobs 2 --out runs/tuned
  equipoise bench clips.csv --methods late,joint,mla --folds 5 --seeds 1 --out runs/folds
  equipoise bench --methods late,joint,mla --missing 0.1:0.7:0.1 --out runs/missing
  equipoise bench --config bench.yaml --out runs/bench
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from equipoise.cli.options import add_settings, read_layers
from equipoise.configuration.layers import overlay

if TYPE_CHECKING:
    from equipoise.comparison.plan import Plan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--methods",
        metavar="LIST",
        help="all (but those whose rows equal another one's); or names and settings files, each "
        "with or without label=, separated by commas",
    )
    parser.add_argument("--seeds", metavar="SEEDS", help="a list such as 0,1,2, or how many [3]")
    parser.add_argument(
        "--folds",
        type=int,
        metavar="N",
        help="cross-validation: train with each of N folds as the test split, by class and group "
        "[0, one test split]",
    )
    parser.add_argument(
        "--grid",
        action="append",
        default=[],
        metavar="SETTING=VALUES",
        help="values of a hyperparameter, from which one is chosen for each method on the mean "
        "validation metric; repeat for a grid",
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="trainings at a time [1]")
    parser.add_argument(
        "--out", metavar="DIR", default="runs/bench", help="folder of the comparison [runs/bench]"
    )
    parser.add_argument(
        "--json", action="store_true", help="print all results of the leaderboard as JSON"
    )
    add_settings(parser)


def run(args: argparse.Namespace) -> int:
    from equipoise.cli.comparison import run_and_show

    plan = read_plan(args)
    if args.print_config:
        sys.stdout.write(plan.to_yaml())
        return 0
    return run_and_show(plan, Path(args.out), jobs=args.jobs, as_json=args.json, trust=args.trust)


def read_plan(args: argparse.Namespace) -> Plan:
    """The comparison that a command line asks for; flags override a bench file."""
    from equipoise.comparison.plan_input import plan_from

    values: dict[str, Any] = {}
    for layer in read_layers(args):
        values = overlay(values, layer)
    return plan_from(
        values,
        methods=args.methods,
        seeds=args.seeds,
        grid=args.grid or None,
        folds=args.folds,
        trust=args.trust,
    )
