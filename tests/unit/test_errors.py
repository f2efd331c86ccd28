"""Messages are one line that is safe to print, whatever they quote."""

import pickle

import pytest

from equipoise.errors import DataError, EquipoiseError, printable


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\n  b\tc\r\n", "a b c"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\x00b\x9bc", r"a\x00b\x9bc"),
        ("a\u202eb", r"a\u202eb"),
        ("a\ud800b", r"a\ud800b"),
        ("a\u2028b", r"a\u2028b"),
        ("Grüße 😀 café", "Grüße 😀 café"),
        ("C:\\new\\x", "C:\\new\\x"),
    ],
)
def test_a_message_is_one_line(text, line):
    assert printable(text) == line
    assert str(DataError(text)) == line
    assert printable(line) == line


@pytest.mark.parametrize("text", ["x" * 100_000, "w " * 100_000])
def test_a_cell_quoted_whole_is_shortened(text):
    line = printable(f"rows.csv row 3: {text!r} is not a number")
    assert len(line) < 2000
    assert line.startswith("rows.csv row 3: ")
    assert line.endswith("is not a number")


def test_an_error_comes_back_from_another_process():
    error = EquipoiseError("a\x1bb")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
