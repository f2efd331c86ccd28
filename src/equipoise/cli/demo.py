"""Compare five methods on real images and write the report; it takes about a minute."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

LEARNING_RATES = {"joint": 0.03, "ogm-ge": 0.03, "mla": 0.03, "lfm": 0.1, "mie": 0.01}
"""The learning rate of each method that was best on validation with three seeds: `equipoise bench
--data digits --methods joint,ogm-ge,mla,lfm,mie --epochs 20 --grid
optimiser.lr=0.003,0.01,0.03,0.1`."""

DEMO_METHODS: dict[str, dict[str, Any]] = {
    name: {"method": {"name": name}, "optimiser": {"lr": rate}}
    for name, rate in LEARNING_RATES.items()
}
DEMO_SETTINGS: dict[str, Any] = {
    "data": {"source": "digits"},
    "encoder": {"left": {"name": "mlp"}, "right": {"name": "small_cnn"}},
    "optimiser": {
        "name": "sgd",
        "momentum": 0.9,
        "weight_decay": 1e-4,
        "warmup": 0.0,
        "schedule": "none",
        "clip": 0.0,
        "average": 0.0,
    },
    "epochs": 20,
    "batch_size": 64,
    "select": "accuracy",
    "patience": 0,
}
"""All that acts on a training: results stay when the defaults of the settings change."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", metavar="DIR", default="runs/demo", help="folder of the comparison [runs/demo]"
    )
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="trainings at a time [2]")
    parser.add_argument(
        "--json", action="store_true", help="print all results of the leaderboard as JSON"
    )


def run(args: argparse.Namespace) -> int:
    from equipoise.cli.comparison import run_and_show
    from equipoise.comparison.plan import Plan

    plan = Plan(DEMO_METHODS, shared=DEMO_SETTINGS)
    return run_and_show(plan, Path(args.out), jobs=args.jobs, as_json=args.json)
