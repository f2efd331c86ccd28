"""Time and memory of training two ResNet-18 on frames and spectrograms of CREMA-D's size, read from
the cache.

    python benchmarks/steps.py [--steps 300] [--batch 8] [--method joint] [--precision float32]
    [--device cpu]

Three frames of 224×224 and a 257×299 spectrogram a sample, random content, random crops. Prints
clips a second, the share of the time that went into reading, and memory; on a GPU also the share of
its peak in bfloat16 that is given with --peak (teraflops, 989 for an H100 SXM), counting the
encoders' multiplications and additions alone.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import torch
from prepare import table
from torch.utils.flop_counter import FlopCounterMode

from equipoise.data.table.loader import Loader
from equipoise.runs.build import build_method, build_model
from equipoise.settings import Settings
from equipoise.training.context import Context


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--method", default="joint")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--samples", type=int, default=600)
    parser.add_argument("--peak", type=float, default=0.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        run(arguments, Path(scratch))


def run(arguments: argparse.Namespace, scratch: Path) -> None:
    data = table(scratch, arguments.samples, mapped=True)
    settings = Settings.from_dict(
        {
            "method": arguments.method,
            "encoder": {m: {"name": "resnet", "depth": 18} for m in data.modalities},
            "precision": arguments.precision,
            "batch_size": arguments.batch,
        }
    )
    method = build_method(settings)
    model = build_model(settings, data.specs, data.classes).to(arguments.device)
    loader = Loader(data, arguments.batch, seed=0, shuffle=True)
    ctx = Context(model, loader, optimiser=settings.optimiser, epochs=1, seed=0)
    method.setup(ctx)
    method.to(arguments.device)
    model.train()
    reading = 0.0
    flops = 0.0
    steps = 0
    started = time.perf_counter()
    epoch = 0
    while steps < arguments.steps:
        asked = time.perf_counter()
        for batch in loader.batches(epoch):
            reading += time.perf_counter() - asked
            if steps == 0:
                with FlopCounterMode(display=False) as counter:
                    method.step(batch.to(arguments.device), ctx)
                flops = counter.get_total_flops()
                started = time.perf_counter()
                reading = 0.0
            else:
                method.step(batch.to(arguments.device), ctx)
            steps += 1
            if steps == arguments.steps:
                break
            asked = time.perf_counter()
        epoch += 1
    if arguments.device.startswith("cuda"):
        torch.cuda.synchronize()
    report(arguments, time.perf_counter() - started, reading, flops)


def report(arguments: argparse.Namespace, spent: float, reading: float, flops: float) -> None:
    """One line; the first step, which is slower, does not count."""
    counted = arguments.steps - 1
    line = f"{arguments.method}, {arguments.precision}, batch {arguments.batch}, {counted} steps: "
    line += (
        f"{spent / counted * 1000:.0f} ms a step, {counted * arguments.batch / spent:.1f} clips/s, "
    )
    line += f"reading {100 * reading / spent:.1f} %, "
    if arguments.device.startswith("cuda"):
        line += f"{torch.cuda.max_memory_allocated() / 2**20:.0f} MiB of GPU memory"
    else:
        line += (
            f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB resident at most"
        )
    if arguments.peak:
        line += f", {100 * flops * counted / spent / (arguments.peak * 1e12):.1f} % of {arguments.peak:g} teraflops"
    print(line)


if __name__ == "__main__":
    main()
