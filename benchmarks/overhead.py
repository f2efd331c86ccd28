"""Time and memory of a training step, method by method, against a bare loop over the same encoders.

    python benchmarks/overhead.py [--case resnet|mlp|many] [--methods joint,mla,…] [--rounds 15]
    python benchmarks/overhead.py --check     # exits 1 if a method is slower than its limit

The bare loop is a loop as one would write it by hand: encoders, one linear layer on their
concatenation, one loss, SGD with momentum. Steps of all methods and of the bare loop alternate in
one process, in rounds. Times are those of the processor, and the ratio is that of the best rounds,
which other load on the machine disturbs least; the quartiles of the ratios of the rounds tell how
much it did. Memory is the peak of the tensors alive in a step, beyond those alive before it. Work
that is done once per epoch or phase (LFM-LB's outer iteration, MIE's pass for its statistics) is
not part of a step.
"""

from __future__ import annotations

import argparse
import gc
import math
import statistics
import time
from collections.abc import Callable
from itertools import count

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
    "many": ({f"m{k}": (512,) for k in range(8)}, 64, {"name": "mlp", "width": 128}),
}
LIMITS = {
    "mlp": {
        "joint": 1.10,
        "mla": 1.30,
        "lfm": 1.35,
        "qmf": 1.35,
        "pmr": 1.35,
        "ogm-ge": 1.6,
        "agm": 1.8,
        "mmpareto": 2.0,
        "mie": 2.8,
    },
    "resnet": {"joint": 1.03, "mla": 1.03, "lfm": 1.03, "ogm-ge": 1.05, "mie": 2.05},
    "many": {"joint": 1.10, "mla": 1.30, "agm": 4.0},
}
"""The highest ratio to the bare loop that is allowed; MIE passes through the encoder twice."""

MEMORY_LIMITS = {"mmpareto": 2.0}
"""The highest ratio of the peaks of memory that is allowed."""

NOISE = 1.15
"""A measured ratio may exceed its limit by this factor."""

CLASSES = 6
STEPS_PER_EPOCH = 200  # encoder passes are counted in the first of them only


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

    numbers = count()

    def step() -> None:
        for phase in phases:
            ctx.phase = phase
            ctx.seed_generators("step")
            ctx.passes.begin_step(next(numbers) % STEPS_PER_EPOCH)
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


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", choices=[*CASES, "all"], default="all")
    parser.add_argument("--methods", help="names, separated by commas [those with a limit]")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--check", action="store_true", help="exit 1 above a limit")
    given = parser.parse_args()
    torch.set_num_threads(1)
    exceeded = []
    for case in CASES if given.case == "all" else [given.case]:
        names = given.methods.split(",") if given.methods else list(LIMITS[case])
        exceeded += compare(case, names, given.rounds)
    for line in exceeded:
        print(line)
    return int(given.check and bool(exceeded))


def compare(case: str, methods: list[str], rounds: int) -> list[str]:
    """Print the table of one case; return a line for each limit that is exceeded."""
    shapes, batch_size, encoder = CASES[case]
    data = table(shapes, batch_size * 4)
    steps = {"bare loop": bare_step(data, batch_size, encoder)}
    steps |= {name: method_step(name, data, batch_size, encoder) for name in methods}
    inner = 1 if case == "resnet" else 10
    times: dict[str, list[float]] = {name: [] for name in steps}
    gc.collect()
    gc.disable()  # a collection would count in the round that happens to meet it
    for number in range(rounds + 1):
        for name, step in steps.items():
            start = time.process_time()
            for _ in range(inner):
                step()
            if number:  # the first round warms up
                times[name].append((time.process_time() - start) / inner)
    gc.enable()
    memory = {name: peak_memory(step) for name, step in steps.items()}
    print(f"\n{case}: batch {batch_size}, inputs {shapes}, {rounds} rounds")
    print(
        f"{'':10} {'best ms':>8} {'ratio':>6} {'quartiles':>11} {'limit':>6} {'MB':>6} {'ratio':>6}"
    )
    exceeded = []
    for name, taken in times.items():
        ratio = min(taken) / min(times["bare loop"])
        each = [a / b for a, b in zip(taken, times["bare loop"], strict=True)]
        low, _, high = statistics.quantiles(each, n=4)
        more = memory[name] / memory["bare loop"]
        limit = LIMITS[case].get(name, math.inf)
        shown = "" if math.isinf(limit) else f"{limit:.2f}"
        print(
            f"{name:10} {1e3 * min(taken):8.2f} {ratio:6.2f} {f'{low:.2f}-{high:.2f}':>11} "
            f"{shown:>6} {memory[name]:6.1f} {more:6.2f}"
        )
        if ratio > NOISE * limit:
            exceeded.append(f"{case}: {name} takes {ratio:.2f} times the bare loop, limit {limit}")
        if more > NOISE * MEMORY_LIMITS.get(name, math.inf):
            exceeded.append(
                f"{case}: {name} holds {more:.2f} times the memory, limit {MEMORY_LIMITS[name]}"
            )
    return exceeded


if __name__ == "__main__":
    raise SystemExit(main())
