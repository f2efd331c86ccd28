"""Feed broken and odd inputs to the commands, and count what they do.

    python benchmarks/fuzz.py --count 3000 --seed 0
    python benchmarks/fuzz.py --count 500 --part media
    python benchmarks/fuzz.py --only media:17 --keep

Each input goes through the front door, the command line or `equipoise.predict`, in a worker process
that is replaced when it hangs or dies. Its outcome is one of

* right: accepted, and the reference of the part agrees with the result;
* one line: refused with a non-zero exit code and one line that names what is wrong;
* traceback, hang: never allowed;
* wrong: accepted with another result than the reference, or refused in an unfit way: several lines,
  control characters, noise of a library, files half-written.

An input follows from seed, part and number alone, so that `--only PART:NUMBER` repeats it. The
command ends with 1 if any outcome is a traceback, a hang or wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from fuzzing import caches, manifests, media, options, runs, yamls  # noqa: F401  they register
from fuzzing.case import OUTCOMES, Outcome
from fuzzing.part import PARTS, Room
from fuzzing.workers import Worker

BAD = OUTCOMES[2:]
EVERY = 300
"""Inputs between two lines of progress."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=3000, help="inputs in total [3000]")
    parser.add_argument("--seed", type=int, default=0, help="of all inputs [0]")
    parser.add_argument("--part", action="append", choices=PARTS, help="this part only")
    parser.add_argument("--only", action="append", metavar="PART:N", help="this input only")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds for one input [60]")
    parser.add_argument("--keep", action="store_true", help="keep the files, and say where")
    parser.add_argument("--list", action="store_true", help="print every input and its outcome")
    parser.add_argument("--json", metavar="FILE", help="write all outcomes")
    args = parser.parse_args()
    torch.set_num_threads(1)
    folder = Path(tempfile.mkdtemp(prefix="fuzz-")).resolve()
    try:
        return _fuzz(args, Room(folder))
    finally:
        if not args.keep:
            shutil.rmtree(folder, ignore_errors=True)


def _fuzz(args: argparse.Namespace, room: Room) -> int:
    os.environ["EQUIPOISE_CACHE"] = str(room / "cache")
    os.environ["HOME"] = str(room.folder)
    inputs = _inputs(args)
    report = Path(args.json).absolute() if args.json else None
    os.chdir(room.folder)  # where the commands that make the seed files may write
    for part in dict.fromkeys(part for part, _ in inputs):
        PARTS[part].prepare(room)
    worker = Worker(room, args.seed, args.limit, args.keep)
    outcomes: list[tuple[str, int, Outcome]] = []
    started = time.monotonic()
    for part, number in inputs:
        outcome = worker.run(part, number)
        outcomes.append((part, number, outcome))
        if args.list or args.only or outcome.kind in BAD:
            _show(part, number, outcome, whole=bool(args.only))
        if len(outcomes) % EVERY == 0:
            _print_progress(outcomes, len(inputs), time.monotonic() - started)
    worker.stop()
    _print_table(outcomes)
    seconds = time.monotonic() - started
    print(f"{len(outcomes)} inputs, seed {args.seed}, {seconds:.0f} s")
    if args.keep:
        print(f"files: {room.folder}")
    if report is not None:
        rows = [{"part": p, "number": n, **vars(o)} for p, n, o in outcomes]
        report.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return int(any(outcome.kind in BAD for _, _, outcome in outcomes))


def _inputs(args: argparse.Namespace) -> list[tuple[str, int]]:
    """(part, number) of all inputs."""
    if args.only:
        pairs = [text.split(":") for text in args.only]
        return [(part, int(number)) for part, number in pairs]
    chosen = args.part or list(PARTS)
    total = sum(PARTS[part].weight for part in chosen)
    counts = {part: args.count * PARTS[part].weight // total for part in chosen}
    counts[chosen[0]] += args.count - sum(counts.values())
    return [(part, number) for part in chosen for number in range(counts[part])]


def _show(part: str, number: int, outcome: Outcome, whole: bool) -> None:
    text = outcome.text.encode("unicode_escape").decode()
    about = outcome.description.encode("unicode_escape").decode()
    print(f"{outcome.kind:<10} {part}:{number}  {about[:200]}\n           {text[:600]}", flush=True)
    if whole:
        print(outcome.detail.encode("utf-8", "backslashreplace").decode())


def _print_progress(outcomes: list[tuple[str, int, Outcome]], total: int, seconds: float) -> None:
    bad = sum(outcome.kind in BAD for _, _, outcome in outcomes)
    text = f"{len(outcomes)} of {total} inputs, {bad} of them bad, {seconds:.0f} s"
    print(text, file=sys.stderr, flush=True)


def _print_table(outcomes: list[tuple[str, int, Outcome]]) -> None:
    counts = Counter((part, outcome.kind) for part, _, outcome in outcomes)
    parts = list(dict.fromkeys(part for part, _, _ in outcomes))
    print("".join(f"{title:>11}" for title in ("part", "inputs", *OUTCOMES)))
    for part in [*parts, "all"]:
        chosen = parts if part == "all" else [part]
        numbers = [sum(counts[p, kind] for p in chosen) for kind in OUTCOMES]
        print("".join(f"{cell!s:>11}" for cell in (part, sum(numbers), *numbers)))


if __name__ == "__main__":
    sys.exit(main())
