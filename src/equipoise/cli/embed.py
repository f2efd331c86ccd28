"""Write the features that the trained encoders compute of each sample.

examples:
  equipoise embed runs/mla new.csv --out features.parquet
  equipoise embed runs/mla --split train --out features.csv

A row per sample: id, label (where the data have one), and a column for each feature of each
modality, such as audio_0. It is empty where the modality is absent.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from equipoise.cli.options import add_trust
from equipoise.errors import ConfigError, RunError, printable

ENDINGS = (".parquet", ".csv")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", help="a finished run")
    parser.add_argument(
        "data", metavar="DATA", nargs="?", help="a manifest; the data of the run by default"
    )
    parser.add_argument(
        "--split",
        choices=("train", "validation", "test"),
        help="split of the run's own data [test]",
    )
    parser.add_argument(
        "--out", metavar="FILE", required=True, help="its name ends in .parquet or .csv"
    )
    add_trust(parser)
    parser.add_argument("--force", action="store_true", help="overwrite FILE")


def run(args: argparse.Namespace) -> int:
    path = Path(args.out)
    if path.suffix not in ENDINGS:
        raise ConfigError(f"{path}: the name of --out must end in .parquet or .csv")
    if path.exists() and not args.force:
        raise RunError(
            f"{path}: exists already; choose another --out, or overwrite it with --force"
        )
    if not path.parent.is_dir():
        raise RunError(f"{path.parent}: no such folder for --out")
    import io

    import equipoise
    from equipoise.files import replace_file

    frame = equipoise.load(args.run_folder, trust=args.trust).embed(args.data, split=args.split)
    buffer = io.BytesIO()
    if path.suffix == ".csv":
        frame.to_csv(buffer)
    else:
        try:
            frame.to_parquet(buffer)
        except ImportError:
            raise ConfigError(
                f"{path}: writing Parquet needs pyarrow; pip install 'equipoise[parquet]', or "
                "write .csv"
            ) from None
    try:
        replace_file(path, buffer.getvalue())
    except OSError as error:
        raise RunError(f"{path}: cannot be written ({error.strerror or error})") from None
    print(printable(f"{path}: features of {len(frame)} samples"), file=sys.stderr)
    return 0
