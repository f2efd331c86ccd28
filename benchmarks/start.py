"""Processor time from the start of a command to the first step of a training, and what it imports.

    python benchmarks/start.py [--rounds 5] [--check]

Every start is a process of its own; the best of some rounds is printed, since other load on the
machine only adds to it. `import torch` is what no command that trains can do without.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time

FIRST_STEP = """
import json, os, sys, time
from equipoise.training.context import Context

def stop(ctx, modalities=None):
    names = ("torch._dynamo", "sklearn", "scipy", "pandas")
    heavy = [name for name in names if name in sys.modules]
    sys.__stdout__.write(json.dumps([time.process_time(), heavy]))
    sys.__stdout__.flush()
    os._exit(0)

Context.update = stop
from equipoise.cli import main
main({arguments!r})
"""

STARTS = {
    "import torch": "import time, torch; print([time.process_time(), []])",
    "equipoise --help": (
        "import contextlib, io, time; from equipoise.cli import main\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        "    main(['--help'])\n"
        "print([time.process_time(), []])"
    ),
    "train synthetic, to its first step": FIRST_STEP.format(
        arguments=["train", "synthetic", "--out", "{folder}", "--device", "cpu"]
    ),
}
LIMITS = {"equipoise --help": 0.5, "train synthetic, to its first step": 3.2}
"""Seconds of processor time."""

DEMO_LIMIT = 8.0
"""Seconds until `equipoise demo` shows its first result, by the clock."""

NOISE = 1.15


def measure(code: str) -> tuple[float, list[str]]:
    """Processor seconds of one start, and the heavy libraries that it imported."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", code.replace("{folder}", folder + "/run")],
            capture_output=True,
            text=True,
            check=True,
        )
    seconds, heavy = json.loads(done.stdout.strip().splitlines()[-1].replace("'", '"'))
    return float(seconds), list(heavy)


def demo() -> float:
    """Seconds until the demo prints the first line of results."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "equipoise", "demo", "--out", folder + "/demo"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        for line in process.stdout:
            if "validation fused" in line or "accuracy" in line or " done" in line:
                break
        seconds = time.perf_counter() - start
        process.terminate()
        process.wait()
    return seconds


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--demo", action="store_true", help="time the demo's first result, too")
    parser.add_argument("--check", action="store_true", help="exit 1 above a limit")
    given = parser.parse_args()
    slow = False
    for name, code in STARTS.items():
        found = [measure(code) for _ in range(given.rounds)]
        seconds = min(taken for taken, _ in found)
        limit = LIMITS.get(name)
        slow |= limit is not None and seconds > NOISE * limit
        shown = "" if limit is None else f", limit {limit:g}"
        heavy = ", ".join(found[0][1])
        print(f"{name}: {seconds:.2f} s{shown}{f', imports {heavy}' if heavy else ''}", flush=True)
    if given.demo:
        seconds = demo()
        slow |= seconds > NOISE * DEMO_LIMIT
        print(f"equipoise demo, to its first result: {seconds:.1f} s by the clock, limit 8")
    return int(given.check and slow)


if __name__ == "__main__":
    raise SystemExit(main())
