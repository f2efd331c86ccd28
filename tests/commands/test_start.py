"""Commands that need a process of their own."""

import json
import signal
import subprocess
import sys
import time

import pytest

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


def start(line, folder, **options):
    command = [sys.executable, "-m", "equipoise", *line.split()]
    return subprocess.Popen(
        command, cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_checkpoints_and_the_resumed_run_ends_the_same(number, command, tiny, tmp_path):
    settings = f"{tiny} --epochs 20"
    process = start(f"train {settings} --out stopped", tmp_path)
    while not (tmp_path / "stopped/metrics.jsonl").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    assert err.splitlines()[-1].endswith("equipoise train --resume stopped")
    resumed = command("train --resume stopped --json")
    assert resumed.code == 0, resumed.err
    whole = command(f"train {settings} --out whole --json")
    assert json.loads(resumed.out)["test"] == json.loads(whole.out)["test"]


def test_two_devices_print_one_result(tiny, tmp_path):
    process = start(f"train {tiny} --devices 2 --out two --json", tmp_path)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert json.loads(out)["folder"] == "two"
    epochs = [line.split()[1] for line in err.splitlines() if line.startswith("epoch ")]
    assert epochs == ["1/2", "2/2"]


def test_a_warning_of_a_worker_is_a_line_of_the_command(tmp_path):
    settings = "--epochs 6 --patience 0 --optimiser.schedule none --optimiser.average 0"
    line = f"bench --data synthetic --methods joint --seeds 0,1 --width 8 --jobs 2 {settings}"
    command = [sys.executable, "-m", "equipoise", *line.split(), "--out", "both"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    said = [line for line in done.stderr.splitlines() if "still falling" in line]
    assert said
    assert all(line.startswith("equipoise: warning: the last of 6 epochs") for line in said)
    assert "monitor.conclude()" not in done.stderr
