"""The peak of memory belongs to one run, not to all that a process has done."""

from pathlib import Path

import pytest
import torch

from equipoise.runs import memory

CPU = torch.device("cpu")
BIG = 200 * 2**20


def fill():
    return torch.ones(BIG, dtype=torch.uint8).sum()  # written, so that the pages exist


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux forgets a peak")
def test_an_earlier_peak_is_forgotten_and_a_later_one_counts():
    fill()
    before = memory.peak_memory(CPU)
    memory.forget_peak(CPU)
    after = memory.peak_memory(CPU)
    assert after < before - 100
    fill()
    assert memory.peak_memory(CPU) > after + 100


def test_it_is_known_elsewhere_too(monkeypatch, tmp_path):
    """Without /proc the process's own count serves, in the same unit."""
    memory.forget_peak(CPU)
    usual = memory.peak_memory(CPU)
    monkeypatch.setattr(memory, "PROCESS", tmp_path / "gone")
    memory.forget_peak(CPU)
    assert usual / 2 < memory.peak_memory(CPU) < 100 * usual
