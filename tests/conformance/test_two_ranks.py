"""Point 2 of the conformance suite: two ranks end with the weights and memory of one process.

Modalities are missing at random, and the ranks hold unequal numbers of samples. All worlds of a
test share one start of the processes, which is what takes time.
"""

from __future__ import annotations

import pytest

from active import ACTIVE
from equipoise.methods import METHODS
from equipoise.testing import ROUNDING, World, rank_difference
from equipoise.testing.world import fresh_seed

# Ranks that wait for each other are many times slower where other processes use the cores too.
PATIENT = pytest.mark.timeout(900)

OPTIONS = [
    ("lfm", {"alignment": "js", "loss_scale": 2.0}),
    (
        "lfm-lb",
        {"hypergradient": "neumann", "alignment": "js", "outer_every": 2, "outer_batch_size": 7},
    ),
    ("lfm-lb", {"hypergradient": "identity", "outer_every": 1}),
    ("mie", {"mixup_alpha": 1.0, "cycles": 2}),
    ("mie", {"sam": "head", "rho": 0.3, "flat_weight": 0.3, "fresh_optimiser": True}),
    ("mie", {"scope": 1.0, "sam": "none", "statistic_batch": 5, "phases": [1, 1, 1]}),
    ("opm", {"warm_up": 0, "probability": 1.0}),
    ("cml", {"where": "correct"}),
    ("amco", {"threshold": 0.2, "ramp": 1.0}),
    ("reconboost", {"alternation": 1, "rectification": 2}),
]
"""Options that draw random numbers, gather over ranks, or look at a sample twice."""


def with_options(seed):
    return [
        World(name, 2 + k % 2, seed, options, missing=0.4, precision="float64")
        for k, (name, options) in enumerate(OPTIONS)
    ] + [
        World(name, 2 + k % 2, seed, options, missing=0.4, precision="float64", epochs=3)
        for k, (name, options) in enumerate(ACTIVE)
    ]


def at_their_defaults(seed, first):
    """All methods, with `first` modalities and the other number in turn."""
    return [
        World(entry.name, 2 + (first + k) % 2, seed, missing=0.4, precision="float64")
        for k, entry in enumerate(METHODS)
    ]


def require_equal(worlds):
    differences = rank_difference(worlds)
    apart = {
        f"{world.method} {dict(world.options)}, {world.count} modalities": difference
        for world, difference in zip(worlds, differences, strict=True)
        if difference > ROUNDING
    }
    assert not apart, f"seed {worlds[0].seed}: {apart}"


@PATIENT
def test_methods():
    require_equal(at_their_defaults(fresh_seed(), 2))


@PATIENT
@pytest.mark.slow
def test_methods_with_options():
    require_equal(with_options(fresh_seed()))


@PATIENT
@pytest.mark.slow
def test_methods_with_the_other_number_of_modalities():
    require_equal(at_their_defaults(fresh_seed(), 3))
