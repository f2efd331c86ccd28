"""The documentation works: commands parse, settings exist, examples and the tutorial run."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from equipoise.cli.options import read_settings
from equipoise.cli.parser import parse_command
from equipoise.methods import METHODS

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "docs" / "tutorial.ipynb",
]


def text_of(page: Path) -> str:
    """The Markdown of a page, or of the cells of a notebook."""
    if page.suffix == ".md":
        return page.read_text(encoding="utf-8")
    return "\n\n".join(
        c.source for c in nbformat.read(page, as_version=4).cells if c.cell_type == "markdown"
    )


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text_of(page), re.DOTALL)


def commands() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        for block in blocks(page, "bash"):
            for line in block.replace("\\\n", " ").splitlines():
                if line.strip().startswith("equipoise "):
                    found.append((page.name, line.strip()))
    return found


@pytest.mark.parametrize(("page", "line"), commands())
def test_commands_are_understood(page, line, monkeypatch):
    """Arguments and settings are parsed and validated in the same way as when the command runs."""
    monkeypatch.chdir(ROOT)
    words = shlex.split(line, comments=True)[1:]
    found = parse_command(words)
    if words[0] == "train" and "--resume" not in words and "--config" not in words:
        read_settings(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_is_python(page):
    for block in blocks(page, "python"):
        compile(block, page.name, "exec")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    prose = re.sub(r"```.*?```", "", text_of(page), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)[^)\s]*\)", prose):
        if not target.startswith(("http", "mailto", "generated/")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def load(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", sorted(p.name for p in (ROOT / "examples").glob("*.py")))
def test_examples_run(name, tmp_path, monkeypatch, capsys):
    path = ROOT / "examples" / name
    assert len(path.read_text(encoding="utf-8").splitlines()) < 70
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(path.parent))
    monkeypatch.setattr(METHODS, "_entries", dict(METHODS._entries))  # examples register methods
    load(path).main()
    assert capsys.readouterr().out.strip()


def test_the_tutorial_runs(tmp_path):
    """The notebook runs, and is stored without outputs and without paths of a machine.

    Here it runs on few rows; the documentation is built with all.
    """
    path = ROOT / "docs" / "tutorial.ipynb"
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert not re.search(r"/(home|tmp|Users|work)/", path.read_text(encoding="utf-8"))
    for long, short in {"range(800)": "range(200)", "epochs=8": "epochs=2"}.items():
        (cell,) = [cell for cell in code if long in cell.source]
        cell.source = cell.source.replace(long, short)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert not list(tmp_path.iterdir())  # it makes all files in a temporary folder of its own
    shown = "".join(
        output["data"]["text/plain"] for cell in code for output in cell.outputs if "data" in output
    )
    for name in (
        "joint",
        "mla",
        "fused",
        "sound",
        "picture",
        "said",
        "pulse",
        "prediction",
        "no picture",
    ):
        assert name in shown
