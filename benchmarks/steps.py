"""Time and memory of training two ResNet-18 on data of CREMA-D's size, read from the cache.

    python benchmarks/steps.py [--steps 300] [--batch 8] [--method joint] [--precision float32]
    [--device cpu]

A sample is three frames of 224×224 and a 257×299 spectrogram, random content, random crops. Prints
clips per second, the fraction of the time spent on reading, and memory. With --peak, the GPU's
bfloat16 peak in teraflops (989 for an H100 SXM), it also prints the fraction of it that is reached;
only the multiplications and additions of the encoders count.
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
    """Train for the given number of steps, and print what they took."""
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
    """Print one line; the first step, which is slower, does not count."""
    counted = arguments.steps - 1
    line = f"{arguments.method}, {arguments.precision}, batch {arguments.batch}, {counted} steps: "
    clips = counted * arguments.batch / spent
    line += f"{spent / counted * 1000:.0f} ms a step, {clips:.1f} clips/s, "
    line += f"reading {100 * reading / spent:.1f} %, "
    if arguments.device.startswith("cuda"):
        line += f"{torch.cuda.max_memory_allocated() / 2**20:.0f} MiB of GPU memory"
    else:
        resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        line += f"{resident:.0f} MiB resident at most"
    if arguments.peak:
        reached = 100 * flops * counted / spent / (arguments.peak * 1e12)
        line += f", {reached:.1f} % of {arguments.peak:g} teraflops"
    print(line)


if __name__ == "__main__":
    main()
