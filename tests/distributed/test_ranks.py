"""Two ranks answer like one process, whatever is asked of the context."""

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from equipoise.testing.world import farthest, fresh_seed
from equipoise.training.runtime import Runtime

RANKS = 2
SCRIPT = Path(__file__).with_name("cases.py")


def load_cases():
    spec = importlib.util.spec_from_file_location("rank_cases", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


cases = load_cases()


def run_ranks(*arguments):
    """Run Python with these arguments as two ranks of one training; both must end well."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    shared = {"WORLD_SIZE": str(RANKS), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    processes = [
        subprocess.Popen(
            [sys.executable, *arguments],
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(RANKS)
    ]
    try:
        said = [process.communicate(timeout=120)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert all(process.returncode == 0 for process in processes), "\n".join(said)


@pytest.fixture(scope="module")
def seed_of_all():
    return fresh_seed()


@pytest.fixture(scope="module")
def answers(tmp_path_factory, seed_of_all):
    """The answers of both ranks, {case: [of rank 0, of rank 1]}; the processes start once."""
    folder = tmp_path_factory.mktemp("ranks")
    run_ranks(str(SCRIPT), str(folder), str(seed_of_all))
    return {
        name: [torch.load(folder / f"{name}-{rank}.pt", weights_only=True) for rank in range(RANKS)]
        for name in cases.CASES
    }


@pytest.mark.parametrize("name", cases.CASES)
def test_two_ranks_answer_like_one_process(answers, seed_of_all, name):
    alone = cases.answer(name, Runtime(), seed_of_all)
    close = {"rtol": 1e-4, "atol": 1e-5} if name == "predictions" else {"rtol": 1e-6, "atol": 1e-9}
    assert any(value.abs().sum() > 0 for value in alone.values()), "all zeros prove nothing"
    for found in answers[name]:
        assert found.keys() == alone.keys()
        for part, value in alone.items():
            torch.testing.assert_close(
                found[part], value, **close, msg=lambda m, part=part: f"{part}: {m}"
            )


def equipoise(*arguments, **options):
    command = [sys.executable, "-m", "equipoise", *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def weights(folder):
    newest = sorted((folder / "checkpoints").glob("epoch-*"))[-1]
    return {**load_file(newest / "model.safetensors"), **load_file(newest / "method.safetensors")}


def line(method, folder, devices, epochs=2):
    """A training of encoders without dropout, whose draws differ between ranks."""
    return [
        *(
            "train",
            "--data",
            "synthetic",
            "--data.options.samples",
            "240",
            "--missing=0.3",
            "--method",
            method,
        ),
        *(
            "--width",
            "8",
            "--epochs",
            str(epochs),
            "--batch_size",
            "15",
            "--device",
            "cpu",
            "--json",
        ),
        *("--encoder.easy", "mlp", "--encoder.hard", "mlp"),
        *(f"--devices={devices}", "--out", str(folder)),
    ]


@pytest.mark.slow
def test_a_run_on_two_devices_is_the_run_on_one(tmp_path):
    results = []
    for devices in (1, 2):
        process = equipoise(*line("mla", tmp_path / str(devices), devices))
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        results.append(json.loads(out))
    assert farthest(weights(tmp_path / "1"), weights(tmp_path / "2")) < 1e-5
    for part in ("validation", "test"):
        assert results[0][part]["fused"]["accuracy"] == pytest.approx(
            results[1][part]["fused"]["accuracy"], abs=0.03
        )
    assert results[0]["best_epoch"] == results[1]["best_epoch"]


@pytest.mark.slow
def test_a_signal_stops_two_ranks_and_the_run_goes_on(tmp_path):
    whole = equipoise(*line("mla", tmp_path / "whole", 2, epochs=15))
    assert whole.wait(timeout=300) == 0
    stopped = equipoise(*line("mla", tmp_path / "stopped", 2, epochs=15))
    while not list((tmp_path / "stopped").glob("checkpoints/epoch-00001-*")):
        assert stopped.poll() is None, stopped.communicate()[1]
        time.sleep(0.01)
    stopped.send_signal(signal.SIGTERM)
    assert stopped.wait(timeout=60) == 130
    assert not (tmp_path / "stopped" / "result.json").exists()
    resumed = equipoise("train", "--resume", str(tmp_path / "stopped"), "--devices=2")
    assert resumed.wait(timeout=300) == 0, resumed.communicate()[1]
    assert farthest(weights(tmp_path / "whole"), weights(tmp_path / "stopped")) == 0


STOPPED = """
import sys
from equipoise.runs.run import train
from equipoise.settings import Settings
from equipoise.training import runtime

settings = {"data": {"source": "synthetic", "options": {"samples": 120}}, "method": "mla"}
settings |= {"width": 8, "epochs": 6, "batch_size": 30, "device": "cpu"}
done = train(
    Settings.from_dict(settings), sys.argv[1], callbacks=[lambda line: line["epoch"] == 1]
)
runtime.stop()
"""


@pytest.mark.slow
def test_a_callback_stops_all_ranks_after_the_same_epoch(tmp_path):
    """Only the first rank calls it. A rank that trained on would wait for the others for ever."""
    run_ranks("-c", STOPPED, str(tmp_path / "run"))
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["epochs"] == 2
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 2
