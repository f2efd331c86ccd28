"""A miniature download, and a preparer run on it."""

import csv

import pytest

from equipoise.spreadsheet import unprotect


@pytest.fixture
def root(tmp_path):
    """Folder of the download."""
    (tmp_path / "download").mkdir()
    return tmp_path / "download"


@pytest.fixture
def touch(root):
    """Make stand-ins for files of the download, each with a content of its own."""

    def make(*names):
        for name in names:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode())

    return make


@pytest.fixture
def prepared(tmp_path):
    """Run a preparer: what it tells, and the rows of its manifest by id."""
    runs = []

    def run(prepare, **options):
        out = tmp_path / f"out{len(runs)}"
        runs.append(out)
        out.mkdir()
        facts = prepare(out, **options)
        with (out / "manifest.csv").open(newline="") as file:
            rows = [{k: unprotect(cell) for k, cell in row.items()} for row in csv.DictReader(file)]
        return facts, {row["id"]: row for row in rows}

    return run


@pytest.fixture
def members():
    """{split: values of a column}."""

    def collect(rows, column="id"):
        found = {"train": set(), "validation": set(), "test": set()}
        for row in rows.values():
            found[row["split"]].add(row[column])
        return found

    return collect
