"""The cost of each method beyond joint training with the same encoders: passes, time, memory.

    python benchmarks/cost.py [--methods all] [--epochs 4]

Whole trainings are measured, so that work done once per epoch or phase counts too. Passes are those
of an encoder per minibatch that it is trained on: as counted, and as the registry declares them.
CPU time and memory are shown as multiples of those of joint training. The peak is that of all
tensors alive during the training beyond those alive before it, parameters, optimiser and the
method's memory included. *held* is the method's memory, and what the head holds beyond `concat`.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Iterable
from functools import partial

import torch
from overhead import CASES, OPTIMISER, peak_memory, table
from torch import Tensor

from equipoise.data.table.loader import Loader
from equipoise.data.table.table import Table
from equipoise.methods import METHODS
from equipoise.runs.build import build_method, build_model
from equipoise.settings import Settings
from equipoise.training.context import Context
from equipoise.training.loop import fit

BATCHES = 4


def mebibytes(tensors: Iterable[Tensor]) -> float:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors) / 2**20


def train(
    name: str, data: Table, batch_size: int, encoder: dict, epochs: int
) -> tuple[Context, float, float]:
    """Train; return the context, the CPU seconds, and the MB that method and head hold."""
    settings = Settings.from_dict(
        {
            "method": name,
            "encoder": dict.fromkeys(data.modalities, encoder),
            "optimiser": OPTIMISER,
        }
    )
    method = build_method(settings)
    model = build_model(settings, data.specs, data.classes)
    loader = Loader(data, batch_size, seed=0, shuffle=True)
    ctx = Context(model, loader, holdout=loader, optimiser=settings.optimiser, epochs=epochs)
    method.setup(ctx)
    start = time.process_time()
    fit(method, ctx, epochs)
    seconds = time.process_time() - start
    return (
        ctx,
        seconds,
        mebibytes([*method.state_dict().values(), *model.head.state_dict().values()]),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", default="all")
    parser.add_argument("--epochs", type=int, default=4)
    given = parser.parse_args()
    names = METHODS.names() if given.methods == "all" else given.methods.split(",")
    torch.set_num_threads(1)
    shapes, batch_size, encoder = CASES["mlp"]
    data = table(shapes, batch_size * BATCHES)
    print(f"mlp: {BATCHES} batches of {batch_size}, {given.epochs} epochs, inputs {shapes}")
    head = ("forward", "backward", "declared", "time", "peak", "held MB")
    print(" " * 14, "{:>8} {:>9} {:>12} {:>6} {:>6} {:>8}".format(*head))
    base: tuple[float, float, float] | None = None
    for name in ["joint", *(n for n in names if n != "joint")]:
        gc.collect()
        train(name, data, batch_size, encoder, 1)  # warms up
        peak = peak_memory(partial(train, name, data, batch_size, encoder, given.epochs))
        ctx, seconds, held = train(name, data, batch_size, encoder, given.epochs)
        base = base or (seconds, peak, held)
        entry = METHODS[name]
        passes = ctx.passes
        print(
            f"{name:14} {passes.forward_passes:8.2f} {passes.backward_passes:9.2f} "
            f"{entry.passes:>12} {seconds / base[0]:6.2f} {peak / base[1]:6.2f} "
            f"{held - base[2]:8.2f}"
        )


if __name__ == "__main__":
    main()
