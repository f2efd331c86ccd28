"""The bar of long preparations: never in the way of a pipe, and only for what takes its time."""

from __future__ import annotations

import io
import sys

import pytest

from equipoise.data.decoding import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("patience", [-1.0, 1e9])
def test_a_terminal_sees_a_bar_once_it_takes_long(
    monkeypatch: pytest.MonkeyPatch, patience: float
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "PATIENCE", patience)
    assert list(progress.track(iter("abc"), 3, "decoding sound")) == ["a", "b", "c"]
    assert ("decoding sound" in terminal.getvalue()) == (patience < 0)


def test_anything_else_sees_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    monkeypatch.setattr(progress, "PATIENCE", -1.0)
    assert list(progress.track(range(4), 4, "decoding")) == [0, 1, 2, 3]
    assert pipe.getvalue() == ""
