"""The `>>>` examples in the docstrings of the Python interface run and print what they show."""

from __future__ import annotations

import doctest

import pytest

import equipoise
from equipoise import api

DEFINED = [
    name
    for name in equipoise.__all__
    if getattr(getattr(api, name, None), "__module__", "") == api.__name__
]


def test_the_names_of_the_interface_are_found():
    functions = {"fit", "auto", "load", "evaluate", "predict", "doctor", "compare"}
    assert set(DEFINED) == {*functions, "Run", "Comparison"}


@pytest.mark.parametrize("name", [*DEFINED, "Callback", "EquipoiseClassifier"])
def test_the_example_of_a_name(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)  # runs are written where the reader is
    (example,) = doctest.DocTestFinder(recurse=False).find(getattr(equipoise, name), name)
    assert example.examples, f"equipoise.{name} has no example"
    failed, _ = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example)
    assert not failed, capsys.readouterr().out
