"""The architecture's rules, checked on the syntax tree."""

import ast
import re
from pathlib import Path

import pytest

import equipoise
from equipoise.heads import HEADS
from equipoise.methods import METHODS

ROOT = Path(equipoise.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

LAYERS = [
    ("errors", "checks", "files", "evaluating", "quiet", "batch", "settings", "registry"),
    ("data",),
    ("configuration", "encoders", "heads"),
    ("model",),
    ("training",),
    ("evaluation",),
    ("methods",),
    ("runs",),
    ("comparison", "diagnosis"),
    ("report",),
    ("testing",),
    ("api", "cli"),
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def unit(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_part_has_a_layer():
    parts = {unit(path) for path in FILES} - {"__init__", "__main__"}
    assert parts <= set(LEVEL)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path):
    if path.parent == ROOT and path.stem.startswith("__"):
        return
    for name in imported(ast.parse(path.read_text(encoding="utf-8"))):
        parts = name.split(".")
        if parts[0] == "equipoise" and len(parts) > 1 and parts[1] in LEVEL:
            assert LEVEL[parts[1]] <= LEVEL[unit(path)], f"{unit(path)} imports {name}"


def test_one_file_speaks_to_the_other_ranks():
    guilty = [
        str(path.relative_to(ROOT))
        for path in FILES
        if any(
            name.startswith("torch.distributed")
            for name in imported(ast.parse(path.read_text(encoding="utf-8")))
        )
    ]
    assert guilty == ["training/runtime.py"]


def test_nobody_else_knows_a_method_by_name():
    """Only defaults and the demo's choice may name one."""
    allowed = {("settings.py", "joint"), ("api.py", "joint"), ("registry.py", "joint")}
    names = set(METHODS.names())
    found = set()
    for path in FILES:
        where = str(path.relative_to(ROOT))
        if where.startswith(
            ("methods/", "cli/demo.py", "data/transforms/kinds.py", "data/transforms/")
        ):
            continue  # data: transforms are named after the publication whose loader they repeat
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and node.value in names
            ):
                found.add((where, node.value))
    shared = names & set(HEADS.names())  # also a head's name
    assert {
        (where, name)
        for where, name in found
        if not (name in shared and where.startswith("heads/"))
    } <= allowed


def test_no_modality_is_known_by_name():
    """Kinds of data are known, modalities are not: no code branches on what a user calls one."""
    for part in ("model.py", "training", "methods", "heads", "evaluation"):
        for path in [p for p in FILES if unit(p) == part.removesuffix(".py")]:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    assert not re.fullmatch("audio|visual|video|image|text", node.value), (
                        path,
                        node.lineno,
                    )
