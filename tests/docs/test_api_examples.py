"""The `>>>` examples in the docstrings of the Python interface run and print what they show."""

from __future__ import annotations

import doctest
import inspect

import pytest

import equipoise
from equipoise import api

FUNCTIONS = [name for name in equipoise.__all__ if inspect.isfunction(getattr(api, name, None))]


def test_the_functions_of_the_interface_are_found():
    assert {"fit", "evaluate", "predict", "doctor", "compare"} <= set(FUNCTIONS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_example_of_a_function(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)  # runs are written where the reader is
    (example,) = doctest.DocTestFinder(recurse=False).find(getattr(api, name), name)
    assert example.examples, f"equipoise.{name} has no example"
    failed, _ = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example)
    assert not failed, capsys.readouterr().out
