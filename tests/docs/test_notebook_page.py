"""The page for notebooks runs from its first line to its last."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "notebook.md"


def test_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "page"}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    for block in blocks:
        exec(compile(block, PAGE.name, "exec"), names)
    assert len(blocks) >= 4
    assert len(names["losses"]) == 2
    again = names["again"]
    assert again.evaluate() == again.result["test"]
    assert again.evaluate(names["rows"])["count"] == 80
    assert names["model"].score(names["X"], names["y"]) > 0.8
    assert (tmp_path / "runs/animals/report/index.html").is_file()
