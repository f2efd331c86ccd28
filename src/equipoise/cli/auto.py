"""Find the best model that a time limit allows: an ensemble of networks and simpler models.

Networks of several methods, linear models, kernel machines and trees are tried on all modalities
and on each alone, by successive halving on held-out rows. Those that help are averaged, calibrated
and stored in one folder, which predict, evaluate and report read like any run's. The test rows are
read once, at the end. A search that was stopped goes on with --resume.

examples:
  equipoise auto clips.csv --label emotion --time-limit 600 --out runs/best
  equipoise auto --resume runs/best
  equipoise predict runs/best new.csv
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from equipoise.cli.options import add_settings, read_settings
from equipoise.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from equipoise.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--time-limit", type=float, default=600, metavar="SECONDS", help="seconds in all [600]"
    )
    parser.add_argument("--out", metavar="RUN", help="new run folder [runs/<data>-auto-seed<seed>]")
    parser.add_argument(
        "--resume",
        metavar="RUN",
        help="go on with an interrupted search, with its own settings and time limit",
    )
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes that fit members [one for each core, or one where the time is short]",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    add_settings(parser)


def run(args: argparse.Namespace) -> int:
    started = time.monotonic()
    if args.resume and (args.config or args.overrides or args.rest or args.out):
        raise ConfigError(
            "--resume takes the settings of the search itself; leave out all other settings and "
            "--out"
        )
    settings = None if args.resume else _settings(args)
    if args.print_config:
        sys.stdout.write((settings or read_settings(args)).to_yaml())
        return 0
    from equipoise.api import default_folder
    from equipoise.cli.output import print_json, print_metrics
    from equipoise.diagnosis.inference import take_columns
    from equipoise.portfolio.progress import SearchProgress
    from equipoise.portfolio.run import resume_settings, search

    if settings is None:
        settings = resume_settings(args.resume, trust=args.trust)
    else:
        settings = replace(settings, data=take_columns(settings.data))
    folder = Path(args.resume or args.out or default_folder(settings))
    with SearchProgress() as progress:
        done = search(
            settings,
            folder,
            time_limit=args.time_limit,
            workers=args.workers,
            resume=bool(args.resume),
            watch=progress,
            started=started,
        )
    if args.json:
        print_json({"folder": str(folder), **done.result})
        return 0
    print_members(done.result["members"])
    print_metrics(
        {s: done.result[s] for s in ("validation", "test") if s in done.result}, title=str(folder)
    )
    return 0


def _settings(args: argparse.Namespace) -> Settings:
    """The settings of the command line; the method is that of the search."""
    settings = read_settings(args)
    if any(name.partition(".")[0] == "method" for name, _ in args.overrides) or any(
        word.startswith("--method") for word in args.rest
    ):
        raise ConfigError("auto tries several methods; leave out --method, or use equipoise train")
    return replace(settings, method={"name": "auto"})


def print_members(members: list[Mapping[str, Any]], shown: int = 12) -> None:
    """Print the leaderboard: the members that weigh anything, and the best of the others."""
    from equipoise.cli.output import print_table

    kept = [line for number, line in enumerate(members) if line["weight"] or number < shown]
    rows = [
        [
            line["name"],
            f"{line['weight']:.3f}" if line["weight"] else "–",
            f"{line['accuracy']:.3f}",
            f"{line['log_loss']:.3f}",
            f"{line['seconds']:.1f}",
        ]
        for line in kept
    ]
    left = len(members) - len(kept)
    title = "members, on held-out rows" + (f" ({left} more in result.json)" if left else "")
    print_table(("member", "weight", "accuracy", "log-loss", "seconds"), rows, title)
