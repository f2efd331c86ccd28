import csv
from dataclasses import dataclass

import numpy as np
import pytest

from equipoise.cli import main


@dataclass
class Answer:
    code: int
    out: str
    err: str


@pytest.fixture
def tiny():
    """Data and settings for a run of less than a second; `TINY` in a command line stands for it."""
    return "--data synthetic --data.options.samples 120 --epochs 2 --width 8"


@pytest.fixture
def command(capsys, monkeypatch, tmp_path, tiny):
    """Runs a command line inside an empty folder, in this process."""
    monkeypatch.chdir(tmp_path)

    def run(line: str) -> Answer:
        capsys.readouterr()
        code = main(line.replace("TINY", tiny).split())
        return Answer(code, *capsys.readouterr())

    return run


@pytest.fixture
def refuse(command, tmp_path):
    """Runs a command that must fail: one line on stderr, nothing on stdout, nothing written."""

    def run(line: str, code: int, *words: str) -> None:
        before = sorted(tmp_path.rglob("*"))
        answer = command(line)
        assert answer.code == code, answer
        assert answer.out == ""
        assert answer.err.startswith("equipoise: ")
        assert answer.err.count("\n") == 1, answer.err
        for word in words:
            assert word in answer.err, answer.err
        assert sorted(tmp_path.rglob("*")) == before

    return run


@pytest.fixture
def rows():
    """60 rows of a manifest: two vectors, three classes, ids."""
    rng = np.random.default_rng()
    return [
        {
            "id": f"row {k}",
            **{f"x{i}": f"{rng.normal() + (k % 3 == i):.4f}" for i in range(3)},
            **{f"y{i}": f"{rng.normal() - (k % 3 == i):.4f}" for i in range(2)},
            "label": f"class {'abc'[k % 3]}",
        }
        for k in range(60)
    ]


@pytest.fixture
def write(tmp_path):
    """Writes rows as a CSV manifest in the folder the commands run in."""

    def save(rows, name="rows.csv"):
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return name

    return save


@pytest.fixture
def declared():
    """The manifest's columns and settings small enough for seconds."""
    return (
        "--modality first=x0,x1,x2:vector --modality second=y0,y1:vector --id id "
        "--epochs 2 --width 8"
    )
