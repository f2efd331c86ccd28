"""A part of `benchmarks/fuzz.py`: broken input ends in one line, and nothing is silently wrong."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[2] / "benchmarks/fuzz.py"
PARTS = ("manifests", "media", "yaml", "options", "runs", "caches")
SLOW = 1500

pytestmark = pytest.mark.xdist_group("fuzz")  # one worker makes the inputs for all of them


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


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_many_inputs(tmp_path, seed):
    found = outcomes(tmp_path, "--count", str(SLOW), "--seed", str(seed))
    assert len(found) == SLOW
    assert not [line for part in PARTS for line in bad(found, part)]
