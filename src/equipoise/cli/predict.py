"""Predict the classes of new samples with a finished run.

example:
  equipoise predict runs/mla --data new.csv --out predictions.csv
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from equipoise.errors import RunError
from equipoise.settings import POLICIES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", help="a finished run")
    parser.add_argument(
        "--data", metavar="SOURCE", required=True, help="a manifest; labels are not read"
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        required=True,
        help="CSV: id, class, its probability, all probabilities",
    )
    parser.add_argument(
        "--problems",
        choices=POLICIES,
        help="effect of a bad file: stop, drop its row, or treat its modality as absent "
        "[as the run]",
    )
    parser.add_argument("--force", action="store_true", help="overwrite FILE")


def run(args: argparse.Namespace) -> int:
    path = Path(args.out)
    if path.exists() and not args.force:
        raise RunError(
            f"{path}: exists already; choose another --out, or overwrite it with --force"
        )
    if not path.parent.is_dir():
        raise RunError(f"{path.parent}: no such folder for --out")
    from equipoise.evaluation.predictions import write_csv
    from equipoise.runs.trained import Trained

    trained = Trained(args.run_folder)
    table = trained.read(args.data, args.problems, labelled=False)
    write_csv(trained.predict(table), table.ids, path)
    print(f"{path}: {len(table)} predictions", file=sys.stderr)
    return 0
