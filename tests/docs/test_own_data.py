"""The training commands of README and own-data page, on a table that has their columns."""

from __future__ import annotations

import csv
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from equipoise.cli.options import read_settings
from equipoise.cli.parser import parse_command
from equipoise.runs import run
from equipoise.runs.lengths import settle
from equipoise.training.runtime import Runtime
from videos import tone, write_video

ROOT = Path(__file__).parents[2]
OWN = ROOT / "docs" / "own-data.md"
ROWS = 24


def commands() -> list[str]:
    """The commands that need no pretrained network."""
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "README.md", OWN)).replace(
        "\\\n", " "
    )
    found = re.findall(r"^equipoise train --data clips\.csv .*$", text, re.MULTILINE)
    return [" ".join(line.split()) for line in found if ".weights " not in line]


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A folder with `clips.csv` (sound, picture, video, sentence, numbers) and `mynets`."""
    folder = tmp_path_factory.mktemp("project")
    rng = np.random.default_rng()
    rows = []
    for k in range(ROWS):
        soundfile.write(folder / f"{k}.wav", tone(1.0).T, 16000)
        Image.fromarray(rng.integers(0, 255, (120, 160, 3), dtype=np.uint8)).save(
            folder / f"{k}.png"
        )
        write_video(folder / f"{k}.mp4", frames=15, sound=tone(1.0))
        said, emotion = f"this is sentence {k} of them", ("happy", "sad")[k // 12]
        files = {
            "wav": f"{k}.wav",
            "sound": f"{k}.wav",
            "face": f"{k}.png",
            "mp4": f"{k}.mp4",
            "clip": f"{k}.mp4",
        }
        numbers = {"pulse_mean": 60 + k, "pulse_max": 80 + k, "age": 20 + k % 5 or None}
        numbers |= {"job": ("cook", "smith")[k % 2], "since": f"2020-{1 + k % 12:02d}-03"}
        texts = {"transcript": said, "said": said}
        rows.append(
            {"id": k, **files, **texts, **numbers, "emotion": emotion, "speaker": f"s{k % 12}"}
        )
    with (folder / "clips.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    nets = folder / "mynets"
    nets.mkdir()
    (network,) = re.findall(
        r"```python\n(from torch[^`]*class FaceNet.*?)```",
        OWN.read_text(encoding="utf-8"),
        re.DOTALL,
    )
    (nets / "faces.py").write_text(network)
    return folder


@pytest.mark.parametrize("line", commands())
def test_the_command_builds_a_network_that_reads_the_data(line, project, monkeypatch):
    monkeypatch.chdir(project)
    monkeypatch.syspath_prepend(str(project))
    settings = read_settings(parse_command(shlex.split(line)[1:]))
    method = run.build_method(settings)
    splits = run.load_splits(settings, method)
    settings = settle(settings, len(splits.train))
    model = run.build_model(settings, splits.train.specs, splits.train.classes)
    ctx = run.make_context(settings, splits, model, Runtime())
    method.setup(ctx)
    with torch.no_grad():
        output = model.eval()(splits.train.rows(np.arange(2)))
    assert output.fused.isfinite().all()
    assert len(set(model.head.widths.values())) == 1
