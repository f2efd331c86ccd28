"""Train one model and write a run folder: weights, metrics, predictions.

The columns of a table whose modalities nobody declares are taken as `equipoise doctor` suggests.

examples:
  equipoise train --data digits --method mla --method.alpha 0.1 --out runs/mla
  equipoise train clips.csv
  equipoise train --data clips.csv --modality sound=wav:audio --label emotion
  equipoise train --method mie --help
  equipoise train --resume runs/mla
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from equipoise.cli.options import add_settings, read_settings
from equipoise.errors import ConfigError
from equipoise.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", metavar="RUN", help="new run folder [runs/<data>-<method>-seed<seed>]"
    )
    parser.add_argument(
        "--resume", metavar="RUN", help="continue an interrupted run with its own settings"
    )
    parser.add_argument(
        "--checkpoint",
        choices=("newest", "previous"),
        default="newest",
        help="checkpoint to resume from [newest]",
    )
    parser.add_argument(
        "--devices", type=int, default=1, metavar="N", help="GPUs or processes on this machine [1]"
    )
    parser.add_argument(
        "--rank-timeout",
        type=float,
        default=45,
        metavar="SECONDS",
        help="end a training of several devices when a process gives no sign of life for this long "
        "[45]",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    add_settings(parser)


def run(args: argparse.Namespace) -> int:
    if args.resume and (args.config or args.overrides or args.rest or args.out):
        raise ConfigError(
            "--resume takes the settings of the run itself; leave out all other settings and --out"
        )
    if args.print_config:
        sys.stdout.write(read_settings(args).to_yaml())
        return 0
    from equipoise.training import runtime

    settings = _settings(args)
    if args.devices != 1 and not runtime.inside_torchrun():
        return runtime.launch(
            args.devices,
            _without_devices(args.arguments),
            settings.device,
            patience=args.rank_timeout,
            advice=partial(_go_on, args, settings),
        )
    return _train(args, settings)


def _go_on(args: argparse.Namespace, settings: Settings) -> str:
    """Say how to resume a training whose ranks have failed."""
    from equipoise.api import default_folder
    from equipoise.runs.folder import resume_command

    folder = args.resume or args.out or default_folder(settings)
    if not (Path(folder) / "config.yaml").is_file():
        return "it had not begun to train; start it again"
    return f"go on with: {resume_command(Path(folder), args.devices)}"


def _settings(args: argparse.Namespace) -> Settings:
    from equipoise.runs.run import resume_settings

    if args.resume:
        return resume_settings(args.resume, trust=args.trust)
    return read_settings(args)


def _train(args: argparse.Namespace, settings: Settings) -> int:
    from equipoise.api import default_folder
    from equipoise.cli.output import print_json, print_metrics
    from equipoise.diagnosis.inference import take_columns
    from equipoise.runs import run as runs
    from equipoise.runs.progress import TrainingProgress
    from equipoise.training import runtime

    if not args.resume:
        settings = replace(settings, data=take_columns(settings.data))
    folder = Path(args.resume or args.out or default_folder(settings))
    try:
        with TrainingProgress() as progress:
            done = runs.train(
                settings,
                folder,
                resume=bool(args.resume),
                checkpoint=args.checkpoint,
                callbacks=[progress],
            )
    finally:
        runtime.stop()
    if os.environ.get("RANK", "0") != "0":
        return 0
    if args.json:
        print_json({"folder": str(folder), **done.result})
    else:
        print_metrics(
            {s: done.result[s] for s in ("validation", "test") if s in done.result},
            title=str(folder),
        )
    return 0


def _without_devices(arguments: list[str]) -> list[str]:
    kept = [a for a in arguments if not a.startswith("--devices=")]
    if "--devices" in kept:
        at = kept.index("--devices")
        del kept[at : at + 2]
    return kept
