"""Compare joint training with five others on spoken and written digits, and write the report.

It takes about a minute on two cores.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

LEARNING_RATES = {
    "joint": 0.01,
    "unimodal": 0.01,
    "mla": 0.03,
    "lfm": 0.03,
    "mie": 0.03,
    "balanced": 0.01,
}
"""The learning rate of each method that was best on validation with three seeds, of 0.01, 0.03 and
0.1."""

DEMO_METHODS: dict[str, dict[str, Any]] = {
    name: {"method": {"name": name}, "optimiser": {"lr": rate}}
    for name, rate in LEARNING_RATES.items()
}
DEMO_SETTINGS: dict[str, Any] = {
    "data": {"source": "spoken-digits"},
    "encoder": {
        "audio": {"name": "small_cnn", "channels": [8, 16, 32]},
        "image": {"name": "small_cnn"},
    },
    "width": 64,
    "optimiser": {
        "name": "sgd",
        "momentum": 0.9,
        "weight_decay": 1e-4,
        "warmup": 0.0,
        "schedule": "none",
        "clip": 0.0,
        "average": 0.0,
    },
    "epochs": 10,
    "batch_size": 64,
    "select": "accuracy",
    "patience": 0,
    "calibration": "none",
}
"""All that acts on a training: results stay when the defaults of the settings change."""

OPENING = """\
Each sample is a spoken digit and the upper half of a written one. A network that is trained jointly
learns the picture and neglects the sound. Here it is beside each modality trained alone (unimodal)
and four methods that train both, with three seeds each."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", metavar="DIR", default="runs/demo", help="folder of the comparison [runs/demo]"
    )
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="trainings at a time [2]")
    parser.add_argument(
        "--json", action="store_true", help="print all results of the leaderboard as JSON"
    )


def run(args: argparse.Namespace) -> int:
    # On stderr, beside the progress: with --json the output is for programs.
    print(OPENING, file=sys.stderr)
    from equipoise.cli.comparison import run_and_show
    from equipoise.comparison.plan import Plan

    plan = Plan(DEMO_METHODS, shared=DEMO_SETTINGS)
    return run_and_show(plan, Path(args.out), jobs=args.jobs, as_json=args.json)
