"""An orthogonal projection trains any registered head, or refuses it by name."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from equipoise.errors import ConfigError
from equipoise.heads import HEADS
from equipoise.testing.world import World

ONE_FOR_ALL = ("shared", "boosted-sum", "weight-elementwise")
READ = [
    *(
        "concat",
        "auxiliary",
        "sum",
        "late",
        "per-modality",
        "tmc",
        "qmf",
        "bigated",
        "ml-lstm",
        "weight-hidden",
        "stacked",
    ),
    *("attention", "mixed-sum", "vote", "sustained", "tate", *ONE_FOR_ALL),
]


def trains(method: str, head: str, count: int, seed: int, **options: Any) -> None:
    """Train, and see that the layers which read the features have moved."""
    world = World(method, count, seed % 1000, options=options, head=head, epochs=1, batch_size=60)
    layers, before = [], []
    for run in (world.build, world.train):
        with torch.random.fork_rng():
            model = run()[1].model
        layers = [model.head.reading_layer(m) for m in model.modalities]
        before.append([layer.weight.detach().clone() for layer in layers])
    assert not any(torch.equal(start, end) for start, end in zip(*before, strict=True))


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("head", HEADS.names())
def test_mla(seed: int, head: str, count: int) -> None:
    if (
        head in ONE_FOR_ALL and head != "boosted-sum"
    ):  # its scale is trained by the fused loss, which MLA has not
        trains("mla", head, count, seed)
        return
    with pytest.raises(ConfigError, match="use head 'shared'"):
        World("mla", count, 1, head=head).build()


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("head", HEADS.names())
def test_compose(seed: int, head: str, count: int) -> None:
    if head in READ:
        trains("compose", head, count, seed, projection="orthogonal")
        return
    with pytest.raises(ConfigError, match="has no such layer; use head 'shared' or 'late'"):
        World("compose", count, 1, {"projection": "orthogonal"}, head=head).build()
