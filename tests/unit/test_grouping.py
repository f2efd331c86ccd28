"""`make test` keeps the tests of a file on one worker, where they share what is costly.

Fixtures of a module are made once, and what needs much memory runs one after the other.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

MAKEFILE = Path(__file__).parents[2] / "Makefile"
FILE = """
import os
import pytest

@pytest.mark.parametrize("number", range(8))
def test_where(number):
    with open("where", "a") as file:
        file.write(f"{__file__} {os.environ['PYTEST_XDIST_WORKER']}\\n")
"""


def test_a_file_stays_on_one_worker(tmp_path):
    made = next(line for line in MAKEFILE.read_text().splitlines() if line.startswith("PYTEST ="))
    flags = made.partition(" -m pytest ")[2].replace("$(WORKERS)", "2").split()
    for name in "abcd":
        (tmp_path / f"test_{name}.py").write_text(FILE)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *flags, "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "xdist.plugin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    workers = defaultdict(set)
    for line in (tmp_path / "where").read_text().splitlines():
        file, worker = line.split()
        workers[file].add(worker)
    assert len(workers) == 4
    assert all(len(used) == 1 for used in workers.values()), workers
    assert set.union(*workers.values()) == {"gw0", "gw1"}
