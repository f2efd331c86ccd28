"""Measure a finished run, on its own data or on other data with the same columns.

examples:
  equipoise evaluate runs/mla
  equipoise evaluate runs/mla --missing 0.5
  equipoise evaluate runs/mla --data other.csv --json
  equipoise evaluate runs/mla --head.fusion mean

The last one exchanges how the trained parts of the head are fused; --head NAME takes another head
of the same parts.
"""

from __future__ import annotations

import argparse
from typing import Any

from equipoise.cli.options import add_trust, read_pairs
from equipoise.errors import ConfigError, suggest
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
    parser.set_defaults(open_ended=True)
    parser.add_argument(
        "--head", metavar="NAME", help="another head of the same parts, see equipoise list heads"
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
        head=_head(args),
        trust=args.trust,
    )
    if args.json:
        print_json(metrics)
    else:
        split = "" if args.data else f", {args.split or 'test'}"
        print_assessment(metrics, title=f"{args.data or args.run_folder}{split}")
    return 0


def _head(args: argparse.Namespace) -> dict[str, Any]:
    """The options of the head that the command line exchanges.

    Raises:
        ConfigError: another option that the command does not know.
    """
    options: dict[str, Any] = {} if args.head is None else {"name": args.head}
    for name, value in read_pairs(args.rest):
        if not name.startswith("head."):
            raise ConfigError(
                f"{args.prog}: unexpected argument {'--' + name!r}"
                f"{suggest('--' + name, [*args.known, '--head.fusion'])}"
            )
        options[name.removeprefix("head.")] = value
    return options
