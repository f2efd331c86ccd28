"""Kill commands at random moments, run them again, and compare with uninterrupted ones, bit by bit.

    python benchmarks/kill.py
    python benchmarks/kill.py --what training --kills 50 --method mla

* training: one run, resumed from its checkpoint.
* prepare: `equipoise prepare` of a data set, and of a table of sounds, pictures and films.
* bench: `equipoise bench` of three methods with two seeds each.

Every kill is judged on its own: the command is run again to its end in a copy of the folder that
the killed one left, and the copy is compared, while the folder itself goes on to be killed again.
Commands are forked from one process that has imported everything already, so that most of their
time is work. SIGKILL is sent at a uniformly random moment of it, which may be one at which a
checkpoint is written.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
import torch
from PIL import Image
from safetensors.torch import load_file

from equipoise.cli import main as run_equipoise
from equipoise.runs import run
from equipoise.runs.build import build_method
from equipoise.settings import Settings

KILLS_PER_RUN = 4
SAMPLES = 300
FILMS = 20
"""Rows of the table that is prepared, and films that they name."""


class Work(ABC):
    """Work that is killed.

    Args:
        scratch: a folder for what the work reads.
        method: of the training.
    """

    def __init__(self, scratch: Path, method: str) -> None:
        self.scratch = scratch
        self.method = method

    @abstractmethod
    def run(self, folder: Path) -> bool:
        """Do the work in a folder, or go on with it; False if it failed."""

    @abstractmethod
    def moment(self, folder: Path) -> str:
        """The moment of a kill, judged by the files that it left."""

    @abstractmethod
    def difference(self, whole: Path, other: Path) -> str:
        """The first difference between two folders with finished work; "" if there is none."""


class Training(Work):
    """A second of training: cells missing, momentum, a schedule, a checkpoint every other step."""

    def __init__(self, scratch: Path, method: str) -> None:
        super().__init__(scratch, method)
        self.settings = Settings.from_dict(
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
        self.splits = run.load_splits(self.settings, build_method(self.settings))
        # Imports modules that are imported late, so that forked runs spend their time training.
        first = replace(self.settings, epochs=1)
        run.train(first, scratch / "first", splits=self.splits)

    def run(self, folder: Path) -> bool:
        resume = (folder / "config.yaml").is_file()
        run.train(self.settings, folder, splits=self.splits, resume=resume)
        return True

    def moment(self, folder: Path) -> str:
        if not list((folder / "checkpoints").glob("epoch-*")):
            return "before the first checkpoint"
        if list((folder / "checkpoints").glob(".*.tmp")):
            return "while a checkpoint was written"
        return "between checkpoints"

    def difference(self, whole: Path, other: Path) -> str:
        return run_difference(whole, other)


class Prepare(Work):
    """A data set that is written, and a table of small media that is decoded into a cache."""

    def __init__(self, scratch: Path, method: str) -> None:
        super().__init__(scratch, method)
        media = scratch / "media"
        media.mkdir()
        rng = np.random.default_rng(0)
        lines = ["sound,picture,film,label"]
        for row in range(SAMPLES):
            soundfile.write(media / f"{row}.wav", 0.1 * rng.normal(size=8000), 8000)
            pixels = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(media / f"{row}.png")
            if row < FILMS:
                write_film(media / f"{row}.mp4", rng)
            film, start = row % FILMS, row // FILMS
            lines.append(f"{row}.wav,{row}.png,{film}.mp4#{start}:{start + 3},{row % 2}")
        (media / "rows.csv").write_text("\n".join(lines), encoding="utf-8")

    def run(self, folder: Path) -> bool:
        done = [0]
        if not (folder / "data").exists():
            line = ["prepare", "synthetic", "--out", str(folder / "data"), "--samples", "200"]
            done.append(run_equipoise(line))
        line = ["prepare", str(self.scratch / "media/rows.csv"), "--cache", str(folder / "cache")]
        for declared in ("sound=sound:audio", "picture=picture:image", "film=film:video"):
            line += ["--modality", declared]
        done.append(run_equipoise([*line, "--data.label", "label"]))
        return not any(done)

    def moment(self, folder: Path) -> str:
        if not (folder / "data").exists():
            return "while the data set was written"
        journals = sorted((folder / "cache").glob("*.jsonl"))
        lines = sum(path.read_bytes().count(b"\n") for path in journals)
        return f"with {len(journals)} stores of decoded files" if lines else "before the cache"

    def difference(self, whole: Path, other: Path) -> str:
        ours = contents(whole)
        theirs = contents(other)
        if ours.keys() != theirs.keys():
            different = sorted(map(str, ours.keys() ^ theirs.keys()))
            return f"{len(different)} files are in one of them only, such as {different[0]}"
        return next((str(path) for path in ours if ours[path] != theirs[path]), "")


class Bench(Work):
    """A comparison of three methods, two seeds each."""

    def __init__(self, scratch: Path, method: str) -> None:
        super().__init__(scratch, method)
        self.run(scratch / "first")

    def run(self, folder: Path) -> bool:
        line = ["bench", "--methods", "joint,mla,late", "--seeds", "2", "--out", str(folder)]
        line += ["--data", "synthetic", "--data.options.samples", "300", "--missing", "0.2"]
        line += ["--width", "16", "--epochs", "3", "--batch_size", "24", "--optimiser.lr", "0.05"]
        line += ["--checkpoint_every", "3", "--device", "cpu"]
        return run_equipoise(line) == 0

    def moment(self, folder: Path) -> str:
        ended = len(list(folder.rglob("result.json")))
        return f"after {ended} of 6 trainings"

    def difference(self, whole: Path, other: Path) -> str:
        cells = [path.parent.relative_to(whole) for path in sorted(whole.rglob("result.json"))]
        found = [path.parent.relative_to(other) for path in sorted(other.rglob("result.json"))]
        if cells != found or len(cells) != 6:
            return f"other trainings: {sorted({*cells} ^ {*found})}"
        for cell in cells:
            if wrong := run_difference(whole / cell, other / cell):
                return f"{cell}: {wrong}"
        return ""


WORKS: dict[str, type[Work]] = {"training": Training, "prepare": Prepare, "bench": Bench}


def write_film(path: Path, rng: np.random.Generator) -> None:
    """Twenty pictures of noise, H.264."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(20):
            pixels = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))


