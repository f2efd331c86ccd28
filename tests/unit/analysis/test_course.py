"""The course of trainings whose α and phases are known."""

import math

import pytest

from equipoise.analysis.course import alpha, phases
from equipoise.errors import ConfigError, RunError


def test_alpha_of_lfm_is_its_schedule(trio):
    record = alpha(trio["lfm"])
    found = record.to_frame()
    assert found["value"].tolist() == pytest.approx([1 - math.exp(-1 / t) for t in (1, 2, 3, 4)])
    assert found["fraction"].tolist() == [0.25, 0.5, 0.75, 1.0]
    drawn, omega = record.picture.panels[0].marks
    assert list(drawn.y) == pytest.approx(list(omega.y))
    with pytest.raises(RunError, match="'joint' logged no alpha"):
        alpha(trio["joint"])
    with pytest.raises(ConfigError, match="'curves' must be one of heuristic, polynomial"):
        alpha(trio["lfm"], curves=["sine"])


def test_phases_of_mie_take_turns(trio):
    found = phases([trio["mie"], trio["joint"]]).to_frame()
    history = trio["mie"].history
    mie = found[found["run"] == "mie"]
    fused = mie[mie["part"] == "fused"]
    assert fused["training"].tolist() == ["easy"] * 2 + ["hard"] * 2 + ["easy"] * 2 + ["hard"] * 2
    assert fused["ends phase"].tolist() == [False, True] * 4
    assert fused["accuracy"].tolist() == history["validation.fused.accuracy"].tolist()
    hard = mie[mie["part"] == "hard"]["accuracy"].tolist()
    assert hard == history["validation.modalities.hard.accuracy"].tolist()
    assert set(found[found["run"] == "joint"]["phase"]) == {1}
    shades = [mark for mark in phases(trio["mie"]).picture.panels[0].marks if hasattr(mark, "end")]
    assert [(s.start, s.end) for s in shades] == [(0.5, 2.5), (2.5, 4.5), (4.5, 6.5), (6.5, 8.5)]
    assert not [m for m in phases(trio["joint"]).picture.panels[0].marks if hasattr(m, "end")]
