"""The cost of decoding once and of reading back, as ratios measured in one run.

    python benchmarks/prepare.py [--clips 48] [--samples 600]

1. Throughput of filling the cache against decoding the same files in a bare loop, one after the
   other. The files are mp4 videos with sound that the script writes.
2. Time of an epoch read from the cache against the same tensors held in memory.
3. Peak memory of reading an epoch from a store of N and of 10 N samples, each in a process of its
   own. It is the memory that belongs to the process, without the pages of the mapped file, which
   the system takes back whenever it needs them.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import torch

from equipoise.data.decoding.cache import Stored, decode_all
from equipoise.data.manifest.file_part import FilePart
from equipoise.data.modality import ModalitySpec
from equipoise.data.table.loader import Loader
from equipoise.data.table.steps import Arrays
from equipoise.data.table.table import Table
from equipoise.data.transforms.audio import LogStft
from equipoise.data.transforms.video import Frames

SIZE = (340, 256)
RATE = 30


def write_clip(path: Path, seconds: float, rng: np.random.Generator) -> None:
    """Moving noise with a tone, H.264 and AAC."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=RATE)
        video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
        audio = container.add_stream("aac", rate=44100, layout="mono")
        texture = rng.integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
        for number in range(int(seconds * RATE)):
            moved = np.ascontiguousarray(np.roll(texture, 3 * number, axis=1))
            container.mux(video.encode(av.VideoFrame.from_ndarray(moved, format="rgb24")))
        container.mux(video.encode(None))
        wave = np.sin(np.arange(int(44100 * seconds)) / 20).astype(np.float32)[None]
        for start in range(0, wave.shape[1] - 1024, 1024):
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(wave[:, start : start + 1024]), "fltp", "mono"
            )
            frame.rate = 44100
            frame.pts = start
            container.mux(audio.encode(frame))
        container.mux(audio.encode(None))


def seconds(work: Callable[[], object]) -> float:
    """The seconds that a call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def throughput(folder: Path, clips: int) -> None:
    """Print the throughput of decoding (part 1)."""
    rng = np.random.default_rng(0)
    files = [FilePart(folder / f"{k}.mp4") for k in range(clips)]
    for file in files:
        write_clip(file.path, 3.0, rng)
    for name, transform in (("3 frames", Frames(crop=(0.08, 1.0))), ("sound", LogStft())):
        bare = seconds(lambda t=transform: [t.decode(file) for file in files])
        first = seconds(lambda n=name, t=transform: decode_all(n, files, t, folder / "cache"))
        again = seconds(lambda n=name, t=transform: decode_all(n, files, t, folder / "cache"))
        print(
            f"{name}: bare loop {clips / bare:.1f} clips/s, "
            f"filling the cache {clips / first:.1f} clips/s (ratio {bare / first:.2f}), "
            f"opening it again {again * 1000:.1f} ms"
        )


def table(folder: Path, samples: int, *, mapped: bool) -> Table:
    """Frames and spectrograms of CREMA-D's size with random content, on disk or in memory."""
    transforms = {"video": Frames(crop=(0.08, 1.0)), "audio": LogStft()}
    arrays = {}
    specs = {}
    steps = {}
    for modality, transform in transforms.items():
        path = folder / f"{modality}-{samples}.data"
        if not path.exists():
            rng = np.random.default_rng(0)
            with path.open("wb") as file:
                for _ in range(samples):
                    file.write(
                        rng.integers(0, 255, transform.stored).astype(transform.dtype).tobytes()
                    )
        shape = (samples, *transform.stored)
        store = np.memmap(path, dtype=transform.dtype, mode="r", shape=shape)
        held = store if mapped else np.array(store)
        arrays[modality] = Stored(held, np.arange(samples), path.name)
        specs[modality] = ModalitySpec(modality, modality, transform.shape)
        steps[modality] = Arrays(transform).restore({})
    present = {m: np.ones(samples, dtype=bool) for m in arrays}
    label = np.zeros(samples, dtype=np.int64)
    ids = [str(k) for k in range(samples)]
    plain = Table(specs, arrays, np.arange(samples), label, present, "ab", ids)
    return replace(plain.stepped(steps), augment=0)


def read_epoch(data: Table, epoch: int) -> None:
    for _ in Loader(data, 64, seed=0, shuffle=True).batches(epoch):
        pass


def cache_against_memory(folder: Path, samples: int) -> None:
    """Print the time of an epoch (part 2): medians over epochs, cache and memory in turn."""
    tables = {
        "cache": table(folder, samples, mapped=True),
        "memory": table(folder, samples, mapped=False),
    }
    times: dict[str, list[float]] = {name: [] for name in tables}
    for epoch in range(5):
        for name, data in tables.items():
            times[name].append(seconds(lambda d=data, e=epoch: read_epoch(d, e)))
    cache, memory = (statistics.median(times[name]) for name in ("cache", "memory"))
    print(
        f"an epoch of {samples} samples: {cache:.2f} s from the cache, {memory:.2f} s from memory "
        f"(ratio {cache / memory:.3f})"
    )


def own_memory() -> float:
    """Resident memory of this process without mapped files, in MiB."""
    fields = dict(
        line.split(":", 1)
        for line in Path("/proc/self/status").read_text().splitlines()
        if ":" in line
    )
    return int(fields["RssAnon"].split()[0]) / 1024


def print_memory(folder: Path, samples: int) -> None:
    """Print the peak of this process's own memory while it reads an epoch."""
    data = table(folder, samples, mapped=True)
    highest = 0.0
    for _ in Loader(data, 64, seed=0, shuffle=True).batches(0):
        highest = max(highest, own_memory())
    print(f"{highest:.0f}")


def growth(folder: Path, samples: int) -> None:
    """Print how memory grows with the number of samples (part 3)."""
    peaks = []
    for count in (samples, 10 * samples):
        command = [sys.executable, __file__, "--memory", str(folder), str(count)]
        peaks.append(
            float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        )
    print(
        f"own memory: {peaks[0]:.0f} MiB with {samples} samples, "
        f"{peaks[1]:.0f} MiB with {10 * samples}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=48)
    parser.add_argument("--samples", type=int, default=600)
    parser.add_argument("--memory", nargs=2, metavar=("DIR", "SAMPLES"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.memory:
        print_memory(Path(arguments.memory[0]), int(arguments.memory[1]))
        return
    with tempfile.TemporaryDirectory() as scratch:
        throughput(Path(scratch), arguments.clips)
        cache_against_memory(Path(scratch), arguments.samples)
        growth(Path(scratch), arguments.samples)


if __name__ == "__main__":
    main()
