"""Packages made of the code in a page, processes that run them, and the generated pages."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import pytest

from equipoise import cli
from equipoise.data.datasets import DATASETS
from equipoise.encoders import ENCODERS
from equipoise.heads import HEADS
from equipoise.methods import METHODS

DOCS = Path(__file__).parents[2] / "docs"
NAMED = re.compile(r"```(?:python|toml)\n# (\S+)\n(.*?)```", re.DOTALL)
"""A block of code whose first line is the name of its file."""


class Project:
    """A folder with the files of a page, installed by its pyproject.toml like any package."""

    def __init__(self, page: str, folder: Path) -> None:
        self.folder = folder
        for name, code in NAMED.findall((DOCS / page).read_text(encoding="utf-8")):
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"# {name}\n{code}", encoding="utf-8")
        described = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))[
            "project"
        ]
        self.install(described["name"], described["entry-points"])

    def install(self, name: str, groups: dict[str, dict[str, str]]) -> None:
        facts = self.folder / f"{name}-1.0.dist-info"
        facts.mkdir()
        (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = [
            f"[{g}]\n" + "\n".join(f"{n} = {v}" for n, v in points.items())
            for g, points in groups.items()
        ]
        (facts / "entry_points.txt").write_text("\n".join(lines))

    def python(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run Python in the folder; fail with its output unless it ends with this exit code."""
        environment = {**os.environ, "PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def inside(self, function: Callable[[], int | None]) -> None:
        """Call a function in a fork of this process, in the folder; fail unless it returns 0.

        The package is found by its entry points, as by a new process, and torch is imported: that
        takes longer than most of what is called.
        """
        output = self.folder / "output"
        child = os.fork()
        if not child:
            self._stay(function, output)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0, output.read_text(encoding="utf-8")

    def _stay(self, function: Callable[[], int | None], output: Path) -> NoReturn:
        """The life of the fork, which must not return into the tests of its parent."""
        code = 1
        try:
            with output.open("wb") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            sys.stdout = sys.stderr = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            os.chdir(self.folder)
            sys.path.insert(0, str(self.folder))
            for registry in (DATASETS, ENCODERS, HEADS, METHODS):
                vars(registry).pop("_entries", None)
            code = function() or 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)

    def test_and_train(self, *arguments: str) -> None:
        """Run the tests of the page, then train."""
        line = ["train", "--device", "cpu", "--epochs", "1", "--out", "run", *arguments]
        alone = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
        self.inside(lambda: pytest.main(alone) or cli.main(line))

    def equipoise(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        return self.python("-m", "equipoise", *arguments, code=code)


@pytest.fixture
def project(tmp_path):
    """project(page): the files of a page in a new folder."""
    return lambda page: Project(page, tmp_path)


@pytest.fixture(scope="session")
def catalogue():
    """The package that writes the generated pages, importable with the other Sphinx extensions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS / "_ext"))
        yield import_module("catalogue")


@pytest.fixture(scope="session")
def pages(catalogue, tmp_path_factory):
    """{page: text}, written over what an older version left."""
    folder = tmp_path_factory.mktemp("docs") / "generated"
    folder.mkdir()
    (folder / "method-gone.md").write_text("# gone")
    catalogue.write(folder)
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
