"""Methods that act late warn where the training ends before they act."""

from __future__ import annotations

import warnings

import pytest

from equipoise.testing.world import World

WAITING = [
    ("opm", {"warm_up": 1.0}, {"warm_up": 0.75}, {"probability": 0.0}),
    ("smv-sample", {"warm_up": 1.0}, {"warm_up": 0.75}, {"copies": [0, 0, 0]}),
    ("smv-modality", {"warm_up": 1.0}, {"warm_up": 0.75}, {"alpha": 0.0}),
    ("greedy", {"start_epoch": 3}, {"start_epoch": 3}, {"tolerance": float("inf")}),
    ("mses", {"patience": 0.34}, {"patience": 0.25}, {"patience": float("inf")}),
    ("mslr", {"window": 2}, {"window": 2}, None),
    ("relearning", {"every": 0.67}, {"every": 0.5}, {"times": 0}),
]
"""(method, options with which it would act in the fourth of three epochs, options with which it
acts in the fourth of four, options with which it is asked to do nothing)"""


@pytest.mark.parametrize(
    ("name", "options", "enough", "idle"), WAITING, ids=[name for name, *_ in WAITING]
)
def test_a_training_that_ends_too_early_is_warned_of(
    seed: int,
    name: str,
    options: dict[str, object],
    enough: dict[str, object],
    idle: dict[str, object] | None,
) -> None:
    (option,) = options
    expected = f"method '{name}' first acts in epoch 4, and this training has 3.*lower '{option}'"
    with pytest.warns(RuntimeWarning, match=expected):
        World(name, 2, seed % 9999, options, epochs=3).build()
    silent = [World(name, 2, seed % 9999, enough, epochs=4)]
    if idle is not None:  # asked to do nothing
        silent.append(World(name, 2, seed % 9999, {**options, **idle}, epochs=3))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        for world in silent:
            world.build()
