"""Methods that train a head of their own kind, and students that start as their teacher."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from equipoise.errors import ConfigError
from equipoise.heads import HEADS
from equipoise.methods import METHODS
from equipoise.methods.parts.own_head import OwnHead

INPUTS = {"a": 3, "b": 4, "c": 2}
NAMES = [entry.name for entry in METHODS if issubclass(entry.load(), OwnHead)]


@pytest.mark.parametrize("name", NAMES)
def test_wants_its_own_head(world: SimpleNamespace, name: str) -> None:
    kind = METHODS[name].load().kind
    others = [
        head
        for head in ("concat", "sum", "auxiliary", *NAMES)
        if not issubclass(HEADS[head].load(), kind)
    ]
    assert len(others) > len(NAMES)
    for head in others:
        with pytest.raises(ConfigError, match=f"use head '{name}'"):
            METHODS.build(name).setup(world.context(world.model(head, INPUTS), []))


@pytest.mark.parametrize(
    ("name", "option", "weight"), [("if-mmin", "invariance", 5.0), ("tate", "forward_weight", 50.0)]
)
def test_a_complete_student_agrees_with_the_teacher_it_started_from(
    seed: int, world: SimpleNamespace, name: str, option: str, weight: float
) -> None:
    model = world.model(name, INPUTS)
    batch = world.batch(
        INPUTS, 3, absent={"a": [0, 1], "b": [0, 2], "c": [1, 2]}
    )  # one modality: nothing is hidden
    ctx = world.context(model, [batch])
    losses = []
    for value in (0.0, weight):
        method = METHODS.build(name, {option: value})
        method.setup(ctx)
        losses.append(method.study(batch, ctx))
    torch.testing.assert_close(losses[0], losses[1])
