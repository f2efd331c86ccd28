"""Methods that act late warn where the training ends before they act."""

from __future__ import annotations

import warnings

import pytest

from equipoise.testing.world import World

WAITING = [
    ("opm", {"warm_up": 3}, {"probability": 0.0}),
    ("smv-sample", {"warm_up": 3}, {"copies": [0, 0, 0]}),
    ("smv-modality", {"warm_up": 3}, {"alpha": 0.0}),
    ("aug", {"every": 3}, None),
    ("greedy", {"start_epoch": 3}, {"tolerance": float("inf")}),
    ("mses", {"patience": 1}, {"patience": float("inf")}),
    ("mslr", {"window": 2}, None),
    ("relearning", {"every": 2}, {"times": 0}),
]


@pytest.mark.parametrize(("name", "options", "idle"), WAITING, ids=[name for name, *_ in WAITING])
def test_a_training_that_ends_too_early_is_warned_of(
    seed: int, name: str, options: dict[str, object], idle: dict[str, object] | None
) -> None:
    (option,) = options
    expected = f"method '{name}' first acts in epoch 4, and this training has 3.*lower '{option}'"
    with pytest.warns(RuntimeWarning, match=expected):
        World(name, 2, seed % 9999, options, epochs=3).build()
    silent = [World(name, 2, seed % 9999, options, epochs=4)]
    if idle is not None:  # asked to do nothing
        silent.append(World(name, 2, seed % 9999, {**options, **idle}, epochs=3))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        for world in silent:
            world.build()
