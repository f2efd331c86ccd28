"""Point 2 of the conformance suite: two ranks end with the weights and memory of one process.

Modalities are missing at random, and the ranks hold unequal numbers of samples. All worlds of a
test share one start of the processes, which is what takes time.
"""

from __future__ import annotations

import pytest

from active import ACTIVE
from equipoise.heads import HEADS
from equipoise.methods import METHODS
from equipoise.registry import Entry, MethodEntry
from equipoise.testing import ROUNDING, World, rank_difference
from equipoise.testing.world import OPTIMISER, fresh_seed, small_splits

# Ranks that wait for each other are many times slower where other processes use the cores too.
PATIENT = pytest.mark.timeout(900)

FILE = """
from equipoise.heads.linear import Sum
from equipoise.methods.baselines.joint import Joint

class Mine(Joint):
    pass

class Plus(Sum):
    pass
"""

WARM = {"optimiser": {**OPTIMISER, "name": "adamw", "lr": 0.01, "warmup": 0.5}}
WARMED = ("joint", "mla")

OPTIONS = [
    ("lfm", {"alignment": "kl-mean", "loss_scale": 2.0}),
    ("lfm-lb", {"hypergradient": "minres", "outer_data": "train"}),
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
    splits = {count: small_splits(count, seed, missing=0.4, samples=140) for count in (2, 3)}
    counts = [2 + (first + k) % 2 for k in range(len(list(METHODS)))]
    return [
        World(entry.name, count, seed, precision="float64", splits=splits[count])
        for entry, count in zip(METHODS, counts, strict=True)
    ]


def require_equal(worlds):
    differences = rank_difference(worlds)
    apart = {
        f"{world.method} {dict(world.options)}, {world.count} modalities, {dict(world.settings)}": d
        for world, d in zip(worlds, differences, strict=True)
        if d > ROUNDING
    }
    assert not apart, f"seed {worlds[0].seed}: {apart}"


@pytest.fixture
def added(tmp_path, monkeypatch):
    """The name of a method that was added at run time, with a head, from a file."""
    (tmp_path / "added_classes.py").write_text(FILE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    for registry in (METHODS, HEADS):
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    HEADS.add(Entry("plus", "added_classes:Plus", "a head"))
    METHODS.add(MethodEntry("mine", "added_classes:Mine", "a method", head="plus"))
    return "mine"


@PATIENT
def test_methods(added):
    """The registered ones, and one that was added at run time, of which new processes must hear.

    Joint training and MLA once more, with a warm-up beside the moving average of all.
    """
    seed = fresh_seed()
    worlds = at_their_defaults(seed, 2)
    assert added in {world.method for world in worlds}
    warm = [World(m, 3, seed, missing=0.4, precision="float64", settings=WARM) for m in WARMED]
    require_equal([*worlds, *warm])


@PATIENT
@pytest.mark.slow
def test_methods_with_options():
    require_equal(with_options(fresh_seed()))


@PATIENT
@pytest.mark.slow
def test_methods_with_the_other_number_of_modalities():
    require_equal(at_their_defaults(fresh_seed(), 3))
