"""DGL: which loss reaches which parameter, by independent gradients."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from equipoise.errors import ConfigError
from equipoise.methods.balance.dgl import DGL

INPUTS = {"a": 3, "b": 4, "c": 2}


def gradients_of_a_step(
    world: SimpleNamespace, model: torch.nn.Module, batch: object, alpha: float
) -> dict:
    """The gradients that the optimiser would see: the step is taken without one."""
    ctx = world.context(model, [batch])
    ctx.update = lambda: None
    DGL(alpha).step(batch, ctx)
    return {name: p.grad for name, p in model.named_parameters()}


@pytest.mark.parametrize("count", [2, 3])
def test_encoders_learn_alone_and_the_head_from_all(
    seed: int, world: SimpleNamespace, count: int
) -> None:
    inputs = dict(list(INPUTS.items())[:count])
    model = world.model("concat", inputs)
    batch = world.batch(inputs, absent={"b": [0, 3]})
    found = gradients_of_a_step(world, copy.deepcopy(model), batch, 4.0)
    weight = torch.cat([model.head.blocks[m].weight for m in inputs], 1)
    features = {m: model(batch).features[m] for m in inputs}
    joint = F.linear(torch.cat(list(features.values()), 1).detach(), weight, model.head.bias)
    head = torch.autograd.grad(F.cross_entropy(joint, batch.label), list(model.head.parameters()))
    for (name, _), gradient in zip(model.head.named_parameters(), head, strict=True):
        torch.testing.assert_close(found[f"head.{name}"], gradient)
    for m in inputs:
        here = batch.present[m]
        alone = F.linear(features[m][here], model.head.blocks[m].weight, model.head.bias)
        loss = 4.0 * F.cross_entropy(alone, batch.label[here])
        encoder = torch.autograd.grad(loss, list(model.encoders[m].parameters()), retain_graph=True)
        for (name, _), gradient in zip(model.encoders[m].named_parameters(), encoder, strict=True):
            torch.testing.assert_close(found[f"encoders.{m}.{name}"], gradient)


def test_alpha_scales_the_encoders_only(seed: int, world: SimpleNamespace) -> None:
    model = world.model("sum", INPUTS)
    batch = world.batch(INPUTS)
    one, four = (
        gradients_of_a_step(world, copy.deepcopy(model), batch, alpha) for alpha in (1.0, 4.0)
    )
    for name in one:
        torch.testing.assert_close(
            four[name], one[name] * (4 if name.startswith("encoders.") else 1)
        )


def test_an_absent_modality_gets_no_gradient(seed: int, world: SimpleNamespace) -> None:
    model = world.model("concat", INPUTS)
    found = gradients_of_a_step(
        world, model, world.batch(INPUTS, absent={"b": list(range(8))}), 4.0
    )
    missing = {name for name, gradient in found.items() if gradient is None}
    assert missing == {
        name for name in found if name.split(".")[1] == "b" or name.startswith("head.blocks.b")
    }


def test_refuses_what_it_cannot_train(world: SimpleNamespace) -> None:
    with pytest.raises(ConfigError, match="use head 'concat'"):
        DGL().setup(world.context(world.model("auxiliary", INPUTS), []))
    with pytest.raises(ConfigError, match="DGL: 'alpha' must be"):
        DGL(alpha=0)
