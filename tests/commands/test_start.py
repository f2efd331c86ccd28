"""Commands that need a process of their own."""

import json
import os
import signal
import subprocess
import sys

import pytest

from equipoise.cli import main
from equipoise.runs.monitor import Monitor

HEAVY = ("torch", "sklearn", "pandas", "matplotlib", "scipy", "numpy")


LISTS = ["list methods", "list datasets", "list encoders", "list presets"]


@pytest.mark.parametrize("line", ["--help", "train --help", *LISTS])
def test_help_and_lists_import_nothing_heavy(line):
    code = (
        "import sys\nfrom equipoise.cli import main\n"
        f"assert main({line.split()!r}) == 0\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_checkpoints_and_the_resumed_run_ends_the_same(number, command, tiny, monkeypatch):
    """In this process, where the signal comes at one moment; `test_signals.py` starts others."""
    record = Monitor.record

    def record_and_signal(monitor):
        record(monitor)
        if monitor.folder.name == "stopped" and monitor.ctx.position.epoch == 2:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(Monitor, "record", record_and_signal)
    settings = f"{tiny} --epochs 5"
    stopped = command(f"train {settings} --out stopped")
    assert (stopped.code, stopped.out) == (130, "")
    assert "Traceback" not in stopped.err
    assert stopped.err.splitlines()[-1].endswith("equipoise train --resume stopped")
    resumed = command("train --resume stopped --json")
    assert resumed.code == 0, resumed.err
    whole = command(f"train {settings} --out whole --json")
    assert json.loads(resumed.out)["test"] == json.loads(whole.out)["test"]


def test_two_devices_print_one_result(tiny, tmp_path):
    line = f"train {tiny} --devices 2 --out two --json"
    command = [sys.executable, "-m", "equipoise", *line.split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["folder"] == "two"
    epochs = [line.split()[1] for line in done.stderr.splitlines() if line.startswith("epoch ")]
    assert epochs == ["1/2", "2/2"]


def test_a_warning_of_a_worker_is_a_line_of_the_command(capfd, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    settings = "--epochs 6 --patience 0 --optimiser.schedule none --optimiser.average 0"
    line = f"bench --data synthetic --methods joint --seeds 0,1 --width 8 --jobs 2 {settings}"
    assert main([*line.split(), "--out", "both"]) == 0
    err = capfd.readouterr().err
    said = [line for line in err.splitlines() if "still falling" in line]
    assert said
    assert all(line.startswith("equipoise: warning: the last of 6 epochs") for line in said)
    assert "monitor.conclude()" not in err
