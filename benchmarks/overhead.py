"""Time and memory of a training step, method by method, against a bare loop over the same encoders.

    python benchmarks/overhead.py [--case resnet|mlp] [--methods joint,mla,…] [--repeats 7]

The bare loop is a loop as one would write it by hand: encoders, one linear layer on their
concatenation, one loss, SGD with momentum. Steps of all methods and of the bare loop alternate in
one process, and medians are compared, so that other load on the machine affects all of them alike.
Memory is the peak of the tensors alive in a step, beyond those alive before it. Work that is done
once per epoch or phase (LFM-LB's outer iteration, MIE's pass for its statistics) is not part of a
step.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

from equipoise.data.modality import ModalitySpec
from equipoise.data.table.loader import Loader
from equipoise.data.table.table import Table
from equipoise.runs.build import build_method, build_model
from equipoise.settings import Settings
from equipoise.training.context import Context

CASES = {
    "resnet": (
        {"audio": (1, 257, 299), "image": (3, 224, 224)},
        4,
        {"name": "resnet", "depth": 18},
    ),
    "mlp": (
        {"audio": (512,), "visual": (1024,), "text": (1024,)},
        64,
        {"name": "mlp", "width": 128},
    ),
}
METHODS = ("joint", "ogm-ge", "mla", "lfm", "lfm-lb", "mie")
LIMITS = {
    "resnet": {"mie": 2.1, "lfm": 1.05, "lfm-lb": 1.05},
    "mlp": {"mie": 2.6},
}
"""The highest ratio to the bare loop that is allowed; MIE passes through the encoder twice."""

CLASSES = 6


def table(shapes: dict[str, tuple[int, ...]], rows: int) -> Table:
    """Random inputs, held in memory."""
    draw = np.random.default_rng(0)
    specs = {m: ModalitySpec(m, "vector" if len(s) == 1 else "image", s) for m, s in shapes.items()}
    arrays = {m: draw.standard_normal((rows, *s), dtype=np.float32) for m, s in shapes.items()}
    present = {m: np.ones(rows, dtype=bool) for m in shapes}
    return Table(
        specs,
        arrays,
        np.arange(rows),
        draw.integers(CLASSES, size=rows),
        present,
        list("abcdef"),
        list(range(rows)),
    )


OPTIMISER = {
    "name": "sgd",
    "lr": 0.01,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "warmup": 0.0,
    "schedule": "none",
    "clip": 0.0,
    "average": 0.0,
}
"""What the hand-written loop does, and nothing that the defaults add to it."""


def bare_step(data: Table, batch_size: int, encoder: dict) -> Callable[[], None]:
    """The hand-written loop's step."""
    settings = Settings.from_dict(
        {"method": "joint", "encoder": dict.fromkeys(data.modalities, encoder)}
    )
    encoders = build_model(settings, data.specs, data.classes).encoders
    head = nn.Linear(sum(e.width for e in encoders.values()), CLASSES)
    optimiser = torch.optim.SGD(
        [*encoders.parameters(), *head.parameters()],
        lr=0.01,
        momentum=0.9,
        weight_decay=1e-4,
        fused=True,
    )
    batch = data.rows(np.arange(batch_size))

    def step() -> None:
        features = [encoders[m](batch.inputs[m]) for m in data.modalities]
        F.cross_entropy(head(torch.cat(features, 1)), batch.label).backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    return step


def method_step(name: str, data: Table, batch_size: int, encoder: dict) -> Callable[[], None]:
    """The library's step, seeding and bookkeeping included.

    For a method that trains in phases, one step of every phase.
    """
    settings = Settings.from_dict(
        {
            "method": name,
            "encoder": dict.fromkeys(data.modalities, encoder),
            "optimiser": OPTIMISER,
        }
    )
    method = build_method(settings)
    model = build_model(settings, data.specs, data.classes)
    loader = Loader(data, batch_size, seed=0, shuffle=False)
    ctx = Context(model, loader, holdout=loader, optimiser=settings.optimiser, epochs=1)
    method.setup(ctx)
    phases = {phase.modalities: phase for phase in method.phases(3)}.values()
    model.train()
    batch = data.rows(np.arange(batch_size))

    def step() -> None:
        for phase in phases:
            ctx.phase = phase
            ctx.seed_generators("step")
            ctx.position.step = 0
            ctx.position.batch = 0
            method.step(batch, ctx)

    return step


def peak_memory(step: Callable[[], object]) -> float:
    """Peak of the tensors alive in a step or a training, beyond those alive before, in MB."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        step()
    alive = 0
    peak = 0
    for event in recorded.profiler.kineto_results.events():
        if event.name() == "[memory]":
            alive += event.nbytes()
            peak = max(peak, alive)
    return peak / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", choices=[*CASES, "all"], default="all")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--repeats", type=int, default=7)
    given = parser.parse_args()
    torch.set_num_threads(1)
    for case in CASES if given.case == "all" else [given.case]:
        compare(case, given.methods.split(","), given.repeats)


def compare(case: str, methods: list[str], repeats: int) -> None:
    """Print the table of one case."""
    shapes, batch_size, encoder = CASES[case]
    data = table(shapes, batch_size * 4)
    steps = {"bare loop": bare_step(data, batch_size, encoder)}
    steps |= {name: method_step(name, data, batch_size, encoder) for name in methods}
    inner = 1 if case == "resnet" else 20
    times: dict[str, list[float]] = {name: [] for name in steps}
    for repeat in range(repeats + 1):
        for name, step in steps.items():
            gc.collect()
            start = time.process_time()
            for _ in range(inner):
                step()
            if repeat:  # the first round warms up
                times[name].append((time.process_time() - start) / inner)
    memory = {name: peak_memory(step) for name, step in steps.items()}
    print(f"\n{case}: batch {batch_size}, inputs {shapes}")
    print(f"{'':10} {'ms a step':>10} {'ratio':>7} {'limit':>7} {'peak MB':>9} {'ratio':>7}")
    for name, taken in times.items():
        ratio = statistics.median(a / b for a, b in zip(taken, times["bare loop"], strict=True))
        limit = LIMITS[case].get(name, 1.03 if case == "resnet" else 1.3)
        shown = "" if name == "bare loop" else f"{limit:7.2f}"
        print(
            f"{name:10} {1e3 * statistics.median(taken):10.2f} {ratio:7.3f} {shown:>7} "
            f"{memory[name]:9.1f} {memory[name] / memory['bare loop']:7.2f}"
        )


if __name__ == "__main__":
    main()
