"""Measure a finished run, on its own data or on other data with the same columns.

examples:
  equipoise evaluate runs/mla
  equipoise evaluate runs/mla --missing 0.5
  equipoise evaluate runs/mla --data other.csv --json
"""

from __future__ import annotations

import argparse

from equipoise.cli.options import add_trust
from equipoise.settings import POLICIES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", help="a finished run")
    parser.add_argument(
        "--data", metavar="SOURCE", help="other data, all of it, instead of the run's own"
    )
    parser.add_argument(
        "--split", choices=("validation", "test"), help="split of the run's own data [test]"
    )
    parser.add_argument(
        "--missing",
        type=float,
        metavar="FRACTION",
        help="fraction of the cells to hide at random [as the run]",
    )
    parser.add_argument(
        "--problems",
        choices=POLICIES,
        help="effect of a bad file of other data: stop, drop its row, or treat its modality as "
        "absent [as the run]",
    )
    parser.add_argument(
        "--allow-absent",
        action="store_true",
        help="other data may lack the columns of some modalities",
    )
    add_trust(parser)
    parser.add_argument(
        "--json", action="store_true", help="print all metrics, of every class too, as JSON"
    )


def run(args: argparse.Namespace) -> int:
    import equipoise
    from equipoise.cli.output import print_assessment, print_json

    metrics = equipoise.evaluate(
        args.run_folder,
        args.data,
        split=args.split,
        missing=args.missing,
        problems=args.problems,
        allow_absent=args.allow_absent,
        trust=args.trust,
    )
    if args.json:
        print_json(metrics)
    else:
        split = "" if args.data else f", {args.split or 'test'}"
        print_assessment(metrics, title=f"{args.data or args.run_folder}{split}")
    return 0
