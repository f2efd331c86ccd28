"""Kill training at random moments, resume, and compare with an uninterrupted run, bit by bit.

    python benchmarks/kill.py --kills 50 --method mla

Every kill is judged on its own: a copy of the killed folder is resumed to the end and compared,
while the folder itself is resumed and killed again. Runs are forked from one process that has
imported torch already, so that most of their time is training. SIGKILL is sent at a uniformly
random moment of it, which may be one at which a checkpoint is written.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from equipoise.data.table.table import Splits
from equipoise.runs import run
from equipoise.runs.build import build_method
from equipoise.settings import Settings

KILLS_PER_RUN = 4


def settings_of(method: str) -> Settings:
    """A second of training: cells missing, momentum, a schedule, a checkpoint every other step."""
    return Settings.from_dict(
        {
            "data": {"source": "synthetic", "missing": 0.2, "options": {"samples": 400}},
            "method": method,
            "width": 16,
            "epochs": 4,
            "batch_size": 24,
            "optimiser": {"lr": 0.05, "schedule": "cosine"},
            "checkpoint_every": 2,
            "device": "cpu",
        }
    )


def fork(settings: Settings, splits: Splits, folder: Path) -> int:
    """Start, or resume, a run in a process of its own."""
    child = os.fork()
    if child:
        return child
    try:
        run.train(settings, folder, splits=splits, resume=(folder / "config.yaml").is_file())
    except BaseException as error:
        print(f"{folder.name}: {error}", file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


def finish(settings: Settings, splits: Splits, folder: Path) -> bool:
    """Run to the end; False if it failed."""
    return os.waitpid(fork(settings, splits, folder), 0)[1] == 0


def kill(settings: Settings, splits: Splits, folder: Path, after: float) -> bool:
    """Run, and kill it after so many seconds; False if it had ended by then."""
    child = fork(settings, splits, folder)
    time.sleep(after)
    # The process id cannot belong to another process until the child is waited for.
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def tensors(value: Any, prefix: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """All tensors of nested mappings and lists, by path."""
    if isinstance(value, torch.Tensor):
        yield prefix, value
    elif isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from tensors(item, f"{prefix}/{key}")


def final(folder: Path) -> dict[str, torch.Tensor]:
    """Model, method and optimisers of a finished run's last checkpoint."""
    newest = sorted((folder / "checkpoints").glob("epoch-*"))[-1]
    state = torch.load(newest / "state.pt", weights_only=True)
    parts = {name: load_file(newest / f"{name}.safetensors") for name in ("model", "method")}
    return dict(tensors({**parts, "optimisers": state["context"]["optimisers"]}))


def history(folder: Path) -> list[dict[str, Any]]:
    """The lines of `metrics.jsonl`, without the seconds."""
    lines = [
        json.loads(line)
        for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def difference(whole: Path, resumed: Path) -> str:
    """The first difference between two finished runs; "" if there is none."""
    ours = final(whole)
    theirs = final(resumed)
    if ours.keys() != theirs.keys():
        return "names of the tensors"
    moved = [name for name in ours if not torch.equal(ours[name], theirs[name])]
    if moved:
        return moved[0]
    return "" if history(whole) == history(resumed) else "metrics.jsonl"


def judge(settings: Settings, splits: Splits, folder: Path, whole: Path) -> str:
    """Resume a copy of a killed run, and return what went wrong; "" for nothing."""
    copy = folder.with_name("copy")
    if folder.exists():
        shutil.copytree(folder, copy)
    try:
        return difference(whole, copy) if finish(settings, splits, copy) else "could not be resumed"
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def moment(folder: Path) -> str:
    """The moment of a kill, judged by the files that it left."""
    if not list((folder / "checkpoints").glob("epoch-*")):
        return "before the first checkpoint"
    if list((folder / "checkpoints").glob(".*.tmp")):
        return "while a checkpoint was written"
    return "between checkpoints"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--method", default="mla")
    parser.add_argument(
        "--seed", type=int, default=random.SystemRandom().randrange(2**31), help="of the moments"
    )
    args = parser.parse_args()
    torch.set_num_threads(1)  # threads do not survive a fork
    moments = random.Random(args.seed)
    settings = settings_of(args.method)
    splits = run.load_splits(settings, build_method(settings))
    with tempfile.TemporaryDirectory() as scratch:
        # Imports modules that are imported late, so that forked runs spend their time training.
        run.train(replace(settings, epochs=1), Path(scratch) / "first", splits=splits)
        whole = Path(scratch) / "whole"
        began = time.perf_counter()
        if not finish(settings, splits, whole):
            return 1
        seconds = time.perf_counter() - began
        print(
            f"{args.method}: an uninterrupted run takes {seconds:.1f} s; "
            f"kills drawn with seed {args.seed}"
        )
        fallen: dict[str, int] = {}
        kills = 0
        runs = 0
        identical = 0
        while kills < args.kills:
            folder = Path(scratch) / f"run-{runs}"
            runs += 1
            left = seconds
            for _ in range(KILLS_PER_RUN):
                after = moments.uniform(0, left)
                left -= after
                if kills == args.kills or not kill(settings, splits, folder, after):
                    break
                kills += 1
                where = moment(folder)
                fallen[where] = fallen.get(where, 0) + 1
                wrong = judge(settings, splits, folder, whole)
                identical += not wrong
                if wrong:
                    print(f"kill {kills}, {where}: {wrong}")
    for where, count in sorted(fallen.items()):
        print(f"  {count} {where}")
    print(
        f"{identical} of {kills} bit-identical "
        f"({runs} runs, each killed up to {KILLS_PER_RUN} times)"
    )
    return 0 if identical == kills else 1


if __name__ == "__main__":
    raise SystemExit(main())
