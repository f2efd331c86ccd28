"""A part of `benchmarks/fuzz.py`: broken input ends in one line, and nothing is silently wrong."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[2] / "benchmarks/fuzz.py"
PARTS = ("manifests", "media", "yaml", "options", "runs", "caches")
SLOW = 1500


def outcomes(folder, *words):
    path = folder / "outcomes.json"
    line = [sys.executable, str(FUZZ), *words, "--json", str(path)]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    assert path.is_file(), done.stdout + done.stderr
    return json.loads(path.read_text(encoding="utf-8"))


def bad(found, part):
    return [
        f"{row['kind']} {part}:{row['number']} {row['description']}: {row['text']}"
        for row in found
        if row["part"] == part and row["kind"] not in ("right", "one line")
    ]


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    return outcomes(tmp_path_factory.mktemp("fuzz"), "--count", "300", "--seed", "0")


@pytest.mark.parametrize("part", PARTS)
def test_a_few_inputs(few, part):
    assert sum(row["part"] == part for row in few) >= 10
    assert not bad(few, part)


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for the worker")
def test_a_hanging_worker_ends_with_a_killed_fuzz_command(tmp_path):
    reader, writer = os.pipe()  # held open by every process of the command
    line = [sys.executable, str(FUZZ), "--count", "100000", "--part", "yaml"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = subprocess.Popen(line, stdout=writer, stderr=writer, env=environment)
    os.close(writer)
    try:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("fuzz-*/cases")):
            assert command.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        workers = Path(f"/proc/{command.pid}/task/{command.pid}/children").read_text().split()
        os.kill(int(workers[0]), signal.SIGSTOP)
    finally:
        command.kill()
        command.wait()
    try:
        while select.select([reader], [], [], 10)[0]:
            if not os.read(reader, 1 << 16):
                return
        pytest.fail("the worker outlives the command")
    finally:
        os.close(reader)
        shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_many_inputs(tmp_path, seed):
    found = outcomes(tmp_path, "--count", str(SLOW), "--seed", str(seed))
    assert len(found) == SLOW
    assert not [line for part in PARTS for line in bad(found, part)]
