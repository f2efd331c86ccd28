"""Two trainings never share a folder, not even after the process that started them was killed."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

import equipoise
from equipoise.comparison import cell as cells_module
from equipoise.comparison.plan_input import plan_from
from equipoise.comparison.run import run_comparison
from equipoise.comparison.workers import run_cells
from equipoise.errors import Interrupted, RunError
from equipoise.runs.lock import hold_folder

SHARED = {
    "data": {"source": "synthetic", "options": {"samples": 120}},
    "epochs": 2,
    "width": 8,
    "seeds": [0],
}
BUSY = "another process trains in this folder"


@pytest.fixture
def plan():
    return plan_from({**SHARED, "methods": {"joint": None}})


def test_two_comparisons_do_not_share_a_folder(tmp_path, plan):
    with hold_folder(tmp_path), pytest.raises(RunError, match=BUSY):
        run_comparison(plan, tmp_path)
    assert not (tmp_path / "bench.yaml").exists()
    assert [outcome.status for outcome in run_comparison(plan, tmp_path)] == ["done"]


def test_a_cell_that_trains_elsewhere_fails_and_is_left_alone(tmp_path, plan, monkeypatch):
    train = cells_module.run.train

    def interrupted(line):
        raise Interrupted("by a signal")

    with monkeypatch.context() as stopped:
        stopped.setattr(
            cells_module.run,
            "train",
            lambda *given, **options: train(*given, **{**options, "callbacks": [interrupted]}),
        )
        with pytest.raises(Interrupted):
            run_comparison(plan, tmp_path)
    cell = tmp_path / "cells/joint/seed-0"
    before = {path: path.read_bytes() for path in cell.rglob("*") if path.is_file()}
    with hold_folder(cell):
        assert BUSY in run_comparison(plan, tmp_path)[0].error
    assert {path: path.read_bytes() for path in cell.rglob("*") if path.is_file()} == before
    assert [outcome.status for outcome in run_comparison(plan, tmp_path)] == ["done"]


def test_what_cannot_be_sent_to_a_worker_fails_with_the_reason(tmp_path):
    label = [f"c{row % 2}" for row in range(40)]
    frame = pd.DataFrame({"x": np.arange(40.0), "y": np.ones(40), "label": label})
    frame["idle"] = [(n for n in "ab") for _ in frame.index]  # no generator can be pickled
    options = {
        "modality": ["a=x:vector", "b=y:vector"],
        "epochs": 1,
        "out": tmp_path / "out",
        "jobs": 2,
    }
    with pytest.raises(
        RunError, match=r"every cell failed.*cannot be sent to a worker process.*use 1 job"
    ):
        equipoise.compare(frame, ["joint"], seeds=2, **options)


@pytest.mark.slow
def test_workers_stop_when_nobody_waits_for_them(tmp_path):
    plan = plan_from({**SHARED, "methods": {"joint": None}, "seeds": list(range(20))})
    outcomes = run_cells(list(plan.cells(tmp_path)), jobs=2)
    assert next(outcomes).status == "done"
    outcomes.close()
    wait_until(lambda: not multiprocessing.active_children(), seconds=60)
    assert len(list(tmp_path.rglob("result.json"))) < 20


@pytest.mark.slow
def test_workers_end_with_the_process_that_started_them(tmp_path):
    """It is killed while they train; each leaves a checkpoint and releases its folder."""
    line = (
        "bench --data synthetic --data.options.samples 120 --width 8 --epochs 3000 "
        "--methods joint --seeds 0,1"
    )
    started = subprocess.Popen(
        [sys.executable, "-m", "equipoise", *line.split(), "--jobs", "2", "--out", str(tmp_path)],
        stderr=subprocess.PIPE,
        text=True,
    )
    folders = [tmp_path / f"cells/joint/seed-{seed}" for seed in (0, 1)]
    try:
        wait_until(
            lambda: (
                started.poll() is not None
                or all(any(f.glob("checkpoints/epoch-*")) for f in folders)
            )
        )
        assert started.poll() is None, started.stderr.read()
    finally:
        os.kill(started.pid, signal.SIGKILL)
        started.wait()
    wait_until(lambda: all(map(free, folders)), seconds=20)
    assert "Traceback" not in started.stderr.read()
    assert all(any(f.glob("checkpoints/epoch-*")) for f in folders)


def free(folder):
    try:
        with hold_folder(folder):
            return True
    except RunError:
        return False


def wait_until(happened, seconds=120):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.05)
