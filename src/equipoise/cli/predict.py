"""Predict the classes of new samples with a finished run.

examples:
  equipoise predict runs/mla new.csv
  equipoise predict runs/mla new.csv --out predictions.csv
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from equipoise.cli.options import add_trust
from equipoise.errors import ConfigError, RunError, printable
from equipoise.settings import POLICIES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", help="a finished run")
    parser.add_argument(
        "table", metavar="SOURCE", nargs="?", help="a manifest; labels are not read"
    )
    parser.add_argument("--data", metavar="SOURCE", help="the same, as a flag")
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="CSV: id, class, its probability, all probabilities [print them]",
    )
    parser.add_argument(
        "--problems",
        choices=POLICIES,
        help="effect of a bad file: stop, drop its row, or treat its modality as absent "
        "[as the run]",
    )
    parser.add_argument(
        "--allow-absent",
        action="store_true",
        help="the data may lack the columns of some modalities",
    )
    add_trust(parser)
    parser.add_argument("--force", action="store_true", help="overwrite FILE")


def run(args: argparse.Namespace) -> int:
    if (args.table is None) == (args.data is None):
        raise ConfigError(f"{args.prog}: give the data once, as in: {args.prog} RUN new.csv")
    path = None if args.out is None else Path(args.out)
    if path is not None:
        _check_out(path, force=args.force)
    from equipoise.evaluation.predictions import to_csv
    from equipoise.files import replace_file
    from equipoise.portfolio.opened import open_run

    trained = open_run(args.run_folder, trust=args.trust)
    table = trained.read(
        args.table or args.data, args.problems, labelled=False, allow_absent=args.allow_absent
    )
    text = to_csv(trained.predict(table), table.ids)
    if path is None:
        sys.stdout.write(printable(text, keep="\n") if sys.stdout.isatty() else text)
        return 0
    try:
        replace_file(path, text.encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise RunError(f"{path}: cannot be written ({error.strerror or error})") from None
    print(printable(f"{path}: {len(table)} predictions"), file=sys.stderr)
    return 0


def _check_out(path: Path, *, force: bool) -> None:
    """Refuse a file that cannot be written, before the predictions are computed."""
    if path.exists() and not force:
        raise RunError(
            f"{path}: exists already; choose another --out, or overwrite it with --force"
        )
    if not path.parent.is_dir():
        raise RunError(f"{path.parent}: no such folder for --out")
