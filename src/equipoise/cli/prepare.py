"""Make a data set ready: bring a download into shape, or check and decode a manifest's files."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source")


def run(args: argparse.Namespace) -> int:
    return 0
