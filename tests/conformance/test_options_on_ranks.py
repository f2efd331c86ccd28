"""Options that draw, gather or look twice: two ranks equal one process with them as well."""

from __future__ import annotations

from equipoise.testing import ROUNDING, World, rank_difference
from equipoise.testing.world import fresh_seed

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


def test_two_ranks_equal_one_process() -> None:
    seed = fresh_seed()
    worlds = [
        World(name, 2 + number % 2, seed, options, missing=0.4, precision="float64")
        for number, (name, options) in enumerate(OPTIONS)
    ]
    differences = rank_difference(worlds)
    apart = {
        f"{w.method} {dict(w.options)}, {w.count} modalities": d
        for w, d in zip(worlds, differences, strict=True)
        if d > ROUNDING
    }
    assert not apart, f"seed {seed}: {apart}"
