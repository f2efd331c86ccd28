"""CSV that no spreadsheet program runs, and that is read back as it was."""

from __future__ import annotations

import csv
import io

import pytest

from equipoise import spreadsheet
from equipoise.data.manifest.sheet import read_sheet

DANGEROUS = ["=1+1", "+a", "-a", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "'=1", "''@x", "-1+2"]
HARMLESS = [
    "a",
    "",
    "-5",
    "+5",
    "-1e-3",
    "-.5",
    "1",
    "-inf",
    "'a",
    "a=b",
    'a "b", c',
    "a\rb",
    " x ",
]


@pytest.mark.parametrize("cell", [*DANGEROUS, *HARMLESS])
def test_a_text_comes_back(cell):
    written = spreadsheet.write([["x", "y"], [cell, "z"]])
    [_, [read, after]] = csv.reader(io.StringIO(written, newline=""), strict=True)
    assert after == "z"
    assert spreadsheet.unprotect(read) == cell
    assert (read != cell) == (cell in DANGEROUS)
    assert read[:1] not in tuple("=@\t\r\n＝") or not read


@pytest.mark.parametrize("cell", [-5, -0.5, 0, True, None])
def test_numbers_stay_numbers(cell):
    assert spreadsheet.protect(cell) == cell


def test_a_manifest_is_read_without_the_apostrophes_and_says_so(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text(spreadsheet.write([["id", "n"], ["=a", -5], ["b", 1], ["'=c", 2]]))
    with pytest.warns(UserWarning, match=r"m\.csv: 2 cells .*\(first: row 2, \"'=a\"\)"):
        table = read_sheet(path).table
    assert table["id"].tolist() == ["=a", "b", "'=c"]
    assert table["n"].tolist() == ["-5", "1", "2"]
