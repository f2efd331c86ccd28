"""Every registered method, against the twelve points of the conformance suite."""

from __future__ import annotations

import pytest

from equipoise.methods import METHODS
from equipoise.testing import CHECKS, ROUNDING, World, rank_difference
from equipoise.testing.world import fresh_seed

ONE_BY_ONE = [check for check in CHECKS if check.__name__ != "check_ranks"]


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("check", ONE_BY_ONE, ids=lambda check: check.__name__)
@pytest.mark.parametrize("entry", list(METHODS), ids=lambda entry: entry.name)
def test_method(entry, check, count):
    seed = fresh_seed()
    print(f"seed {seed}")
    check(entry, count, seed)


def test_two_ranks_equal_one_process():
    """Point 2, for all methods in one start of the processes; modalities are missing at random and shares unequal."""
    seed = fresh_seed()
    worlds = [
        World(e.name, m, seed, missing=0.4, precision="float64") for e in METHODS for m in (2, 3)
    ]
    differences = rank_difference(worlds)
    apart = {
        f"{w.method}, {w.count} modalities": d
        for w, d in zip(worlds, differences, strict=True)
        if d > ROUNDING
    }
    assert not apart, f"seed {seed}: {apart}"
