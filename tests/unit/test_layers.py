"""The rules of the architecture, checked on the syntax tree of every file."""

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import equipoise
from equipoise.heads import HEADS
from equipoise.methods import METHODS

ROOT = Path(equipoise.__file__).parent
TREES = {
    path.relative_to(ROOT): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(ROOT.rglob("*.py"))
}

LAYERS = [
    (
        "errors",
        "checks",
        "files",
        "spreadsheet",
        "evaluating",
        "quiet",
        "progress",
        "batch",
        "yaml_text",
        "values",
        "settings",
        "registry",
    ),
    ("data",),
    ("encoders", "heads"),
    ("model",),
    ("training",),
    ("evaluation",),
    ("methods",),
    ("configuration",),
    ("runs",),
    ("comparison", "diagnosis"),
    ("portfolio",),
    ("report",),
    ("analysis",),
    ("studies",),
    ("testing",),
    ("analyse", "api", "cli", "estimator"),
]
DATA_LADDER = [
    "modality",
    "manifest",
    "media",
    "transforms",
    "decoding",
    "table",
    "datasets",
    "locate",
    "assemble",
    "sources",
    "arrays",
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def part(path):
    """The file or package of `equipoise` that a file belongs to."""
    return path.parts[0].removesuffix(".py")


def imported(tree):
    """Every module that a file imports, at its top, inside functions and for types alone."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def parts_imported(tree):
    """The parts of `equipoise` that a file imports."""
    for name in imported(tree):
        package, _, rest = name.partition(".")
        if package == "equipoise" and rest:
            found = rest.split(".")[0]
            if found in LEVEL:
                yield found


def texts(tree):
    """Every string of a file that is not an f-string."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def named(names, known_in, *others):
    """Strings that are one of these names, {(file, name)}, outside the places that may know it."""
    return {
        (path.as_posix(), text)
        for path, tree in TREES.items()
        if part(path) != known_in and not path.as_posix().startswith(others)
        for text in texts(tree)
        if text in names
    }


def test_every_part_has_a_layer():
    assert {part(path) for path in TREES} - {"__init__", "__main__"} == set(LEVEL)


@pytest.mark.parametrize("path", TREES, ids=str)
def test_imports_point_one_way(path):
    """Type-only imports too: they tell a reader what a file is about."""
    if part(path) in ("__init__", "__main__"):
        return
    for found in parts_imported(TREES[path]):
        assert LEVEL[found] <= LEVEL[part(path)], f"{part(path)} imports {found}"


def test_no_two_parts_import_each_other():
    """Parts of one layer may import each other, but not in a circle."""
    graph = {name: set() for name in LEVEL}
    for path, tree in TREES.items():
        if part(path) in LEVEL:
            graph[part(path)] |= set(parts_imported(tree)) - {part(path)}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def rung(module):
    """The place of a module of `equipoise.data` in the ladder; None for any other module."""
    names = module.split(".")
    if names[:2] != ["equipoise", "data"] or len(names) < 3 or names[2] not in DATA_LADDER:
        return None
    return DATA_LADDER.index(names[2])


@pytest.mark.parametrize(
    "path", [p for p in TREES if part(p) == "data" and p != Path("data/__init__.py")], ids=str
)
def test_the_rooms_of_data_are_a_ladder(path):
    """No import goes up the ladder, be it for types alone or inside a function."""
    own = rung(".".join(("equipoise", *path.with_suffix("").parts)))
    assert own is not None, "every room of data/ has its place"
    for name in imported(TREES[path]):
        other = rung(name)
        assert other is None or other <= own, f"{path} imports {name}"


def test_one_file_speaks_to_the_other_ranks():
    guilty = [
        path.as_posix()
        for path, tree in TREES.items()
        if any(name.startswith("torch.distributed") for name in imported(tree))
    ]
    assert guilty == ["training/runtime.py"]


def test_nobody_else_knows_a_method_by_name():
    """Defaults, the demo and a search name one; heads and transforms may share a method's name.

    The weight of a sample or a member, balanced classes and PDF files are not the methods.
    """
    names = set(METHODS.names()) - {"weight", "balanced", "pdf"}
    found = named(names, "methods", "cli/demo.py", "portfolio/", "data/transforms/")
    allowed = {(file, "joint") for file in ("settings.py", "api.py", "registry.py")}
    allowed.add(("registry.py", "concat"))  # the head of that name
    heads = set(HEADS.names())
    own = {(file, name) for file, name in found if file.startswith("heads/") and name in heads}
    assert found - own <= allowed


def test_nobody_else_knows_a_head_by_name():
    """Only the default of a method's entry and the entries of methods name one.

    The shared group, the cosine schedule, weights, balanced classes and PDF files are not heads.
    """
    names = set(HEADS.names()) - {"shared", "cosine", "weight", "balanced", "pdf"}
    found = named(names, "heads", "methods/", "portfolio/", "data/transforms/")
    assert found == {("registry.py", "concat")}


def test_no_modality_is_known_by_name():
    """Kinds of data are known, modalities are not: no code branches on a name a user gives one."""
    for path, tree in TREES.items():
        if part(path) in ("model", "training", "methods", "heads", "evaluation"):
            for text in texts(tree):
                assert not re.fullmatch("audio|visual|video|image|text", text), path
