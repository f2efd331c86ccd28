"""What the documentation shows works: commands parse, settings are real, examples run, every method has its page."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from equipoise.cli.options import read_settings
from equipoise.cli.parser import parse
from equipoise.methods import METHODS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


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
    """Arguments and settings are parsed and validated as when the command runs."""
    monkeypatch.chdir(ROOT)
    words = shlex.split(line, comments=True)[1:]
    found = parse(words)
    if words[0] == "train" and "--resume" not in words and "--config" not in words:
        read_settings(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_is_python(page):
    for block in blocks(page, "python"):
        compile(block, page.name, "exec")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http", "mailto")):
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
    monkeypatch.setattr(METHODS, "_entries", dict(METHODS._entries))  # what an example registers goes again
    load(path).main()
    assert capsys.readouterr().out.strip()


def test_every_method_has_its_page(tmp_path, monkeypatch):
    catalogue = load(ROOT / "docs" / "_ext" / "catalogue.py")
    catalogue.write(tmp_path / "generated")
    for entry in METHODS:
        page = (tmp_path / "generated" / f"method-{entry.name}.md").read_text(encoding="utf-8")
        assert entry.summary[1:] in page
        for option in entry.parameters():
            assert f"`{option}`" in page
