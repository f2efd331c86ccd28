"""Joint training with uniform unimodal losses: the sum, its gradients, and what it leaves alone."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from equipoise.batch import Batch
from equipoise.errors import ConfigError
from equipoise.methods.baselines.joint_uniform import JointUniform
from equipoise.training.context import Context

INPUTS = {"a": 3, "b": 4, "c": 2}
OWN = ("auxiliary", "concat", "sum", "late")


def double(batch: Batch) -> Batch:
    return batch.apply(lambda t: t.double() if t.is_floating_point() else t)


def small(world: SimpleNamespace, head: str, count: int) -> tuple[Context, Batch]:
    inputs = dict(list(INPUTS.items())[:count])
    batch = double(world.batch(inputs, absent={"b": [1, 4]}))
    return world.context(world.model(head, inputs).double(), [batch]), batch


@pytest.mark.parametrize(("options", "expected"), [({}, 3), ({"normalise": True}, 2)])
def test_loss_of_a_network_that_knows_nothing(
    seed: int, world: SimpleNamespace, options: dict[str, bool], expected: int
) -> None:
    """With two modalities and logits of zero every term is log C."""
    inputs = {"a": 3, "b": 4}
    model = world.model("auxiliary", inputs)
    for parameter in model.head.parameters():
        torch.nn.init.zeros_(parameter)
    batch = world.batch(inputs)
    found = JointUniform(**options).loss(model(batch), batch, world.context(model, [batch]))
    assert found.item() == pytest.approx(expected * math.log(world.classes))


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("head", OWN)
def test_gradient_is_the_weighted_sum_of_the_losses_own(
    seed: int, world: SimpleNamespace, head: str, count: int
) -> None:
    ctx, batch = small(world, head, count)
    output = ctx.model(batch)
    losses = [F.cross_entropy(output.fused, batch.label)]
    for m, logits in output.logits.items():
        here = batch.present[m]
        losses.append(0.3 * F.cross_entropy(logits[here], batch.label[here]))
    parameters = list(ctx.model.parameters())
    apart = [
        torch.autograd.grad(
            loss, parameters, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        for loss in losses
    ]
    ctx.backward(JointUniform(0.3).loss(output, batch, ctx))
    for parameter, *parts in zip(parameters, *apart, strict=True):
        torch.testing.assert_close(parameter.grad, torch.stack(parts).sum(0))


def test_own_classifiers_and_the_fused_one_learn_from_their_own_losses(
    seed: int, world: SimpleNamespace
) -> None:
    ctx, batch = small(world, "auxiliary", 3)
    output = ctx.model(batch)
    blocks = ctx.model.head.blocks
    ctx.backward(JointUniform(2.0).loss(output, batch, ctx))
    fused = F.cross_entropy(ctx.model(batch).fused, batch.label)
    for m in INPUTS:
        (of_fused,) = torch.autograd.grad(fused, [blocks[m].weight], retain_graph=True)
        torch.testing.assert_close(blocks[m].weight.grad, of_fused)
        (own,) = torch.autograd.grad(
            fused, [blocks[m].own.weight], retain_graph=True, allow_unused=True
        )
        assert own is None
        assert blocks[m].own.weight.grad.any()


@pytest.mark.parametrize("optimiser", [{}, {"name": "adamw"}])
def test_a_modality_that_the_batch_lacks_does_not_move(
    seed: int, world: SimpleNamespace, optimiser: dict[str, str]
) -> None:
    model = world.model("auxiliary", INPUTS)
    batches = [world.batch(INPUTS), world.batch(INPUTS, absent={"b": list(range(8))})]
    ctx = world.context(model, batches[:1], lr=0.01, weight_decay=0.1, **optimiser)
    method = world.train("joint-uniform", ctx)
    before = {m: [p.clone() for p in sum(model.group(m), ())] for m in INPUTS}
    method.step(batches[1], ctx)
    for m in INPUTS:
        pairs = zip(before[m], sum(model.group(m), ()), strict=True)
        assert all(torch.equal(p, q) == (m == "b") for p, q in pairs)


def test_on_concat_the_parts_add_up_to_the_fused_logits(seed: int, world: SimpleNamespace) -> None:
    model = world.model("concat", INPUTS).double()
    output = model(double(world.batch(INPUTS)))
    torch.testing.assert_close(torch.stack([*output.logits.values()]).sum(0), output.fused)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight": -0.1}, "JointUniform: 'weight' must be at least 0"),
        ({"normalise": 1}, "JointUniform: 'normalise' must be true or false"),
    ],
)
def test_refuses_wrong_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        JointUniform(**options)  # type: ignore[arg-type]
