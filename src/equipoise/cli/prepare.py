"""Prepare data: convert the download of a data set, or check and decode the files of a manifest.

Options of a data set are given by name. A folder made here is a SOURCE for `equipoise train
--data`.

examples:
  equipoise prepare av-digits --fsdd DOWNLOAD --out data/av-digits
  equipoise prepare clips.csv --modality sound=wav:audio --label emotion --cache data/clips
"""

from __future__ import annotations

import argparse
import sys

from equipoise.cli.options import Override, add_data_settings, read_pairs, read_settings
from equipoise.errors import ConfigError, printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data.source", action=Override, metavar="SOURCE", help="a data set's name, or a manifest"
    )
    parser.add_argument("--out", metavar="DIR", help="new folder for a data set [data/NAME]")
    add_data_settings(parser, without="source")


def run(args: argparse.Namespace) -> int:
    from equipoise.data.datasets import DATASETS

    source = dict(args.overrides)["data.source"]
    if source in DATASETS:
        return _prepare_dataset(source, args)
    return _prepare_manifest(args)


def _prepare_dataset(name: str, args: argparse.Namespace) -> int:
    from equipoise.cli.output import print_preparation
    from equipoise.data import prepare

    given = {
        key.removeprefix("data."): value for key, value in args.overrides if key != "data.source"
    }
    folder = args.out or f"data/{name}"
    print_preparation(folder, prepare(name, folder, **given, **dict(read_pairs(args.rest))))
    return 0


def _prepare_manifest(args: argparse.Namespace) -> int:
    from equipoise.cli.output import print_table
    from equipoise.runs.build import build_method
    from equipoise.runs.run import load_splits

    if args.out:
        raise ConfigError(
            "a manifest stays where it is; --cache says where its decoded files go, instead of "
            "--out"
        )
    settings = read_settings(args)
    splits = load_splits(settings, build_method(settings))
    if splits.problems:
        rows = [[str(value) for value in problem.values()] for problem in splits.problems]
        print_table(list(splits.problems[0]), rows)
    counts = [f"{name} {len(getattr(splits, name))}" for name in ("train", "validation", "test")]
    found = f"{settings.data.source}: {', '.join(counts)}; {len(splits.problems)} problems"
    print(printable(found), file=sys.stderr)
    return 0
