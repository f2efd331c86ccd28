"""Examine data before training: classes, gaps, bad files, copies, leaks, strength of each modality.

Every bad file is listed, and the exit code is 0 whatever is found. Without --modality, the columns
of a manifest are described and declarations suggested.

examples:
  equipoise doctor clips.csv
  equipoise doctor clips.csv --modality sound=wav:audio --label emotion --group speaker
  equipoise doctor data/av-digits --json
"""

from __future__ import annotations

import argparse

from equipoise.cli.options import Override, add_data_settings, read_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data.source",
        action=Override,
        metavar="SOURCE",
        help="a data set, a prepared folder or a manifest",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    add_data_settings(parser, without="source")


def run(args: argparse.Namespace) -> int:
    from equipoise.cli.diagnosis import print_diagnosis
    from equipoise.cli.output import print_json
    from equipoise.diagnosis import diagnose

    settings = read_settings(args).data
    report = diagnose(settings)
    if args.json:
        print_json(report)
    else:
        print_diagnosis(report, settings)
    return 0
