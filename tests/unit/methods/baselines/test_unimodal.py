"""Unimodal training: the other modalities do not move, and the prediction is that of the one."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch

from equipoise.batch import Batch
from equipoise.errors import ConfigError
from equipoise.methods.baselines.unimodal import Unimodal

INPUTS = {"a": 3, "b": 4, "c": 2}


def test_the_others_are_neither_run_nor_moved(seed: int, world: SimpleNamespace) -> None:
    model = world.model("late", INPUTS)
    before = copy.deepcopy(model.state_dict())
    batch = world.batch(INPUTS)
    inputs = {m: x if m == "b" else torch.full_like(x, torch.nan) for m, x in batch.inputs.items()}
    ctx = world.context(model, [Batch(inputs, batch.present, batch.label, batch.index)])
    world.train("unimodal", ctx, modality="b")
    assert (ctx.passes.forwards, ctx.passes.backwards) == (1, 1)
    for name, value in model.state_dict().items():
        if ".b." in name:
            assert not torch.equal(value, before[name])
        elif name != "head.active":
            assert torch.equal(value, before[name])


def test_the_fused_prediction_is_the_modality_s_own(seed: int, world: SimpleNamespace) -> None:
    model = world.model("late", INPUTS)
    batch = world.batch(INPUTS, absent={"b": [2]})
    world.train("unimodal", world.context(model, [batch]), modality="b")
    output = model(batch)
    there = batch.present["b"]
    torch.testing.assert_close(output.fused[there].softmax(1), output.logits["b"][there].softmax(1))
    torch.testing.assert_close(
        output.fused[2].softmax(0), torch.full((world.classes,), 1 / world.classes)
    )
    # and it is so for whoever loads the weights
    other = world.model("late", INPUTS)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(batch).fused, output.fused)


def test_without_a_modality_it_is_late_fusion(seed: int, world: SimpleNamespace) -> None:
    model = world.model("late", INPUTS)
    other = copy.deepcopy(model)
    batches = [world.batch(INPUTS) for _ in range(3)]
    world.train("unimodal", world.context(model, batches))
    world.train("late", world.context(other, batches))
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(p, q)
    assert torch.equal(model(batches[0]).fused, other(batches[0]).fused)


def test_unknown_modality_is_named(world: SimpleNamespace) -> None:
    with pytest.raises(ConfigError, match="no modality 'd'"):
        Unimodal("d").setup(world.context(world.model("late", INPUTS), []))
