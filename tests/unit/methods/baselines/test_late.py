"""Late fusion: nothing couples the modalities."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch

from equipoise.batch import Batch
from equipoise.errors import ConfigError
from equipoise.methods.baselines.late import Late

INPUTS = {"a": 3, "b": 4, "c": 2}


def test_gradients_of_one_modality_do_not_see_the_others(seed: int, world: SimpleNamespace) -> None:
    model = world.model("late", INPUTS)
    batch = world.batch(INPUTS)
    inputs = {m: x if m == "a" else torch.randn_like(x) for m, x in batch.inputs.items()}
    gradients = []
    for shown in (batch, Batch(inputs, batch.present, batch.label, batch.index)):
        ctx = world.context(model, [shown])
        ctx.backward(Late().loss(model(shown), shown, ctx))
        gradients.append([p.grad.clone() for p in model.encoders["a"].parameters()])
        model.zero_grad()
    for first, second in zip(*gradients, strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize("clip", [0.0, 0.05])
def test_one_loop_equals_separate_trainings(seed: int, world: SimpleNamespace, clip: float) -> None:
    model = world.model("late", INPUTS)
    batches = [world.batch(INPUTS, absent={"c": [0]}) for _ in range(3)]
    alone = {m: copy.deepcopy(model) for m in INPUTS}
    world.train("late", world.context(model, batches, clip=clip), 2)
    for m in INPUTS:
        world.train("unimodal", world.context(alone[m], batches, clip=clip), 2, modality=m)
        for p, q in zip(sum(model.group(m), ()), sum(alone[m].group(m), ()), strict=True):
            assert torch.equal(p, q)


def test_refuses_a_head_with_shared_parameters(world: SimpleNamespace) -> None:
    with pytest.raises(ConfigError, match="use head 'late'"):
        Late().setup(world.context(world.model("concat", INPUTS), []))
