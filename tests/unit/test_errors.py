"""Messages stay short, whatever they quote."""

import pickle

import pytest

from equipoise.errors import DataError, EquipoiseError


@pytest.mark.parametrize("text", ["x" * 100_000, "w " * 100_000])
def test_a_cell_quoted_whole_is_shortened(text):
    line = str(DataError(f"rows.csv row 3: {text!r} is not a number"))
    assert len(line) < 2000
    assert line.startswith("rows.csv row 3: ")
    assert line.endswith("is not a number")


def test_an_error_comes_back_from_another_process():
    error = EquipoiseError("a\x1bb")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
