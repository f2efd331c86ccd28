"""Signals, closed pipes and full disks: one line each, the right exit code, nothing damaged."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from equipoise.errors import LostRankError
from equipoise.runs.interrupt import Interrupt
from equipoise.training.runtime import answered

LONG = "train --data synthetic --data.options.samples 4000 --epochs 5000 --width 8"
DELAYS = (0.3, 1.0, 2.0)
"""Seconds after which a process still imports what it needs."""


def start(line, folder, *how):
    return subprocess.Popen(
        [sys.executable, *(how or ("-m", "equipoise")), *line.split()],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(path, process):
    end = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.1)


def test_an_interrupt_while_modules_load_is_one_line(tmp_path):
    """All processes start at once, so that nobody waits for each delay in turn."""
    code = "import equipoise; print(flush=True); from equipoise.cli import main; exit(main())"
    started = [
        (start(f"{LONG} --out run-{number}-{delay}", tmp_path, "-c", code), number, delay)
        for delay in DELAYS
        for number in (signal.SIGINT, signal.SIGTERM)
    ]
    for process, _, _ in started:
        assert process.stdout.readline() == "\n"
    began = time.monotonic()
    for process, number, delay in started:
        time.sleep(max(0.0, began + delay - time.monotonic()))
        process.send_signal(number)
    for process, number, _ in started:
        _, err = process.communicate(timeout=120)
        assert "Traceback" not in err
        # Where the interrupt met code that a library runs as a text, Python itself ends by SIGINT,
        # which a shell shows as 130, too.
        assert process.returncode in (130, -number, -signal.SIGINT)
        lines = [line for line in err.splitlines() if "interrupted" in line or "stopped" in line]
        assert lines or process.returncode < 0


def test_one_interrupt_ends_with_a_checkpoint_and_two_end_at_once(tmp_path):
    process = start(f"{LONG} --out run", tmp_path)
    wait_for(tmp_path / "run/metrics.jsonl", process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    lines = [line for line in err.splitlines() if line.startswith("equipoise:")]
    assert process.returncode == 130
    assert lines[0].startswith("equipoise: stopping after this step")
    assert lines[1].endswith("go on with: equipoise train --resume run")
    again = start("train --resume run", tmp_path)
    before = (tmp_path / "run/metrics.jsonl").stat().st_mtime_ns
    end = time.monotonic() + 120
    while (tmp_path / "run/metrics.jsonl").stat().st_mtime_ns == before:
        assert time.monotonic() < end
        time.sleep(0.1)
    again.send_signal(signal.SIGINT)
    again.send_signal(signal.SIGINT)
    _, err = again.communicate(timeout=60)
    assert again.returncode == 130
    assert "Traceback" not in err
    for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines():
        json.loads(line)


def test_a_second_signal_says_how_to_go_on(capfd):
    # A shell starts its background jobs with SIGINT ignored, and tests may be such a job.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def ask_twice():
        with Interrupt("go on so") as interrupt:
            os.kill(os.getpid(), signal.SIGINT)
            assert interrupt.requested
            assert "stopping after this step" in capfd.readouterr().err
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)

    try:
        with pytest.raises(KeyboardInterrupt, match="ended at once; go on so"):
            ask_twice()
    finally:
        signal.signal(signal.SIGINT, before)


def shell(command, folder):
    return subprocess.run(
        ["bash", "-c", command.replace("EQ", f"{sys.executable} -m equipoise")],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_reader_that_is_gone(tmp_path):
    done = shell("set -o pipefail; EQ list methods | head -1", tmp_path)
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is full")
def test_a_full_standard_output(tmp_path):
    done = shell("EQ list methods > /dev/full", tmp_path)
    assert (done.returncode, done.stderr) == (
        1,
        "equipoise: standard output or a temporary file: No space left on device\n",
    )


def test_a_closed_standard_output(tmp_path):
    for line in ("list methods", "train --print_config"):
        done = shell(f"EQ {line} >&-", tmp_path)
        assert (done.returncode, done.stderr) == (0, "")


def test_a_full_disk_under_predict(command, refuse, rows, write, declared, tmp_path, monkeypatch):
    write(rows)
    assert command(f"train --data rows.csv {declared} --out run").code == 0

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    refuse("predict run --data rows.csv --out p.csv", 1, "p.csv", "No space left on device")
    refuse(f"train --data rows.csv {declared} --out other", 1, "other", "No space left on device")


def test_a_full_disk_in_a_training(command, monkeypatch):
    """Whatever file of the run is the first that does not fit is named."""
    write = os.fsync

    def full(descriptor):
        name = os.readlink(f"/proc/self/fd/{descriptor}")
        if name.endswith("metrics.jsonl"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    answer = command("train TINY --out run")
    assert answer.code == 1
    assert answer.err.splitlines()[-1] == "equipoise: run/metrics.jsonl: No space left on device"


def test_an_early_stop_is_said(command):
    answer = command("train TINY --epochs 30 --patience 1 --optimiser.lr 0.5 --out run")
    assert answer.code == 0
    lines = [line for line in answer.err.splitlines() if "stopped early" in line]
    assert len(lines) == 1, answer.err
    assert re.fullmatch(
        r"stopped early after epoch (\d+) of 30; epoch \d+ is the best on validation and is kept",
        lines[0],
    )
    assert "stopped early" not in command("train TINY --out whole").err


def test_a_failed_exchange_is_a_lost_rank():
    with pytest.raises(LostRankError, match="ended or stopped answering"), answered():
        raise RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer")


def rank_one(folder):
    """The process id of the second rank of the training in that folder."""
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{number}/environ", encoding="utf-8") as file:
                own = set(file.read().split("\0"))
            place = os.readlink(f"/proc/{number}/cwd")
        except (OSError, UnicodeDecodeError):
            continue
        if {"RANK=1", "LOCAL_RANK=1"} <= own and place == str(folder):
            return int(number)
    raise AssertionError("no second rank")


@pytest.mark.skipif(
    not os.path.exists("/proc/self/environ") or (os.cpu_count() or 1) < 2, reason="needs two ranks"
)
@pytest.mark.parametrize(
    ("number", "words"),
    [
        (signal.SIGKILL, "rank 1 was ended by SIGKILL"),
        (signal.SIGSTOP, "rank 1 gave no sign of life for 5 s"),
    ],
)
def test_a_lost_rank_is_one_line(tmp_path, number, words):
    process = start(f"{LONG} --devices 2 --rank-timeout 5 --out run", tmp_path)
    wait_for(tmp_path / "run/metrics.jsonl", process)
    os.kill(rank_one(tmp_path), number)
    _, err = process.communicate(timeout=120)
    said = [line for line in err.splitlines() if "rank" in line]
    assert "Traceback" not in err
    assert process.returncode == 1
    assert len(said) == 1, err
    assert said[0].startswith(f"equipoise: {words}")
    assert said[0].endswith("go on with: equipoise train --resume run --devices 2")