def contents(folder: Path) -> dict[Path, Any]:
    """{path inside a folder: the bytes of the file}; of a journal its entries.

    How the entries of a journal are spread over its lines depends on when it was interrupted.
    Locks are empty files, and temporary ones that a kill left in the cache are not part of it.
    """
    found: dict[Path, Any] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix not in (".lock", ".tmp"):
            found[path.relative_to(folder)] = (
                entries(path) if path.suffix == ".jsonl" else path.read_bytes()
            )
    return found


def entries(journal: Path) -> dict[str, Any]:
    """All entries of a journal of the cache."""
    found: dict[str, Any] = {}
    for line in journal.read_bytes().splitlines():
        found.update(json.loads(line.rpartition(b"\t")[0]))
    return found


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


def measured(folder: Path) -> dict[str, Any]:
    """The content of `result.json`, without what the clock decides."""
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return {key: value for key, value in result.items() if key not in ("cost", "digest")}


def run_difference(whole: Path, resumed: Path) -> str:
    """The first difference between two finished runs; "" if there is none."""
    ours = final(whole)
    theirs = final(resumed)
    if ours.keys() != theirs.keys():
        return "names of the tensors"
    moved = [name for name in ours if not torch.equal(ours[name], theirs[name])]
    if moved:
        return moved[0]
    if history(whole) != history(resumed):
        return "metrics.jsonl"
    return "" if measured(whole) == measured(resumed) else "result.json"


def fork(work: Work, folder: Path) -> int:
    """Start the work, or go on with it, in a process of its own."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        with folder.with_suffix(".txt").open("a") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        code = int(not work.run(folder))
    except BaseException as error:
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
    os._exit(code)


def finish(work: Work, folder: Path) -> bool:
    """Do the work to its end; False if it failed."""
    return os.waitpid(fork(work, folder), 0)[1] == 0


def kill(work: Work, folder: Path, after: float) -> bool:
    """Do the work, and kill it after so many seconds; False if it had ended by then."""
    child = fork(work, folder)
    time.sleep(after)
    # The process id cannot belong to another process until the child is waited for.
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def judge(work: Work, folder: Path, whole: Path) -> str:
    """Finish a copy of what was killed, and return what went wrong; "" for nothing."""
    copy = folder.with_name("copy")
    log = copy.with_suffix(".txt")
    if folder.exists():
        shutil.copytree(folder, copy)
    try:
        if not finish(work, copy):
            return f"it failed: {log.read_text(encoding='utf-8').strip()[-300:]}"
        return work.difference(whole, copy)
    finally:
        shutil.rmtree(copy, ignore_errors=True)
        log.unlink(missing_ok=True)


def kill_often(work: Work, name: str, kills: int, seed: int) -> bool:
    """Kill some work so many times and print what came of it; True if nothing was lost."""
    moments = random.Random(seed)
    whole = work.scratch / "whole"
    began = time.perf_counter()
    if not finish(work, whole):
        print(whole.with_suffix(".txt").read_text(encoding="utf-8"))
        return False
    seconds = time.perf_counter() - began
    print(f"{name}: {seconds:.1f} s without a kill; kills drawn with seed {seed}", flush=True)
    fallen: dict[str, int] = {}
    killed = 0
    runs = 0
    identical = 0
    while killed < kills:
        folder = work.scratch / f"run-{runs}"
        runs += 1
        left = seconds
        for _ in range(KILLS_PER_RUN):
            after = moments.uniform(0, left)
            left -= after
            if killed == kills or not kill(work, folder, after):
                break
            killed += 1
            where = work.moment(folder)
            fallen[where] = fallen.get(where, 0) + 1
            wrong = judge(work, folder, whole)
            identical += not wrong
            if wrong:
                print(f"  kill {killed}, {where}: {wrong}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
    for where, count in sorted(fallen.items()):
        print(f"  {count} {where}")
    print(
        f"  {identical} of {killed} bit-identical ({runs} times, each killed up to "
        f"{KILLS_PER_RUN} times), {time.perf_counter() - began:.0f} s",
        flush=True,
    )
    return identical == killed


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--what", action="append", choices=WORKS, help="this only [all]")
    parser.add_argument("--kills", type=int, default=30, help="of each [30]")
    parser.add_argument("--method", default="mla", help="of the training [mla]")
    parser.add_argument(
        "--seed", type=int, default=random.SystemRandom().randrange(2**31), help="of the moments"
    )
    args = parser.parse_args()
    torch.set_num_threads(1)  # threads do not survive a fork
    good = True
    for name in args.what or WORKS:
        with tempfile.TemporaryDirectory() as scratch:
            os.environ["EQUIPOISE_CACHE"] = str(Path(scratch) / "cache")
            work = WORKS[name](Path(scratch), args.method)
            good = kill_often(work, name, args.kills, args.seed) and good
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
